//! What is made of what the control connection sees, look after look.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dead::{Kept, Oldest};
use super::follower::Follower;
use super::pressure::{Kind, Pressure, Sight, Standby};
use super::quota::Wal;
use super::settings::{Missing, Settings};
use super::signal::{self, Effect, Hold, SLOWS_MAX, Signal};
use super::trail::Trail;
use crate::pace::blocker;

/// Without a checkpoint before its time for so long, half of what was felt of them is forgotten.
const CALM: Duration = Duration::from_secs(30);

/// So often the pause doubles because of checkpoints.
const LEVEL_MAX: u32 = 4;

/// How much slower it goes while nobody knows how far standbys are that were there before.
const SILENT: u64 = 4000;

/// The number of sessions at work is told by the last looks: one more counts a quarter.
const MEMORY: u64 = 4;

#[derive(Debug, Default)]
pub(super) struct Sense {
    trail: Trail,
    /// By the processes that send to them.
    followers: BTreeMap<i32, Follower>,
    wal: Wal,
    early: Early,
    /// Thousandths of sessions at work.
    active: Option<u64>,
    oldest: Oldest,
    seen: Seen,
}

/// The last look.
#[derive(Debug, Default)]
enum Seen {
    /// There was none.
    #[default]
    Nothing,
    Pressure(Pressure, Duration),
    /// Nobody answered; this was the last answer.
    Silence(Option<Pressure>),
}

/// Checkpoints that come before their time.
#[derive(Debug, Default)]
struct Early {
    requested: Option<u64>,
    level: u32,
    since: Duration,
}

impl Sense {
    /// Takes in what was seen; `None` where nobody has answered.
    pub(super) fn see(&mut self, at: Duration, seen: Option<Pressure>, settings: &Settings) {
        let Some(pressure) = seen else {
            self.seen = match std::mem::take(&mut self.seen) {
                Seen::Pressure(last, _) => Seen::Silence(Some(last)),
                Seen::Silence(last) => Seen::Silence(last),
                Seen::Nothing => Seen::Silence(None),
            };
            return;
        };
        let most = settings.replay_lag_max.unwrap_or_default();
        self.trail.add(at, pressure.wal, most);
        self.followers.retain(|pid, _| pressure.standbys.iter().any(|standby| standby.pid == *pid));
        for standby in counting(&pressure, settings) {
            let lag = self.trail.lag(at, pressure.wal, standby);
            let follower = self.followers.entry(standby.pid).or_default();
            follower.look(at, standby.replayed, (lag, most));
        }
        self.wal.add(at, pressure.wal, settings.wal_per_second.unwrap_or(u64::MAX));
        self.early.add(at, pressure.checkpoints_requested);
        self.oldest.see(at, pressure.keeper.as_ref());
        let active = pressure.active.saturating_mul(1000);
        let before = self.active.unwrap_or(active);
        self.active = Some((before.saturating_mul(MEMORY - 1).saturating_add(active)) / MEMORY);
        self.seen = Seen::Pressure(pressure, at);
    }

    /// What holds back.
    pub(super) fn holds(&self, settings: &Settings) -> Vec<Hold> {
        let (pressure, at) = match &self.seen {
            Seen::Nothing => return Vec::new(),
            Seen::Silence(last) => return silence(last.as_ref(), settings).into_iter().collect(),
            Seen::Pressure(pressure, at) => (pressure, *at),
        };
        let mut holds = Vec::new();
        if settings.heeds_standbys() {
            let counting = counting(pressure, settings);
            holds.extend(counting.iter().filter_map(|it| self.behind_in_time(at, pressure, it, settings)));
            holds.extend(counting.iter().filter_map(|it| behind_in_bytes(pressure, it, settings)));
            holds.extend(missing(pressure, settings));
        }
        holds.extend(self.active(settings));
        holds.extend(self.wal(at, settings));
        holds.extend(self.early.hold(at).filter(|_| settings.checkpoints));
        holds.extend(self.dead_rows(at, pressure, settings));
        holds
    }

    /// What is to be heeded and cannot be seen.
    pub(super) fn unseen(&self, settings: &Settings) -> Option<String> {
        let Seen::Pressure(Pressure { sight: Sight::Dim, .. }, _) = &self.seen else { return None };
        let what = match (settings.heeds_standbys(), settings.cores.is_some()) {
            (true, true) => "how far standbys are and how many sessions are at work",
            (true, false) => "how far standbys are",
            (false, true) => "how many sessions are at work",
            (false, false) => return None,
        };
        Some(format!("the role of the control connection may not see {what}: GRANT pg_monitor to it"))
    }

    /// Who has kept dead rows from being cleaned for too long.
    pub(super) fn kept(&self, settings: &Settings) -> Option<Kept> {
        let Seen::Pressure(_, at) = &self.seen else { return None };
        self.oldest.kept(*at, settings.old_snapshot?)
    }

    fn dead_rows(&self, at: Duration, pressure: &Pressure, settings: &Settings) -> Option<Hold> {
        let (dead, most) = (pressure.dead_rows, settings.dead_rows_max?);
        let effect = signal::beyond(dead, most)?;
        let kept = settings.old_snapshot.and_then(|old| self.oldest.kept(at, old));
        let why =
            kept.map_or_else(String::new, |kept| format!(": {} has kept them for {}", kept.who, kept.time));
        let words = format!("{dead} dead rows are to be cleaned (max {most}){why}");
        Some(Hold::new(Signal::DeadRows, effect, words))
    }

    fn behind_in_time(
        &self,
        at: Duration,
        pressure: &Pressure,
        standby: &Standby,
        settings: &Settings,
    ) -> Option<Hold> {
        let most = settings.replay_lag_max?;
        let lag = self.trail.lag(at, pressure.wal, standby);
        let bytes = pressure.wal.saturating_sub(standby.replayed);
        let needs = self.followers.get(&standby.pid).map_or(Duration::ZERO, |it| it.needs(bytes));
        let effect = signal::nearing(lag.max(needs).as_micros(), most.as_micros())?;
        let how = if needs > lag {
            format!("needs {} to catch up", blocker::age(needs))
        } else {
            format!("is {} behind", blocker::age(lag))
        };
        let words = format!("{} {how} (max {})", called(standby, pressure), signal::time(most));
        Some(Hold::new(Signal::ReplayLag, effect, words))
    }

    fn active(&self, settings: &Settings) -> Option<Hold> {
        let (most, cores) = (settings.active_max()?, settings.cores?);
        let active = self.active?;
        let effect = signal::beyond(active, most.saturating_mul(1000))?;
        let words = format!("{} sessions are at work (max {most} on {cores} cores)", active.div_ceil(1000));
        Some(Hold::new(Signal::Active, effect, words))
    }

    fn wal(&self, at: Duration, settings: &Settings) -> Option<Hold> {
        let most = settings.wal_per_second?;
        let ready = self.wal.ready(most);
        (ready > at).then(|| {
            let rate = signal::bytes(self.wal.rate());
            let words = format!("WAL is written at {rate}/s (max {}/s)", signal::bytes(most));
            Hold::new(Signal::Wal, Effect::Until(ready), words)
        })
    }
}

impl Early {
    fn add(&mut self, at: Duration, requested: u64) {
        let before = self.requested.replace(requested).unwrap_or(requested);
        if requested > before {
            self.level = (self.level_at(at) + 1).min(LEVEL_MAX);
            self.since = at;
        }
    }

    fn level_at(&self, at: Duration) -> u32 {
        let calm = at.saturating_sub(self.since).as_secs() / CALM.as_secs();
        self.level.saturating_sub(u32::try_from(calm).unwrap_or(u32::MAX))
    }

    fn hold(&self, at: Duration) -> Option<Hold> {
        let level = self.level_at(at);
        (level > 0).then(|| {
            let by = ((1_u64 << level.min(LEVEL_MAX)) - 1).saturating_mul(1000).min(SLOWS_MAX);
            let words = "checkpoints come before their time, since so much WAL is written (max_wal_size)";
            Hold::new(Signal::Checkpoints, Effect::Slows(by), words.to_owned())
        })
    }
}

/// The standbys that count.
fn counting<'a>(pressure: &'a Pressure, settings: &Settings) -> Vec<&'a Standby> {
    let named = |standby: &&Standby| settings.standbys.contains(&standby.name);
    let physical = |standby: &&Standby| settings.standbys.is_empty() && standby.kind == Kind::Physical;
    pressure.standbys.iter().filter(|standby| named(standby) || physical(standby)).collect()
}

/// Its name, and what tells it from another of that name.
fn called(standby: &Standby, pressure: &Pressure) -> String {
    let of_that_name = pressure.standbys.iter().filter(|it| it.name == standby.name).count();
    let process = if of_that_name > 1 { format!(" (process {})", standby.pid) } else { String::new() };
    format!("standby {:?}{process}", standby.name)
}

fn behind_in_bytes(pressure: &Pressure, standby: &Standby, settings: &Settings) -> Option<Hold> {
    let most = settings.replay_bytes_max?;
    let behind = pressure.wal.saturating_sub(standby.replayed);
    let effect = signal::nearing(behind.into(), most.into())?;
    let (behind, most) = (signal::bytes(behind), signal::bytes(most));
    let words = format!("{} is {behind} of WAL behind (max {most})", called(standby, pressure));
    Some(Hold::new(Signal::ReplayBytes, effect, words))
}

/// Standbys that are named and not there.
fn missing(pressure: &Pressure, settings: &Settings) -> Vec<Hold> {
    if settings.missing_standby == Missing::Ignore || pressure.sight == Sight::Dim {
        return unknown(pressure, settings);
    }
    let there = |name: &&String| pressure.standbys.iter().any(|standby| standby.name == **name);
    let gone = settings.standbys.iter().filter(|name| !there(name));
    let hold =
        |name| Hold::new(Signal::Standbys, Effect::Stops, format!("standby {name:?} is not connected"));
    gone.map(hold).collect()
}

/// Nobody may see how far those are that are named.
fn unknown(pressure: &Pressure, settings: &Settings) -> Vec<Hold> {
    let blind = pressure.sight == Sight::Dim && settings.missing_standby == Missing::Hold;
    let hold = |name| {
        let words = format!(
            "how far standby {name:?} is cannot be seen by the role of the control connection: GRANT pg_monitor to it"
        );
        Hold::new(Signal::Standbys, Effect::Stops, words)
    };
    settings.standbys.iter().filter(|_| blind).map(hold).collect()
}

/// What it means that nobody answers: standbys that are named must not fall behind, and others were seen before.
fn silence(last: Option<&Pressure>, settings: &Settings) -> Option<Hold> {
    if !settings.heeds_standbys() {
        return None;
    }
    let must = !settings.standbys.is_empty() && settings.missing_standby == Missing::Hold;
    let had = last.is_some_and(|last| !counting(last, settings).is_empty());
    let effect = match (must, had) {
        (true, _) => Effect::Stops,
        (false, true) => Effect::Slows(SILENT),
        (false, false) => return None,
    };
    let words =
        "the control connection does not answer, so that nobody knows how far standbys are".to_owned();
    Some(Hold::new(Signal::Control, effect, words))
}
