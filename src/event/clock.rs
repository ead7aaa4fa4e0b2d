//! The only place where time is read.

#![expect(clippy::disallowed_methods, reason = "this file is where time is read")]

use std::future::Future;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A point of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Instant);

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// Time since then.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_duration_since(self.0)
    }

    /// Time until then; none if it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Self::now().0)
    }

    /// So much later; a time beyond the clock's reach is now.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.checked_add(time).unwrap_or(self.0))
    }
}

/// What the clock on the wall shows; it may be put forward and back.
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// What `work` brings if it ends in time.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// Waits so long.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until then.
pub async fn until(moment: Moment) {
    tokio::time::sleep_until(moment.0.into()).await;
}
