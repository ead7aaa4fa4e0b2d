//! How fast a bulk statement goes: how many rows its next batch has, and how long the pause before it is.
//!
//! The number of rows follows the time that batches take (`size`). The pause follows what the control connection sees (`sense`), what
//! people have ordered, and bounds on rows and WAL for each second (`quota`). Some signals stop it until they are gone: a standby
//! that is too far behind, a pause, peak hours. Others only slow it down, since they may never end: it goes on, however slowly.
//!
//! Who carries the statement out asks in a loop: where it `looks`, what is seen is given to `see`; `next` says to wait, or how many rows
//! to take; what became of them goes to `done` or `held_up`. In between `holds` and `progress` are there to be told.
//!
//! Deliberately not here: time, which is given as the time since the beginning; who waits behind a batch (`pace::stall`), which
//! is cut off there and is told here as `held_up`.

mod dead;
mod flow;
mod follower;
mod pressure;
mod progress;
mod quota;
mod sense;
mod settings;
mod signal;
mod size;
mod trail;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use dead::Kept;
pub use flow::Flow;
pub use pressure::{Keeper, Kind, Pressure, Sight, Standby};
pub use progress::{Account, Progress};
pub use settings::{Alone, Missing, Settings};
pub use signal::{Effect, Hold, Signal};

use progress::Way;
use sense::Sense;
use size::Size;

/// So often it is looked, and a pause lasts no longer before it is asked again.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// After a batch there is a pause of this part of its time.
const PAUSE_PART: u32 = 5;

/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// Whoever was in the way of a batch is given so much time.
const HELD_UP_PAUSE: Duration = Duration::from_millis(100);

/// However many signals slow it down: so often a batch goes.
const SLOWED_MAX: Duration = Duration::from_secs(10);

/// Rows for each second come in batches of no more than are allowed in that time.
const QUOTA_SPREAD: Duration = Duration::from_secs(1);

/// Speed is counted in thousandths.
const SPEED: u64 = 1000;

/// How much slower or faster people may make it.
const SPEEDS: std::ops::RangeInclusive<u64> = 10..=100_000;

/// The controller of one bulk statement.
#[derive(Debug)]
pub struct Controller {
    settings: Settings,
    /// No batch is to take longer.
    limit: Duration,
    size: Size,
    rows: quota::Rows,
    sense: Sense,
    way: Way,
    paused: Option<String>,
    speed: u64,
    /// Who has changed the speed last, ..
    speed_by: String,
    /// .. and who the rows for each second; nobody has where the configuration says it.
    rows_by: Option<String>,
    last: Option<Last>,
    looked: Option<Duration>,
    holds: Vec<Hold>,
}

/// The last batch.
#[derive(Debug, Clone, Copy)]
struct Last {
    ended: Duration,
    took: Duration,
    others_waited: Duration,
    /// It did not come to its end.
    held_up: bool,
}

/// A batch that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Rows in its range, whether they were changed or not.
    pub visited: u64,
    /// Rows changed.
    pub changed: u64,
    /// From its first statement to the answer to its COMMIT.
    pub took: Duration,
    /// The longest that anybody waited for it.
    pub others_waited: Duration,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A batch of so many rows; never none.
    Batch {
        /// How many.
        rows: u64,
    },
    /// Nothing, for so long; then ask again. Never no time.
    Wait {
        /// How long; `LOOK_EVERY` at most.
        time: Duration,
    },
}

/// What people order while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Stop between two batches.
    Pause,
    /// Go on.
    Resume,
    /// So many times as fast: shorter pauses, and longer batches as far as `max_stall` allows.
    Faster(u32),
    /// So many times as slow.
    Slower(u32),
    /// No more rows in a second than these; with none, as many as may be.
    RowsPerSecond(Option<u64>),
}

impl Order {
    /// The word for it, by which people give it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Faster(_) => "faster",
            Self::Slower(_) => "slower",
            Self::RowsPerSecond(_) => "rate",
        }
    }
}

impl Controller {
    /// At its beginning. Others may wait for `max_stall`, so that no batch is to take longer than half of that.
    pub fn new(settings: Settings, max_stall: Duration) -> Self {
        let size = Size::new(settings.batch_rows_min, settings.batch_rows_max);
        Self {
            settings,
            limit: max_stall / 2,
            size,
            rows: quota::Rows::default(),
            sense: Sense::default(),
            way: Way::default(),
            paused: None,
            speed: SPEED,
            speed_by: String::new(),
            rows_by: None,
            last: None,
            looked: None,
            holds: Vec::new(),
        }
    }

    /// About so many rows have to be visited; none where nobody knows.
    pub fn expect(&mut self, rows: Option<u64>) {
        self.way.expect(rows);
    }

    /// It goes on where an earlier run has stopped, which had visited and changed so many.
    pub fn resume(&mut self, visited: u64, changed: u64) {
        self.way.resume(visited, changed);
    }

    /// Whether it is time to ask the control connection.
    pub fn looks(&self, at: Duration) -> bool {
        let due = self.looked.is_none_or(|looked| at.saturating_sub(looked) >= LOOK_EVERY);
        due && self.settings.looks()
    }

    /// Takes in what the control connection has answered; `None` where it did not answer. Where there is no such connection, this is
    /// never called.
    pub fn see(&mut self, at: Duration, pressure: Option<Pressure>) {
        self.looked = Some(at);
        self.sense.see(at, pressure, &self.settings);
    }

    /// What to do at this moment. `hours`: what peak hours or a freeze say against it.
    pub fn next(&mut self, at: Duration, hours: Option<&str>) -> Next {
        let hours = hours.map(|words| Hold::new(Signal::Hours, Effect::Stops, words.to_owned()));
        let mut holds: Vec<Hold> = self.orders().chain(hours).collect();
        holds.extend(self.sense.holds(&self.settings));
        holds.extend(self.others());
        let ready = self.ready(&holds);
        let allowed = self.settings.rows_per_second.map(|most| (most, self.rows.ready(most)));
        let stopped = holds.iter().any(|hold| hold.effect == Effect::Stops);
        if let Some((most, allowed)) = allowed
            && allowed > ready
        {
            let by = self.rows_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            let words = format!("no more than {most} rows a second are allowed{by}");
            holds.push(Hold::new(Signal::RowsPerSecond, Effect::Until(allowed), words));
        }
        holds.sort_by_key(|hold| hold.effect != Effect::Stops);
        self.holds = holds;
        let ready = allowed.map_or(ready, |(_, allowed)| allowed.max(ready));
        if stopped {
            Next::Wait { time: LOOK_EVERY }
        } else if ready > at {
            Next::Wait { time: ready.saturating_sub(at).min(LOOK_EVERY) }
        } else {
            Next::Batch { rows: self.size.rows() }
        }
    }

    /// A batch is done, and its COMMIT was answered at this moment.
    pub fn done(&mut self, at: Duration, batch: &Batch) {
        self.rows.done(at.saturating_sub(batch.took), batch.changed);
        self.way.add(at, batch.visited, batch.changed);
        let Batch { took, others_waited, .. } = *batch;
        self.last = Some(Last { ended: at, took, others_waited, held_up: false });
        if self.settings.waiting_max.is_some_and(|most| others_waited > most) {
            self.size.halve();
        } else {
            self.size.done(batch.visited, took.max(self.quota_time(batch.changed)), self.target());
        }
    }

    /// A batch was rolled back, after so long: somebody held a row of it, or waited for one for too long.
    pub fn held_up(&mut self, at: Duration, took: Duration) {
        self.size.halve();
        self.last = Some(Last { ended: at, took, others_waited: Duration::ZERO, held_up: true });
    }

    /// Takes an order of somebody, whose name follows "by".
    pub fn order(&mut self, by: &str, order: &Order) {
        match *order {
            Order::Pause => self.paused = Some(by.to_owned()),
            Order::Resume => self.paused = None,
            Order::Faster(times) => self.set_speed(by, self.speed.saturating_mul(times.max(1).into())),
            Order::Slower(times) => self.set_speed(by, self.speed / u64::from(times.max(1))),
            Order::RowsPerSecond(most) => {
                self.rows_by = Some(by.to_owned());
                self.set_rows_per_second(most.map(|most| most.max(1)));
            }
        }
    }

    /// Who has paused it.
    pub fn paused_by(&self) -> Option<&str> {
        self.paused.as_deref()
    }

    /// Whether nothing goes on until something is gone that is no fault of its own.
    pub fn is_stopped(&self) -> bool {
        self.holds.iter().any(|hold| hold.effect == Effect::Stops)
    }

    /// How far it is, how fast it goes, and why not faster.
    pub fn account(&self, at: Duration) -> Account {
        let progress = self.progress(at);
        // Nobody knows when what stops it is gone.
        let left = progress.left.filter(|_| !self.is_stopped());
        Account {
            progress: Progress { left, ..progress },
            holds: self.holds.clone(),
            speed_percent: self.speed_percent(),
            rows_per_second_max: self.settings.rows_per_second,
        }
    }

    /// What held it back when it was last asked what to do, what stops it first.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// What is to be heeded and cannot be seen, and what helps: a sentence for a WARNING.
    pub fn unseen(&self) -> Option<String> {
        self.sense.unseen(&self.settings)
    }

    /// Who has kept dead rows from being cleaned for too long.
    pub fn kept(&self) -> Option<Kept> {
        self.sense.kept(&self.settings)
    }

    /// After so many rows of its own the table is vacuumed.
    pub const fn vacuum_every(&self) -> Option<u64> {
        self.settings.vacuum_every
    }

    /// How far it is.
    pub fn progress(&self, at: Duration) -> Progress {
        self.way.progress(at)
    }

    /// So long a batch is to take.
    pub fn target(&self) -> Duration {
        let time = self.settings.batch_time;
        let faster = scaled(time, self.speed.max(SPEED), SPEED);
        faster.min(self.limit).max(Duration::from_millis(1))
    }

    /// How many rows the next batch has.
    pub const fn batch_rows(&self) -> u64 {
        self.size.rows()
    }

    /// Its speed in hundredths of the ordinary one, as people have ordered it.
    pub const fn speed_percent(&self) -> u64 {
        self.speed / 10
    }

    fn set_speed(&mut self, by: &str, speed: u64) {
        by.clone_into(&mut self.speed_by);
        self.speed = speed.clamp(*SPEEDS.start(), *SPEEDS.end());
    }

    /// A batch of the old size could take many seconds' share at once.
    fn set_rows_per_second(&mut self, most: Option<u64>) {
        self.settings.rows_per_second = most;
        if let Some(most) = most.filter(|most| *most < self.rows.changed()) {
            let rows = u128::from(self.size.rows()) * u128::from(most) / u128::from(self.rows.changed());
            self.size.lower_to(u64::try_from(rows).unwrap_or(u64::MAX));
            self.rows.begin_anew(most);
        }
    }

    /// When the next batch may go, rows for each second apart.
    fn ready(&self, holds: &[Hold]) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        let took = last.took.min(self.target());
        let slowed = holds.iter().fold(0_u64, |sum, hold| match hold.effect {
            Effect::Slows(by) => sum.saturating_add(by),
            Effect::Stops | Effect::Until(_) | Effect::Shrinks => sum,
        });
        let least = if last.held_up { HELD_UP_PAUSE } else { PAUSE_MIN };
        let rest = (took / PAUSE_PART).max(least).saturating_add(scaled(took, slowed, 1000));
        let turn = scaled(took.saturating_add(rest), SPEED, self.speed);
        let pause = turn.saturating_sub(took);
        let until = holds.iter().filter_map(|hold| match hold.effect {
            Effect::Until(then) => Some(then.saturating_sub(last.ended)),
            Effect::Stops | Effect::Slows(_) | Effect::Shrinks => None,
        });
        let pause = until.fold(pause.min(SLOWED_MAX), |pause, until| pause.max(until.min(SLOWED_MAX)));
        last.ended.saturating_add(pause)
    }

    /// The time of a batch that changed as many rows as are allowed while they are spread.
    fn quota_time(&self, changed: u64) -> Duration {
        let Some(most) = self.settings.rows_per_second else { return Duration::ZERO };
        let needs = quota::time_of(changed, most);
        let spread = u64::try_from(QUOTA_SPREAD.as_micros()).unwrap_or(u64::MAX);
        scaled(self.target(), u64::try_from(needs.as_micros()).unwrap_or(u64::MAX), spread)
    }

    fn orders(&self) -> impl Iterator<Item = Hold> + use<> {
        let paused = self.paused.as_ref();
        let paused =
            paused.map(|by| Hold::new(Signal::Order, Effect::Stops, format!("it was paused by {by}")));
        let slower = (self.speed < SPEED).then(|| {
            let words =
                format!("it was told by {} to go at {} % of its speed", self.speed_by, self.speed_percent());
            Hold::new(Signal::Order, Effect::Slows(0), words)
        });
        paused.into_iter().chain(slower)
    }

    /// Those who were in the way of the last batch, or waited for it.
    fn others(&self) -> Option<Hold> {
        let last = self.last?;
        let most = self.settings.waiting_max.filter(|most| last.others_waited > *most);
        let words = match most {
            Some(most) => format!(
                "others waited {} for rows of the last batch (max {})",
                signal::time(last.others_waited),
                signal::time(most)
            ),
            None if last.held_up => "others hold rows of the next batch, or waited for them".to_owned(),
            None => return None,
        };
        Some(Hold::new(Signal::Waiting, Effect::Shrinks, words))
    }
}

/// `time * by / of`
fn scaled(time: Duration, by: u64, of: u64) -> Duration {
    let micros = time.as_micros().saturating_mul(by.into()) / u128::from(of.max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
