//! How many rows the next range of a key holds, and where it begins.
//!
//! The size follows the time that ranges take, so that nobody waits for a row for longer than can be felt, whatever the
//! machine and the rows are like.

use std::time::Duration;

/// The values of a key, as the server writes them.
pub type Key = Vec<String>;

/// So many rows are in the first range: few enough for any machine, and for a default that takes its time.
const ROWS_FIRST: u64 = 10;

/// However fast it goes: a transaction that fails is done again, and what it has locked is locked together.
const ROWS_MAX: u64 = 20_000;

/// From one range to the next it becomes no more than so many times as big.
const GROWTH_MAX: u32 = 2;

/// It is aimed at so many tenths of the time, since some ranges take longer than the one before.
const AIM_TENTHS: u32 = 8;

/// The pause after a range: this part of the time that it took.
const PAUSE_PART: u32 = 5;

/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// A walk along a key, from the first row to one that was the last when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    bound: Key,
    behind: Option<Key>,
    rows: u64,
    target: Duration,
    over: bool,
}

/// The next range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// It begins behind this key; `None` for the first.
    pub behind: Option<Key>,
    /// It ends with this key.
    pub to: Key,
    /// No more rows than these are in it; `None` where it ends at the bound.
    rows: Option<u64>,
}

impl Walk {
    /// From the first row to `bound`, in ranges that take no longer than `target`.
    pub const fn new(bound: Key, target: Duration) -> Self {
        Self { bound, behind: None, rows: ROWS_FIRST, target, over: false }
    }

    /// The same way once more, as fast as this one went at its end.
    #[must_use]
    pub fn again(self, bound: Key) -> Self {
        Self { bound, behind: None, over: false, ..self }
    }

    /// Whether nothing is left.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// How many rows the next range is to hold.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Where the next range begins and where the last one ends: the search for its end lies between.
    pub fn ahead(&self) -> Range {
        Range { behind: self.behind.clone(), to: self.bound.clone(), rows: None }
    }

    /// The next range, which ends with the row that was found so many rows ahead, or with the bound.
    pub fn next(&self, end: Option<Key>) -> Range {
        let ahead = self.ahead();
        match end {
            Some(to) if to != self.bound => Range { to, rows: Some(self.rows), ..ahead },
            _ => ahead,
        }
    }

    /// A range is done, which took so long; gives the pause that follows.
    pub fn done(&mut self, range: Range, took: Duration) -> Duration {
        self.over = range.rows.is_none();
        // What a shorter one took says nothing of a whole one, unless it took too long all the same.
        if range.rows.is_some() || took > self.target {
            self.rows = next_rows(range.rows.unwrap_or(self.rows), took, self.target);
        }
        self.behind = Some(range.to);
        (took / PAUSE_PART).clamp(PAUSE_MIN, self.target.max(PAUSE_MIN))
    }

    /// A range could not be had, since somebody holds a row of it: with fewer rows fewer people are met, and a single row
    /// is waited for without holding another.
    pub const fn held_up(&mut self) {
        self.rows = if self.rows > 1 { self.rows / 2 } else { 1 };
    }
}

fn next_rows(rows: u64, took: Duration, target: Duration) -> u64 {
    let aim = target.saturating_mul(AIM_TENTHS) / 10;
    let most = rows.saturating_mul(u64::from(GROWTH_MAX));
    let fits = u128::from(rows) * aim.as_micros() / took.as_micros().max(1);
    u64::try_from(fits).unwrap_or(u64::MAX).min(most).clamp(1, ROWS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: Duration = Duration::from_millis(100);

    #[test]
    fn the_size_follows_the_time_both_ways() {
        assert_eq!(next_rows(100, Duration::from_millis(1), TARGET), 200);
        assert_eq!(next_rows(1000, Duration::from_millis(100), TARGET), 800);
        assert_eq!(next_rows(1000, Duration::from_secs(1), TARGET), 80);
        assert_eq!(next_rows(3, Duration::from_mins(1), TARGET), 1);
        assert_eq!(next_rows(ROWS_MAX, Duration::ZERO, TARGET), ROWS_MAX);
    }

    #[test]
    fn who_holds_a_row_makes_it_smaller() {
        let mut walk = Walk::new(vec!["9".to_owned()], TARGET);
        let sizes: Vec<u64> = (0..9)
            .map(|_| {
                walk.held_up();
                walk.rows()
            })
            .collect();
        assert_eq!(sizes, [5, 2, 1, 1, 1, 1, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn each_key_lies_in_one_range(
            keys in prop::collection::btree_set(0..2000_u32, 1..300),
            times in prop::collection::vec(0..400_u64, 1..20),
            comes in 0..2000_u32,
        ) {
            // The server's part: text that is ordered as numbers are, and a row that comes meanwhile.
            let key = |number: &u32| vec![format!("{number:05}")];
            let mut there: Vec<Key> = keys.iter().map(key).collect();
            let bound = there.last().cloned().unwrap();
            let (mut walk, mut met, mut turn) = (Walk::new(bound.clone(), TARGET), Vec::new(), 0);
            while !walk.is_over() {
                let ahead = walk.ahead();
                let within = |range: &Range, key: &Key| {
                    range.behind.as_ref().is_none_or(|behind| key > behind) && *key <= range.to
                };
                let size = usize::try_from(walk.rows()).unwrap();
                let end = there.iter().filter(|key| within(&ahead, key)).take(size).last().cloned();
                let range = walk.next(end);
                met.extend(there.iter().filter(|key| within(&range, key)).cloned());
                walk.done(range, Duration::from_millis(times[turn % times.len()]));
                if turn == 0 && !keys.contains(&comes) {
                    there.push(key(&comes));
                    there.sort();
                }
                turn += 1;
                prop_assert!(turn < 3000);
            }
            let mut once = met.clone();
            once.dedup();
            prop_assert_eq!(&once, &met, "no row twice, in order");
            prop_assert!(keys.iter().all(|number| met.contains(&key(number))));
            prop_assert!(met.iter().all(|key| *key <= bound));
        }
    }
}
