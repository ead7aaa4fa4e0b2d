//! What the application felt, as numbers: pure, so that it can be checked.

use std::time::Duration;

/// From here on a query counts as stalled.
pub const STALL: Duration = Duration::from_millis(100);

/// One query of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it was sent, from the beginning of the run.
    pub at: Duration,
    /// How long the answer took.
    pub took: Duration,
}

/// The few numbers that tell most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// The longest answer.
    pub longest: Duration,
    /// Half of all answers took no longer.
    pub median: Duration,
    /// What all clients together waited in queries longer than [`STALL`]. (A percentile would hide it: a client that waits
    /// asks nothing else.)
    pub lost: Duration,
}

impl Figures {
    /// Those of a run; zero when there was no query.
    pub fn of(samples: &[Sample]) -> Self {
        let mut times: Vec<_> = samples.iter().map(|sample| sample.took).collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let lost = times.iter().filter(|time| **time > STALL).sum();
        Self { longest: times.last().copied().unwrap_or_default(), median, lost }
    }
}

/// The slowest query under way in each slice of time, so that a stall shows for as long as it lasted; `None` where there was
/// no query at all.
pub fn worst_per_slice(samples: &[Sample], slice: Duration) -> Vec<Option<Duration>> {
    let index =
        |at: Duration| usize::try_from(at.as_micros() / slice.as_micros().max(1)).unwrap_or(usize::MAX);
    let count = samples.iter().map(|sample| index(sample.at + sample.took)).max().map_or(0, |last| last + 1);
    let mut worst = vec![None; count];
    for sample in samples {
        for slot in worst.iter_mut().take(index(sample.at + sample.took) + 1).skip(index(sample.at)) {
            *slot = (*slot).max(Some(sample.took));
        }
    }
    worst
}

/// So long 999 of 1,000 queries took at most; zero when there was none.
pub fn almost_all(samples: &[Sample]) -> Duration {
    let mut times: Vec<_> = samples.iter().map(|sample| sample.took).collect();
    times.sort_unstable();
    let rank = (times.len() * 999).div_ceil(1_000).saturating_sub(1);
    times.get(rank).copied().unwrap_or_default()
}

/// The query that took longest.
pub fn longest(samples: &[Sample]) -> Option<Sample> {
    samples.iter().copied().max_by_key(|sample| sample.took)
}

/// "0.42 ms", "37 ms", "6.21 s": three digits are all that anybody compares.
pub fn human(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    match ms {
        _ if ms < 10.0 => format!("{ms:.2} ms"),
        _ if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1_000.0),
    }
}

/// A row of bars, two for each decade from 1 ms to 1 s.
pub fn sparkline(worst: &[Option<Duration>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const BOUNDS_MS: [u128; 7] = [1, 3, 10, 30, 100, 300, 1_000];
    let bar = |time: Duration| BOUNDS_MS.iter().filter(|bound| time.as_millis() >= **bound).count();
    worst.iter().map(|slot| slot.and_then(|time| BARS.get(bar(time)).copied()).unwrap_or(' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn samples(list: &[(u64, u64)]) -> Vec<Sample> {
        list.iter().map(|&(at, took)| Sample { at: ms(at), took: ms(took) }).collect()
    }

    #[test]
    fn a_stall_shows_for_as_long_as_it_lasted() {
        let worst = worst_per_slice(&samples(&[(0, 5), (20, 30), (60, 1)]), ms(10));
        let expected =
            [Some(ms(5)), None, Some(ms(30)), Some(ms(30)), Some(ms(30)), Some(ms(30)), Some(ms(1))];
        assert_eq!(worst, expected);
        assert_eq!(worst_per_slice(&[], ms(10)), []);
    }

    #[test]
    fn figures_of_many_and_of_none() {
        let figures = Figures::of(&samples(&[(0, 1), (0, 300), (0, 2), (0, 3), (0, 100), (0, 2), (0, 500)]));
        assert_eq!(figures, Figures { longest: ms(500), median: ms(3), lost: ms(800) });
        assert_eq!(Figures::of(&[]), Figures::default());
    }

    #[test]
    fn one_in_a_thousand_may_take_longer() {
        let mut list: Vec<_> = (0..999).map(|n| (n, 1)).collect();
        list.push((999, 500));
        assert_eq!(almost_all(&samples(&list)), ms(1));
        list.push((1_000, 400));
        assert_eq!(almost_all(&samples(&list)), ms(400));
        assert_eq!(almost_all(&[]), Duration::ZERO);
    }

    #[test]
    fn times_read_well() {
        let texts = [0, 420, 37_499, 6_214_000].map(|us| human(Duration::from_micros(us)));
        assert_eq!(texts, ["0.00 ms", "0.42 ms", "37 ms", "6.21 s"]);
    }

    #[test]
    fn bars_rise_by_two_for_each_decade() {
        let times = [0, 1, 3, 4, 10, 100, 1_000, 60_000].map(|time| Some(ms(time)));
        assert_eq!(sparkline(&times), "▁▂▃▃▄▆██");
        assert_eq!(sparkline(&[None, Some(ms(0))]), " ▁");
    }
}
