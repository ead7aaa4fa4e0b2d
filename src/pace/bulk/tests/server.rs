//! A server, its standby and its other sessions, simulated: what a batch takes there, and what is seen of it.

use std::time::Duration;

use super::super::{Batch, Controller, Kind, Next, Pressure, Sight, Standby};

/// What the answer to a question takes.
const LOOK: Duration = Duration::from_millis(1);

/// The simulated world.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) now: Duration,
    /// What a batch takes besides its rows.
    pub(super) batch_micros: u64,
    pub(super) row_micros: u64,
    /// Percent by which batches take longer, one after the other.
    pub(super) jitter: Vec<u64>,
    /// WAL for each row.
    pub(super) row_bytes: u64,
    /// WAL that others write in a second.
    pub(super) others_bytes: u64,
    pub(super) standby: Option<Replay>,
    pub(super) active: u64,
    /// A checkpoint is requested after so much WAL.
    pub(super) checkpoint_bytes: u64,
    pub(super) wal: u64,
    /// Every batch that was done.
    pub(super) done: Vec<Done>,
    /// Where the standby was and where the primary: at each look.
    pub(super) looked: Vec<Look>,
}

/// A standby that replays at a certain speed.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    pub(super) bytes_per_second: u64,
    pub(super) replayed: u64,
    pub(super) paused: bool,
}

/// A batch that was done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) began: Duration,
    pub(super) took: Duration,
    pub(super) rows: u64,
}

/// What was seen once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) at: Duration,
    pub(super) behind: u64,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            now: Duration::ZERO,
            batch_micros: 2000,
            row_micros: 50,
            jitter: vec![0],
            row_bytes: 500,
            others_bytes: 10_000,
            standby: None,
            active: 1,
            checkpoint_bytes: u64::MAX,
            wal: 1 << 40,
            done: Vec::new(),
            looked: Vec::new(),
        }
    }

    pub(super) fn with_standby(bytes_per_second: u64) -> Self {
        let server = Self::new();
        let standby = Replay { bytes_per_second, replayed: server.wal, paused: false };
        Self { standby: Some(standby), ..server }
    }

    fn goes_on(&mut self, time: Duration) {
        let amount = |per_second: u64| {
            u64::try_from(u128::from(per_second) * time.as_micros() / 1_000_000).expect("an amount")
        };
        self.now += time;
        self.wal += amount(self.others_bytes);
        if let Some(standby) = self.standby.as_mut().filter(|standby| !standby.paused) {
            standby.replayed = (standby.replayed + amount(standby.bytes_per_second)).min(self.wal);
        }
    }

    /// `replay_lag` is null throughout, as where nothing was measured.
    fn pressure(&self) -> Pressure {
        let standby = self.standby.as_ref().map(|standby| Standby {
            pid: 1,
            name: "replica1".into(),
            replayed: standby.replayed,
            lag: None,
            kind: Kind::Physical,
        });
        Pressure {
            wal: self.wal,
            standbys: standby.into_iter().collect(),
            sight: Sight::Clear,
            active: self.active,
            checkpoints_requested: self.wal / self.checkpoint_bytes,
            ..Pressure::default()
        }
    }

    fn batch(&mut self, rows: u64) -> Batch {
        let late = 100 + self.jitter[self.done.len() % self.jitter.len()];
        let took = Duration::from_micros((self.batch_micros + rows * self.row_micros) * late / 100);
        self.done.push(Done { began: self.now, took, rows });
        self.wal += rows * self.row_bytes;
        self.goes_on(took);
        Batch { visited: rows, changed: rows, took, others_waited: Duration::ZERO }
    }

    /// Lets the statement run for so long; whatever it says, it is checked that it keeps to its bounds.
    pub(super) fn run(&mut self, pace: &mut Controller, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            if pace.looks(self.now) {
                self.goes_on(LOOK);
                let replayed = self.standby.as_ref().map_or(self.wal, |standby| standby.replayed);
                self.looked.push(Look { at: self.now, behind: self.wal - replayed });
                pace.see(self.now, Some(self.pressure()));
            }
            match pace.next(self.now, None) {
                Next::Wait { time } => {
                    assert!(time > Duration::ZERO && time <= super::super::LOOK_EVERY);
                    self.goes_on(time);
                }
                Next::Batch { rows } => {
                    let bounds = pace.settings.batch_rows_min..=pace.settings.batch_rows_max;
                    assert!(rows > 0 && bounds.contains(&rows), "{rows}");
                    let batch = self.batch(rows);
                    pace.done(self.now, &batch);
                }
            }
        }
    }

    /// The batches that began since.
    pub(super) fn since(&self, at: Duration) -> &[Done] {
        let first = self.done.partition_point(|done| done.began < at);
        &self.done[first..]
    }

    /// The rows that were done since.
    pub(super) fn rows_since(&self, at: Duration) -> u64 {
        self.since(at).iter().map(|done| done.rows).sum()
    }
}
