//! How fast a standby replays, learned while it has more to replay than it can: a lag that is seen is that of WAL written before, and
//! what was written since comes on top.

use std::time::Duration;

use super::quota;

/// A standby that is so far behind has more to do than it can; a fourth of what is allowed, where that is less.
const BUSY: Duration = Duration::from_secs(1);

/// Its speed is told by what it replays in so much time at least, ..
const MEASURE_MIN: Duration = Duration::from_secs(1);

/// .. and measured anew after so much.
const MEASURE_MAX: Duration = Duration::from_secs(5);

/// While it keeps up, it is trusted with so many thousandths more at each look: it may have become faster.
const TRUST: u64 = 50;

/// One standby.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// Since when it is busy, and where it was then.
    busy: Option<(Duration, u64)>,
    /// Bytes in a second.
    speed: Option<u64>,
}

impl Follower {
    /// It has replayed so much, and is so far behind where `most` is allowed.
    pub(super) fn look(&mut self, at: Duration, replayed: u64, (lag, most): (Duration, Duration)) {
        if lag < BUSY.min(most / 4) {
            self.busy = None;
            self.speed = self.speed.map(|speed| speed.saturating_add(speed.saturating_mul(TRUST) / 1000 + 1));
            return;
        }
        let (since, place) = *self.busy.get_or_insert((at, replayed));
        let (time, bytes) = (at.saturating_sub(since), replayed.saturating_sub(place));
        if time >= MEASURE_MIN && bytes > 0 {
            self.speed = Some(quota::rate(bytes, time));
        }
        if time >= MEASURE_MAX {
            self.busy = Some((at, replayed));
        }
    }

    /// The time that it needs for so much, where that can be told.
    pub(super) fn needs(&self, bytes: u64) -> Duration {
        self.speed.map_or(Duration::ZERO, |speed| quota::time_of(bytes, speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn speed_is_learned_only_while_it_is_busy() {
        let mut follower = Follower::default();
        for second in 0..5 {
            follower.look(s(second), second * 10, (Duration::ZERO, s(5)));
        }
        assert_eq!(follower.needs(1000), s(0), "it could do more, nobody knows how much");
        follower.look(s(5), 100, (s(2), s(5)));
        follower.look(s(7), 300, (s(4), s(5)));
        assert_eq!(follower.needs(1000), s(10));
        // Paused: that is no speed.
        for second in 8..60 {
            follower.look(s(second), 300, (s(second), s(5)));
        }
        assert_eq!(follower.needs(1000), s(25), "200 in the five seconds at whose beginning it was paused");
        // It keeps up for long.
        for second in 60..200 {
            follower.look(s(second), 300, (s(0), s(5)));
        }
        assert!(follower.needs(1000) < s(1));
    }
}
