//! How far a bulk statement is, how fast it goes, and how long it will take.

use std::collections::VecDeque;
use std::time::Duration;

use super::quota;
use super::signal::Hold;
use crate::pace::blocker;

/// How fast it goes is told by so much of the past, pauses and all.
const SLIDING: Duration = Duration::from_secs(30);

/// Between two moments that are remembered.
const APART: Duration = Duration::from_millis(500);

/// What is told of a bulk statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows changed.
    pub rows: u64,
    /// How much of the way is gone, where anybody knows how long it is; 99 at most, since it is not at its end.
    pub percent: Option<u64>,
    /// Rows changed in a second, of late.
    pub rows_per_second: u64,
    /// The time that is left, at the speed of late; none while nothing goes on.
    pub left: Option<Duration>,
}

/// What a bulk statement is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// How far it is.
    pub progress: Progress,
    /// What holds it back, what stops it first.
    pub holds: Vec<Hold>,
    /// Its speed in hundredths of the ordinary one, as people have ordered it.
    pub speed_percent: u64,
    /// No more rows are changed in a second, by configuration or order.
    pub rows_per_second_max: Option<u64>,
}

impl Account {
    /// What is left of it at its end: the rows.
    #[must_use]
    pub fn ended(self) -> Self {
        let progress = Progress { percent: None, left: None, ..self.progress };
        Self { progress, holds: Vec::new(), ..self }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows done", self.rows)?;
        if let Some(percent) = self.percent {
            write!(f, ", {percent} %")?;
        }
        write!(f, ", {} rows/s", self.rows_per_second)?;
        match self.left {
            Some(left) => write!(f, ", about {} left", blocker::age(left)),
            None => Ok(()),
        }
    }
}

/// What was done by a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: Duration,
    visited: u64,
    changed: u64,
}

/// The way gone.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Rows to be visited, as far as anybody knows.
    all: Option<u64>,
    now: Mark,
    marks: VecDeque<Mark>,
}

impl Way {
    /// It is so long.
    pub(super) fn expect(&mut self, rows: Option<u64>) {
        self.all = rows.filter(|rows| *rows > 0);
    }

    /// So many were done before, by somebody else.
    pub(super) fn resume(&mut self, visited: u64, changed: u64) {
        self.now = Mark { visited, changed, ..self.now };
        self.marks.clear();
    }

    /// A batch has ended.
    pub(super) fn add(&mut self, at: Duration, visited: u64, changed: u64) {
        if self.marks.is_empty() {
            self.marks.push_back(self.now);
        }
        let now = Mark {
            at,
            visited: self.now.visited.saturating_add(visited),
            changed: self.now.changed.saturating_add(changed),
        };
        self.now = now;
        if self.marks.back().is_none_or(|last| at.saturating_sub(last.at) >= APART) {
            self.marks.push_back(now);
        }
        let horizon = at.saturating_sub(SLIDING);
        while self.marks.get(1).is_some_and(|second| second.at <= horizon) {
            self.marks.pop_front();
        }
    }

    pub(super) fn progress(&self, at: Duration) -> Progress {
        let horizon = at.saturating_sub(SLIDING);
        let from = self.marks.iter().rev().find(|mark| mark.at <= horizon).or_else(|| self.marks.front());
        let from = from.copied().unwrap_or(self.now);
        let time = at.saturating_sub(from.at);
        let speed = |now: u64, before: u64| quota::rate(now.saturating_sub(before), time);
        let visits = speed(self.now.visited, from.visited);
        let left = self.all.and_then(|all| {
            let rows = all.saturating_sub(self.now.visited);
            (visits > 0 && rows > 0).then(|| quota::time_of(rows, visits))
        });
        Progress {
            rows: self.now.changed,
            percent: self.all.map(|all| percent(self.now.visited, all)),
            rows_per_second: speed(self.now.changed, from.changed),
            left,
        }
    }
}

/// As long as it goes on, it is not at its end, whatever was expected.
fn percent(visited: u64, all: u64) -> u64 {
    let percent = u128::from(visited).saturating_mul(100) / u128::from(all.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX).min(99)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn speed_is_that_of_late() {
        let mut way = Way::default();
        assert_eq!(way.progress(s(0)).to_string(), "0 rows done, 0 rows/s");
        way.expect(Some(100_000));
        for second in 1..=100 {
            way.add(s(second), 500, 250);
        }
        assert_eq!(way.progress(s(100)).to_string(), "25000 rows done, 50 %, 250 rows/s, about 100 s left");
        // Half as fast for a while; then nothing goes on.
        for second in 101..=130 {
            way.add(s(second), 250, 125);
        }
        assert_eq!(way.progress(s(130)).rows_per_second, 125);
        assert_eq!(way.progress(s(145)).rows_per_second, 62);
        let stopped = way.progress(s(300));
        assert_eq!((stopped.rows_per_second, stopped.left), (0, None));
    }

    #[test]
    fn what_was_done_before_counts_but_for_the_speed() {
        let mut way = Way::default();
        way.expect(Some(1000));
        way.resume(400, 40);
        way.add(s(10), 100, 10);
        assert_eq!(way.progress(s(10)).to_string(), "50 rows done, 50 %, 1 rows/s, about 50 s left");
        way.add(s(11), 1000, 100);
        let over = way.progress(s(11));
        assert_eq!((over.percent, over.left), (Some(99), None));
    }
}
