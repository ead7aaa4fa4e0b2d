//! Bounds on an amount for each second: of rows, which are ours alone, and of WAL, which others write too.

use std::time::Duration;

/// What others have written is made up for by no more time than that.
const DEBT_MAX: Duration = Duration::from_secs(10);

/// So long `amount` takes where so much is allowed in a second; not a microsecond less, or they would add up.
pub(super) fn time_of(amount: u64, per_second: u64) -> Duration {
    let micros = u128::from(amount).saturating_mul(1_000_000).div_ceil(per_second.max(1).into());
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// Rows that were changed: the next batch begins when their time is over, and never saves up.
#[derive(Debug, Default)]
pub(super) struct Rows {
    began: Duration,
    changed: u64,
}

impl Rows {
    /// A batch began then, and changed so many.
    pub(super) const fn done(&mut self, began: Duration, changed: u64) {
        (self.began, self.changed) = (began, changed);
    }

    /// How many the last one changed.
    pub(super) const fn changed(&self) -> u64 {
        self.changed
    }

    /// From now on so many are allowed in a second: what was done before takes no longer than that.
    pub(super) fn begin_anew(&mut self, per_second: u64) {
        self.changed = self.changed.min(per_second);
    }

    /// When the next one may begin.
    pub(super) fn ready(&self, per_second: u64) -> Duration {
        self.began.saturating_add(time_of(self.changed, per_second))
    }
}

/// WAL that was written: a bucket that leaks as much in a second as is allowed.
#[derive(Debug, Default)]
pub(super) struct Wal {
    last: Option<(Duration, u64)>,
    debt: u64,
    rate: u64,
}

impl Wal {
    /// The server is at `wal` now, and so much is allowed in a second.
    pub(super) fn add(&mut self, at: Duration, wal: u64, per_second: u64) {
        if let Some((before, place)) = self.last {
            let (time, bytes) = (at.saturating_sub(before), wal.saturating_sub(place));
            let leaked = amount_in(time, per_second);
            let most = amount_in(DEBT_MAX, per_second);
            self.debt = self.debt.saturating_add(bytes).saturating_sub(leaked).min(most);
            self.rate = rate(bytes, time);
        }
        self.last = Some((at, wal));
    }

    /// When as much has leaked as was written.
    pub(super) fn ready(&self, per_second: u64) -> Duration {
        let since = self.last.map_or(Duration::ZERO, |(at, _)| at);
        since.saturating_add(time_of(self.debt, per_second))
    }

    /// Bytes in a second, between the last two looks.
    pub(super) const fn rate(&self) -> u64 {
        self.rate
    }
}

/// So much is allowed in that time.
fn amount_in(time: Duration, per_second: u64) -> u64 {
    let amount = time.as_micros().saturating_mul(u128::from(per_second)) / 1_000_000;
    u64::try_from(amount).unwrap_or(u64::MAX)
}

/// So much in a second.
pub(super) fn rate(amount: u64, time: Duration) -> u64 {
    let rate = u128::from(amount).saturating_mul(1_000_000) / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn rows_take_their_time() {
        let mut rows = Rows::default();
        rows.done(ms(500), 100);
        assert_eq!(rows.ready(1000), ms(600));
        assert_eq!(rows.ready(10), ms(10_500));
        assert_eq!(rows.ready(0), ms(100_500), "nothing is divided by nothing");
    }

    #[test]
    fn what_was_written_leaks() {
        let mut wal = Wal::default();
        wal.add(ms(0), 5000, 1000);
        assert_eq!(wal.ready(1000), ms(0), "what was there before is nobody's");
        wal.add(ms(500), 7000, 1000);
        assert_eq!((wal.ready(1000), wal.rate()), (ms(500 + 1500), 4000));
        wal.add(ms(1500), 7000, 1000);
        assert_eq!((wal.ready(1000), wal.rate()), (ms(1500 + 500), 0));
        // Others write a hundred times as much as is allowed: that is not made up for ever after.
        wal.add(ms(2500), 107_000, 1000);
        assert_eq!(wal.ready(1000), ms(2500 + 10_000));
    }
}
