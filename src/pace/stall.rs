//! How long others may stand behind a statement of ours before it gives way.

use std::time::Duration;

/// What is seen at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The longest that anybody behind ours has been waiting for it; zero when nobody waits.
    pub longest: Duration,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look again.
    Look {
        /// After so long; never zero.
        after: Duration,
    },
    /// Cancel the statement.
    Cancel,
}

/// So often it is looked, unless somebody's time is over before.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// This part of the longest stall is left for what comes on top: the cancel request, and the statement's end.
const MARGIN: u32 = 10;

/// The bound on what others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    limit: Duration,
}

impl Stall {
    /// Nobody is to wait longer than `max_stall`.
    pub fn new(max_stall: Duration) -> Self {
        Self { limit: max_stall.saturating_sub(max_stall / MARGIN) }
    }

    /// What to do, given what is seen.
    pub fn next(&self, sample: &Sample) -> Next {
        let left = self.limit.saturating_sub(sample.longest);
        if left.is_zero() && !sample.longest.is_zero() {
            return Next::Cancel;
        }
        Next::Look { after: LOOK_EVERY.min(left).max(Duration::from_millis(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn looks_more_often_as_time_runs_out() {
        let stall = Stall::new(ms(100));
        let next = |longest| stall.next(&Sample { longest: ms(longest) });
        assert_eq!(next(0), Next::Look { after: ms(25) });
        assert_eq!(next(60), Next::Look { after: ms(25) });
        assert_eq!(next(80), Next::Look { after: ms(10) });
        assert_eq!(next(89), Next::Look { after: ms(1) });
        assert_eq!(next(90), Next::Cancel);
        assert_eq!(next(5000), Next::Cancel);
    }

    proptest! {
        #[test]
        fn nobody_is_forgotten_beyond_the_limit(max_stall in 1_u64..10_000, longest in 0_u64..20_000) {
            let stall = Stall::new(ms(max_stall));
            match stall.next(&Sample { longest: ms(longest) }) {
                Next::Cancel => prop_assert!(longest > 0 && ms(longest) >= stall.limit),
                Next::Look { after } => {
                    prop_assert!(after > Duration::ZERO && after <= LOOK_EVERY);
                    prop_assert!(ms(longest) + after <= ms(max_stall).max(ms(1)));
                }
            }
        }
    }
}
