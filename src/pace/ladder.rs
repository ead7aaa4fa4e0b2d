//! The ladder of patience: how long a statement may stand in a lock queue, and when it had better not stand there.
//!
//! Every moment in the queue of a strong lock is a moment in which later queries queue behind it. So it looks before
//! it queues, tries briefly first, and waits outside where nobody waits behind it.

use std::time::Duration;

/// How the ladder climbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LadderSettings {
    /// `lock_timeout` of the first tries; the last one stays.
    pub rungs: Vec<Duration>,
    /// No rung counts for more than this.
    pub max_stall: Duration,
    /// The pause after the first try.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// When to give up.
    pub retry_for: Duration,
}

impl Default for LadderSettings {
    /// Measured on Postgres 15 with 8 and 32 busy clients: 20 ms gets the lock at 8, 50 ms at 32.
    fn default() -> Self {
        Self {
            rungs: [5, 20, 50, 100].map(Duration::from_millis).to_vec(),
            max_stall: Duration::from_millis(100),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            retry_for: Duration::from_mins(10),
        }
    }
}

/// What is seen before each decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Since the statement came.
    pub elapsed: Duration,
    /// Tries that ended without the lock.
    pub attempts: u32,
    /// Any number, for jitter.
    pub random: u64,
    /// The age of the oldest transaction that holds the lock (`blocker::oldest`).
    pub oldest_holder: Option<Duration>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Queue for the lock, this long at most.
    Try {
        /// `lock_timeout`; never zero, which would mean for ever.
        patience: Duration,
    },
    /// Do not queue; look again after a while.
    WaitOutside {
        /// How long.
        sleep: Duration,
    },
    /// The time is over.
    GiveUp,
}

/// This part of the longest stall is left for what comes on top of the waiting: the server's timer, and the statement itself.
const MARGIN: u32 = 10;

/// A holder this many times older than the top rung is not worth a try: it works or idles for long.
const OLD_HOLDER_RUNGS: u32 = 20;

/// Behind holders that are only somewhat too old, every so many looks a try is made all the same: where such
/// transactions overlap without end, the oldest is always too old.
const LOOKS_PER_TRY: u32 = 8;

/// One statement's way up.
#[derive(Debug, Clone)]
pub struct Ladder {
    settings: LadderSettings,
    /// The number of tries after which a pause has been made.
    rested_after: u32,
    /// Looks since the last try.
    looks: u32,
}

impl Ladder {
    /// A ladder at its foot.
    pub const fn new(settings: LadderSettings) -> Self {
        Self { settings, rested_after: 0, looks: 0 }
    }

    /// What to do, given what is seen.
    ///
    /// One try is made at least, even when all the time was spent outside, so that the client gets the server's error.
    pub fn next(&mut self, sample: &Sample) -> Next {
        if sample.elapsed >= self.settings.retry_for {
            return if sample.attempts == 0 { self.attempt(self.top()) } else { Next::GiveUp };
        }
        if sample.attempts > self.rested_after {
            self.rested_after = sample.attempts;
            return Next::WaitOutside { sleep: self.within_time(sample, self.backoff(sample)) };
        }
        let holder = sample.oldest_holder.unwrap_or_default();
        if let Some(patience) = self.patience(sample.attempts, holder) {
            return self.attempt(patience);
        }
        self.looks = self.looks.saturating_add(1);
        if self.looks >= LOOKS_PER_TRY && holder < self.top().saturating_mul(OLD_HOLDER_RUNGS) {
            return self.attempt(self.top());
        }
        let poll = (holder / 10).clamp(self.settings.backoff_min, self.backoff_max());
        Next::WaitOutside { sleep: self.within_time(sample, jittered(poll, sample.random)) }
    }

    /// The longest patience: for a statement that gets one try only.
    pub fn top(&self) -> Duration {
        let rung = self.settings.rungs.iter().max().copied().unwrap_or(self.settings.max_stall);
        self.capped(rung)
    }

    const fn attempt(&mut self, patience: Duration) -> Next {
        self.looks = 0;
        Next::Try { patience }
    }

    /// The next rung that is longer than the holder has been there; `None` when the holder is older than the top.
    fn patience(&self, attempts: u32, holder: Duration) -> Option<Duration> {
        let skipped = usize::try_from(attempts).unwrap_or(usize::MAX);
        let rungs = self.settings.rungs.iter().map(|rung| self.capped(*rung));
        let last = std::iter::once(self.top());
        rungs.skip(skipped).chain(last).find(|rung| *rung > holder)
    }

    fn capped(&self, rung: Duration) -> Duration {
        rung.min(self.settings.max_stall.saturating_sub(self.settings.max_stall / MARGIN))
            .max(Duration::from_millis(1))
    }

    fn backoff_max(&self) -> Duration {
        self.settings.backoff_max.max(self.settings.backoff_min)
    }

    /// Doubles with each try, with jitter, so that several migrations do not keep step.
    fn backoff(&self, sample: &Sample) -> Duration {
        let doublings = sample.attempts.saturating_sub(1).min(16);
        let pause = self.settings.backoff_min.saturating_mul(1 << doublings).min(self.backoff_max());
        jittered(pause, sample.random)
    }

    /// A pause does not reach beyond the time to give up.
    fn within_time(&self, sample: &Sample, sleep: Duration) -> Duration {
        sleep.min(self.settings.retry_for.saturating_sub(sample.elapsed)).max(Duration::from_millis(1))
    }
}

/// Between half of it and all of it.
fn jittered(duration: Duration, random: u64) -> Duration {
    let half = duration / 2;
    let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
    half + Duration::from_micros(random % spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const fn sample(elapsed: u64, attempts: u32, holder: Option<u64>) -> Sample {
        let oldest_holder = match holder {
            Some(age) => Some(ms(age)),
            None => None,
        };
        Sample { elapsed: ms(elapsed), attempts, random: 7, oldest_holder }
    }

    #[test]
    fn climbs_with_pauses_between() {
        let mut ladder = Ladder::new(LadderSettings::default());
        let mut tries = Vec::new();
        for attempts in 0..6 {
            if attempts > 0 {
                assert!(matches!(ladder.next(&sample(10, attempts, None)), Next::WaitOutside { .. }));
            }
            let Next::Try { patience } = ladder.next(&sample(10, attempts, None)) else { panic!("no try") };
            tries.push(patience);
        }
        assert_eq!(tries, [5, 20, 50, 90, 90, 90].map(ms));
    }

    #[test]
    fn a_holder_older_than_a_rung_lets_it_climb() {
        let mut ladder = Ladder::new(LadderSettings::default());
        assert_eq!(ladder.next(&sample(0, 0, Some(30))), Next::Try { patience: ms(50) });
    }

    #[test]
    fn waits_outside_behind_old_holders() {
        let mut ladder = Ladder::new(LadderSettings::default());
        for _ in 0..100 {
            let next = ladder.next(&sample(0, 0, Some(60_000)));
            assert!(matches!(next, Next::WaitOutside { sleep } if sleep >= ms(500)), "{next:?}");
        }
        // Overlapping transactions of 150 ms each: now and then a try.
        let mut ladder = Ladder::new(LadderSettings::default());
        let tries =
            (0..80).filter(|_| matches!(ladder.next(&sample(0, 0, Some(150))), Next::Try { .. })).count();
        assert_eq!(tries, 10);
    }

    #[test]
    fn gives_up_in_time_but_tries_once() {
        let mut ladder = Ladder::new(LadderSettings { retry_for: ms(0), ..LadderSettings::default() });
        assert_eq!(ladder.next(&sample(0, 0, Some(60_000))), Next::Try { patience: ms(90) });
        assert_eq!(ladder.next(&sample(100, 1, Some(60_000))), Next::GiveUp);
    }

    proptest! {
        #[test]
        fn stays_within_bounds(
            elapsed in 0_u64..700_000, attempts in 0_u32..50, random: u64,
            holder in prop::option::of(0_u64..100_000), max_stall in 1_u64..1000,
        ) {
            let settings = LadderSettings { max_stall: ms(max_stall), ..LadderSettings::default() };
            let mut ladder = Ladder::new(settings.clone());
            for _ in 0..12 {
                let next = ladder.next(&Sample { random, ..sample(elapsed, attempts, holder) });
                match next {
                    Next::Try { patience } => {
                        prop_assert!(patience > Duration::ZERO && patience <= settings.max_stall);
                    }
                    Next::WaitOutside { sleep } => {
                        prop_assert!(sleep > Duration::ZERO && sleep <= settings.backoff_max);
                    }
                    Next::GiveUp => prop_assert!(elapsed >= 600_000 && attempts > 0),
                }
            }
        }
    }
}
