//! How long ago the primary was where a standby is now.
//!
//! `replay_lag` alone is not enough: it is measured when a standby answers, and so stands still when it is cut off, and is null
//! where a standby has been silent since before it connected (`LagTrackerRead` in `walsender.c`).

use std::collections::VecDeque;
use std::time::Duration;

use super::pressure::Standby;

/// So many places are kept of the time that matters.
const KEPT: u32 = 64;

/// Where the primary was, and when.
#[derive(Debug, Default)]
pub(super) struct Trail {
    places: VecDeque<(Duration, u64)>,
}

impl Trail {
    /// It is at `wal` now; a lag of `matters` is to be recognized.
    pub(super) fn add(&mut self, at: Duration, wal: u64, matters: Duration) {
        // A server that is further back is another one.
        if self.places.back().is_some_and(|(_, last)| *last > wal) {
            self.places.clear();
        }
        let apart = matters / KEPT;
        if self.places.back().is_none_or(|(last, _)| at.saturating_sub(*last) >= apart) {
            self.places.push_back((at, wal));
        }
        // The first one stays until the second is old enough to tell.
        let horizon = at.saturating_sub(matters.saturating_mul(2));
        while self.places.get(1).is_some_and(|(second, _)| *second <= horizon) {
            self.places.pop_front();
        }
    }

    /// How far a standby is behind, in time, at the moment at which the primary is at `wal`.
    pub(super) fn lag(&self, at: Duration, wal: u64, standby: &Standby) -> Duration {
        if standby.replayed >= wal {
            return Duration::ZERO;
        }
        let passed = self.places.iter().find(|(_, place)| *place > standby.replayed);
        let own = passed.map_or(Duration::ZERO, |(since, _)| at.saturating_sub(*since));
        own.max(standby.lag.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pressure::Kind;
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn standby(replayed: u64, lag: Option<Duration>) -> Standby {
        Standby { pid: 1, name: "s".into(), replayed, lag, kind: Kind::Physical }
    }

    #[test]
    fn time_is_told_by_where_the_primary_was() {
        let mut trail = Trail::default();
        for second in 0..=30 {
            trail.add(s(second), 1000 + second * 10, s(5));
        }
        let lag = |replayed, lag| trail.lag(s(30), 1300, &standby(replayed, lag));
        assert_eq!(lag(1300, None), s(0), "caught up");
        assert_eq!(lag(1300, Some(s(60))), s(0), "what the server says is old");
        assert_eq!(lag(1295, None), s(0), "it was there less than a look ago");
        assert_eq!(lag(1255, None), s(4), "paused, and the server says nothing");
        assert_eq!(lag(1255, Some(s(7))), s(7));
        assert_eq!(lag(0, None), s(10), "as far as is remembered");
        assert!(trail.places.len() < 100);
    }

    #[test]
    fn another_server_begins_anew() {
        let mut trail = Trail::default();
        trail.add(s(0), 1000, s(5));
        trail.add(s(1), 10, s(5));
        assert_eq!(trail.lag(s(9), 20, &standby(5, None)), s(8));
    }
}
