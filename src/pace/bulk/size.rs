//! How many rows the next batch has.
//!
//! Up by steps that stay the same, down by a part of the whole, so that several statements at once find their shares. As long as
//! a batch takes but a fraction of its time the number doubles: so it begins, and so it comes back after a disturbance.

use std::time::Duration;

/// So many rows are in the first batch: few enough for any machine.
const ROWS_FIRST: u64 = 10;

/// It is aimed at so many tenths of the time, since some batches take longer than the one before. Between that and the whole time a
/// number is kept.
const AIM_TENTHS: u32 = 8;

/// A step up is this part of the number at which it last went down.
const STEP_PART: u64 = 16;

/// So many eighths of the number are left at least when it goes down, ..
const LEAST_EIGHTHS: u64 = 1;

/// .. and so many at most.
const MOST_EIGHTHS: u64 = 7;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Size {
    rows: u64,
    least: u64,
    most: u64,
    step: u64,
    /// It has gone down once.
    found: bool,
}

impl Size {
    pub(super) fn new(least: u64, most: u64) -> Self {
        let least = least.max(1);
        let most = most.max(least);
        Self { rows: ROWS_FIRST.clamp(least, most), least, most, step: 1, found: false }
    }

    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// A batch of so many rows took so long, and was to take no longer than `target`.
    pub(super) fn done(&mut self, rows: u64, took: Duration, target: Duration) {
        let aim = target.saturating_mul(AIM_TENTHS) / 10;
        if took > target {
            let fits = u128::from(rows.min(self.rows)) * aim.as_micros() / took.as_micros().max(1);
            let least = self.rows.saturating_mul(LEAST_EIGHTHS) / 8;
            let most = self.rows.saturating_mul(MOST_EIGHTHS) / 8;
            self.jump(u64::try_from(fits).unwrap_or(u64::MAX).clamp(least, most));
            self.found = true;
        } else if rows < self.rows {
            // What a shorter one took says nothing of a whole one.
        } else if took <= aim / if self.found { 4 } else { 2 } {
            self.jump(self.rows.saturating_mul(2));
        } else if took <= aim && self.stepped(took) <= target {
            self.rows = self.rows.saturating_add(self.step).min(self.most);
        }
    }

    /// What a batch would take that is a step bigger than one that took so long; where rows are few, a step is much.
    fn stepped(&self, took: Duration) -> Duration {
        let micros = took.as_micros().saturating_mul(self.rows.saturating_add(self.step).into());
        Duration::from_micros(u64::try_from(micros / u128::from(self.rows.max(1))).unwrap_or(u64::MAX))
    }

    /// Somebody stood in the way of a batch, or waited for it: with fewer rows fewer people are met.
    pub(super) fn halve(&mut self) {
        self.jump(self.rows / 2);
        self.found = true;
    }

    /// It had better have no more than so many.
    pub(super) fn lower_to(&mut self, rows: u64) {
        if rows < self.rows {
            self.jump(rows);
            self.found = true;
        }
    }

    fn jump(&mut self, rows: u64) {
        self.rows = rows.clamp(self.least, self.most);
        self.step = (self.rows / STEP_PART).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(100);

    /// The sizes that follow when batches take so long for each row, and some time besides.
    fn sizes(size: &mut Size, (each, besides): (u64, u64), batches: usize) -> Vec<u64> {
        let mut one = || {
            let took = Duration::from_micros(besides + size.rows() * each);
            size.done(size.rows(), took, TARGET);
            size.rows()
        };
        (0..batches).map(|_| one()).collect()
    }

    #[test]
    fn quickly_at_first_then_in_steps() {
        let mut size = Size::new(1, 20_000);
        assert_eq!(sizes(&mut size, (150, 0), 6), [20, 40, 80, 160, 320, 340]);
        // Three times as slow.
        assert_eq!(sizes(&mut size, (450, 0), 3), [177, 188, 188]);
        // And quick again: steps, then doubled since nothing is near.
        assert_eq!(sizes(&mut size, (200, 0), 3), [199, 210, 221]);
        assert_eq!(sizes(&mut size, (10, 0), 3), [442, 884, 1768]);
    }

    #[test]
    fn a_batch_that_takes_for_ever_takes_an_eighth_at_most_each_time() {
        let mut size = Size::new(1, 20_000);
        sizes(&mut size, (1, 0), 12);
        assert_eq!(size.rows(), 20_000);
        assert_eq!(sizes(&mut size, (1_000_000, 0), 6), [2500, 312, 39, 4, 1, 1]);
    }

    #[test]
    fn a_short_batch_says_nothing_unless_it_took_too_long() {
        let mut size = Size::new(1, 1000);
        size.done(3, Duration::ZERO, TARGET);
        assert_eq!(size.rows(), 10);
        size.done(3, TARGET * 2, TARGET);
        assert_eq!(size.rows(), 1);
    }

    #[test]
    fn who_stands_in_the_way_makes_it_smaller() {
        let mut size = Size::new(2, 1000);
        let mut one = || {
            size.halve();
            size.rows()
        };
        assert_eq!([one(), one(), one()], [5, 2, 2]);
    }
}
