//! What a bulk statement goes by.

use std::time::Duration;

/// What makes a statement bulk, how big its batches are, and what holds them back. A signal without a threshold is off.
#[expect(clippy::struct_excessive_bools, reason = "each switches something by itself")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A statement that may touch more rows is bulk.
    pub rows: u64,
    /// So long a batch is to take; never more than half of what others may be kept waiting.
    pub batch_time: Duration,
    /// No batch has fewer rows, however long it takes.
    pub batch_rows_min: u64,
    /// No batch has more rows, however quick it is.
    pub batch_rows_max: u64,
    /// No more rows are changed in a second.
    pub rows_per_second: Option<u64>,
    /// No standby that counts is to be further behind in time.
    pub replay_lag_max: Option<Duration>,
    /// Nor in bytes of WAL.
    pub replay_bytes_max: Option<u64>,
    /// The standbys that count, by their `application_name`; where none is named, all that are connected and replay.
    pub standbys: Vec<String>,
    /// What becomes of a batch while one that is named is not connected.
    pub missing_standby: Missing,
    /// Longer nobody is to wait for rows of a batch.
    pub waiting_max: Option<Duration>,
    /// The cores of the database's machine, which no server tells.
    pub cores: Option<u32>,
    /// More sessions at work for each core are a reason to go slower.
    pub active_per_core: u32,
    /// So many bytes of WAL may be written in a second, by whomever.
    pub wal_per_second: Option<u64>,
    /// Whether checkpoints that come before their time are a reason to go slower.
    pub checkpoints: bool,
    /// More dead rows of the table are a reason to go slower.
    pub dead_rows_max: Option<u64>,
    /// After so many rows the table is vacuumed.
    pub vacuum_every: Option<u64>,
    /// Whoever keeps dead rows from being cleaned for so long is told.
    pub old_snapshot: Option<Duration>,
    /// Whether COPY .. FROM STDIN is held back by the same signals.
    pub copy: bool,
    /// No more of its bytes are read in a second.
    pub copy_bytes_per_second: Option<u64>,
    /// What becomes of a statement whose client is lost.
    pub without_client: Alone,
}

/// What becomes of a statement whose client is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    /// A proxy goes on with it.
    GoesOn,
    /// It stops behind its batch, until somebody goes on with it.
    Stops,
}

/// What becomes of batches while a standby that is named is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// They wait, since it falls behind.
    Hold,
    /// They go on.
    Ignore,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rows: 10_000,
            batch_time: Duration::from_millis(100),
            batch_rows_min: 1,
            batch_rows_max: 20_000,
            rows_per_second: None,
            replay_lag_max: Some(Duration::from_secs(5)),
            replay_bytes_max: Some(1 << 30),
            standbys: Vec::new(),
            missing_standby: Missing::Hold,
            waiting_max: Some(Duration::from_millis(50)),
            cores: None,
            active_per_core: 2,
            wal_per_second: None,
            checkpoints: true,
            dead_rows_max: None,
            vacuum_every: None,
            old_snapshot: Some(Duration::from_mins(5)),
            copy: true,
            copy_bytes_per_second: None,
            without_client: Alone::GoesOn,
        }
    }
}

impl Settings {
    /// Whether how far standbys are matters.
    pub(super) const fn heeds_standbys(&self) -> bool {
        self.replay_lag_max.is_some() || self.replay_bytes_max.is_some()
    }

    /// Whether anything is asked that the control connection has to answer.
    pub(super) const fn looks(&self) -> bool {
        self.heeds_standbys()
            || self.cores.is_some()
            || self.wal_per_second.is_some()
            || self.checkpoints
            || self.dead_rows_max.is_some()
            || self.old_snapshot.is_some()
    }

    /// The number of sessions at work that is too many.
    pub(super) fn active_max(&self) -> Option<u64> {
        self.cores.map(|cores| u64::from(cores).saturating_mul(u64::from(self.active_per_core)).max(1))
    }
}
