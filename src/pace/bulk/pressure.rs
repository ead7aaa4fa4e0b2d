//! What the control connection sees of how much the server and its standbys have to do.

use std::time::Duration;

/// One look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pressure {
    /// How far WAL is flushed, in bytes from its beginning; only that is sent to standbys.
    pub wal: u64,
    /// Everybody who receives WAL; none where the role may not see them.
    pub standbys: Vec<Standby>,
    /// What the role of the control connection may see.
    pub sight: Sight,
    /// Sessions at work in all databases but those of the statement and of the control connection itself: neither idle nor
    /// waiting for a lock or a client. Zero where the role may not see them.
    pub active: u64,
    /// Checkpoints that somebody has asked for since the figures were reset; most often the server itself, when WAL was about to
    /// outgrow `max_wal_size`.
    pub checkpoints_requested: u64,
    /// Dead rows of the table that is written, as the statistics count them.
    pub dead_rows: u64,
    /// Whose snapshot is the oldest of all that keep dead rows of this database from being cleaned, the statement's own apart.
    pub keeper: Option<Keeper>,
}

/// Somebody whose snapshot, or whose open transaction, keeps dead rows from being cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// For people: `process 4711 of user "report"`.
    pub who: String,
    /// The oldest transaction that it may still see.
    pub xmin: String,
    /// How long ago its transaction began; `None` where no server tells.
    pub age: Option<Duration>,
}

impl Keeper {
    /// Whether it has not moved.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.who, &self.xmin) == (&other.who, &other.xmin)
    }
}

/// A session to which WAL is sent, and that says how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// The process that sends to it.
    pub pid: i32,
    /// Its `application_name`, which it may share with others: without one of its own it is `walreceiver`.
    pub name: String,
    /// How far it has replayed, in bytes as `Pressure::wal`.
    pub replayed: u64,
    /// `replay_lag`: none where nothing was sent lately, and old where the standby has not answered since.
    pub lag: Option<Duration>,
    /// What it does with it.
    pub kind: Kind,
}

/// What is done with WAL that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is replayed.
    Physical,
    /// It is decoded: a subscription, or a program that captures changes, which may confirm late by its nature. It counts where it is
    /// named only.
    Logical,
}

/// What a role may see of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sight {
    /// All that is asked for.
    #[default]
    Clear,
    /// Neither how far standbys are nor who is at work: it is no member of `pg_read_all_stats`.
    Dim,
}
