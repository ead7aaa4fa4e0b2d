//! What holds a bulk statement back, and how strongly.

use std::time::Duration;

/// What may hold it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Somebody has paused it, or made it slower.
    Order,
    /// Peak hours or a freeze.
    Hours,
    /// A standby is too far behind in time.
    ReplayLag,
    /// A standby is too far behind in bytes.
    ReplayBytes,
    /// A standby is not connected.
    Standbys,
    /// Others had to wait for rows.
    Waiting,
    /// Too many sessions are at work.
    Active,
    /// WAL is written too fast.
    Wal,
    /// Checkpoints come before their time.
    Checkpoints,
    /// Too many dead rows of the table are to be cleaned.
    DeadRows,
    /// No more rows are allowed in a second.
    RowsPerSecond,
    /// The control connection does not answer.
    Control,
}

impl Signal {
    /// The word for it in tables and figures.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Hours => "hours",
            Self::ReplayLag => "replay_lag",
            Self::ReplayBytes => "replay_bytes",
            Self::Standbys => "standbys",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Wal => "wal",
            Self::Checkpoints => "checkpoints",
            Self::DeadRows => "dead_rows",
            Self::RowsPerSecond => "rows_per_second",
            Self::Control => "control",
        }
    }
}

/// A signal that holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Which one.
    pub signal: Signal,
    /// How strongly.
    pub effect: Effect,
    /// Why, for people: `standby "replica1" is 12 s behind (max 5 s)`.
    pub words: String,
}

/// How strongly a signal holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing goes on until it is gone.
    Stops,
    /// The pause grows by so many thousandths of the time that a batch takes.
    Slows(u64),
    /// The next batch waits until then.
    Until(Duration),
    /// Batches are smaller.
    Shrinks,
}

impl Hold {
    pub(super) const fn new(signal: Signal, effect: Effect, words: String) -> Self {
        Self { signal, effect, words }
    }
}

/// However heavily signals weigh that slow: batches go on.
pub(super) const SLOWS_MAX: u64 = 20_000;

/// Up to the half of what is allowed nothing is felt; then the pause grows, so that it seldom comes to a stop.
pub(super) fn nearing(value: u128, limit: u128) -> Option<Effect> {
    if value >= limit {
        return Some(Effect::Stops);
    }
    let thousandths = u64::try_from(value.saturating_mul(1000) / limit.max(1)).unwrap_or(1000);
    let over = thousandths.saturating_sub(500);
    (over > 0).then(|| {
        let left = 1000_u64.saturating_sub(thousandths).max(1);
        Effect::Slows((over.saturating_mul(1000) / left).min(SLOWS_MAX))
    })
}

/// Beyond what is allowed the pause grows by the square.
pub(super) fn beyond(value: u64, limit: u64) -> Option<Effect> {
    if value <= limit {
        return None;
    }
    let thousandths = value.saturating_mul(1000) / limit.max(1);
    Some(Effect::Slows((thousandths.saturating_mul(thousandths) / 1000).min(SLOWS_MAX)))
}

/// An amount of bytes as people say it, in the units of the configuration.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, _) if whole >= 100 => format!("{whole} {name}"),
        (whole, part) => format!("{whole}.{part} {name}"),
    }
}

/// A bound as people say it: exact, where it is exact.
pub(super) fn time(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0, millis) => format!("{millis} ms"),
        (seconds, 0) if seconds < 120 => format!("{seconds} s"),
        _ => crate::pace::blocker::age(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_the_slower() {
        let of = |value| nearing(value, 1000);
        assert_eq!([of(0), of(500)], [None, None]);
        assert_eq!([of(600), of(750), of(900)], [250, 1000, 4000].map(|by| Some(Effect::Slows(by))));
        assert_eq!([of(999), of(1000)], [Some(Effect::Slows(SLOWS_MAX)), Some(Effect::Stops)]);
        assert_eq!(nearing(1, 0), Some(Effect::Stops));
        assert_eq!(beyond(16, 16), None);
        assert_eq!([beyond(24, 16), beyond(999, 1)], [2250, SLOWS_MAX].map(|by| Some(Effect::Slows(by))));
    }

    #[test]
    fn amounts_are_said_as_people_do() {
        let said = [0, 1023, 1536, 5 << 20, 1 << 30, 1_288_490_189, 250 << 20].map(bytes);
        assert_eq!(said, ["0 B", "1023 B", "1.5 kB", "5 MB", "1 GB", "1.2 GB", "250 MB"]);
        let said = [5, 5000, 5300, 7_200_000].map(|ms| time(Duration::from_millis(ms)));
        assert_eq!(said, ["5 ms", "5 s", "5.3 s", "2 h"]);
    }
}
