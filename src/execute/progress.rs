//! How far a long step is and who holds it up, told at intervals and only when there is something new.

use std::future::Future;
use std::time::Duration;

use crate::base::Notice;
use crate::control::holders::{Held, Holder, With};
use crate::control::progress::Build;
use crate::effects::facts::Oid;
use crate::event::clock;
use crate::pace::blocker;

use super::Surroundings;

/// It is looked so often: a session that keeps a snapshot without need is asked to let it go, which must be before the build
/// waits for its transaction: from then on only the transaction's end helps (`WaitForOlderSnapshots` in `indexcmds.c`).
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A build does not begin before sessions that were asked have let their snapshots go, or this time is over.
const FREE_WITHIN: Duration = Duration::from_millis(300);

/// Whoever has been there for less than that may be gone before anybody has read of it.
const AGE_MIN: Duration = Duration::from_millis(500);

/// More than these are only counted.
const SHOWN_MAX: usize = 3;

/// The watch over one long step.
#[derive(Debug)]
pub struct Watch<'a> {
    surroundings: &'a Surroundings<'a>,
    table: Oid,
    last: Option<String>,
    due: clock::Moment,
    every: Duration,
    told: Option<clock::Moment>,
}

impl<'a> Watch<'a> {
    /// Begins now; the step works on this table, if that is known.
    pub fn new(surroundings: &'a Surroundings<'a>, table: Option<Oid>) -> Self {
        let every = surroundings.progress_every.min(LOOK_EVERY);
        Self {
            surroundings,
            table: table.unwrap_or(0),
            last: None,
            due: clock::Moment::now(),
            every,
            told: None,
        }
    }

    /// Waits for `work`; `None` when it is time to look how far it is. `work` must be safe to drop.
    pub async fn until_due<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let left = self.every.saturating_sub(self.due.elapsed());
        let outcome = clock::within(left.max(Duration::from_millis(10)), work).await;
        if outcome.is_none() {
            self.due = clock::Moment::now();
        }
        outcome
    }

    /// Whom the step will have to wait for, before it begins.
    pub async fn ahead(&self) -> Option<Notice> {
        let began = clock::Moment::now();
        let mut held = self.held().await;
        while self.free(&held) && began.elapsed() < FREE_WITHIN {
            clock::pause(Duration::from_millis(10)).await;
            held = self.held().await;
        }
        let who = line(held.holders.iter())?;
        let message = "transactions are open that this step may have to wait for";
        Some(Notice::info(message).detail(format!("{who} That stops nobody else.")).hint(hint(&held.holders)))
    }

    /// Looks how far the step is; nothing when nothing has changed or nobody may know.
    pub async fn look(&mut self) -> Option<Notice> {
        let place = &self.surroundings.place;
        let build = self.surroundings.control.progress(&place.database, place.pid).await;
        let held = self.held().await;
        self.free(&held);
        if build.as_ref().is_some_and(|build| !build.phase.starts_with("waiting for")) {
            return build.and_then(|build| self.unless_told(words(&build), None));
        }
        let message = match &build {
            Some(build) => words(build),
            None if held.waits => "waiting for the transactions of others".to_owned(),
            None => return None,
        };
        let with = match &build {
            Some(build) if build.phase.contains("old snapshots") => Some(With::Snapshot),
            Some(_) => Some(With::Lock),
            None => None,
        };
        let matters = |holder: &&Holder| with.is_none_or(|with| with == holder.with);
        let who = line(held.holders.iter().filter(matters));
        let locker = build.and_then(|build| build.waits_for);
        let who = who.or_else(|| locker.map(|locker| format!("It waits for {locker}.")));
        self.unless_told(message, who.map(|who| (who, hint(&held.holders))))
    }

    async fn held(&self) -> Held {
        let place = &self.surroundings.place;
        self.surroundings.control.holders(&place.database, place.pid, self.table).await
    }

    /// Asks sessions of this process that idle to let go of snapshots that they do not need; whether one may do so.
    fn free(&self, held: &Held) -> bool {
        let Surroundings { live, canceller, .. } = self.surroundings;
        let idle = held.holders.iter().filter(|holder| holder.idles() && holder.with == With::Snapshot);
        let pids = idle.filter_map(|holder| u32::try_from(holder.pid?).ok());
        pids.filter(|pid| live.nudge(*pid, canceller.host)).count() > 0
    }

    fn unless_told(&mut self, message: String, who: Option<(String, &str)>) -> Option<Notice> {
        let soon = self.told.is_some_and(|told| told.elapsed() < self.surroundings.progress_every);
        if soon || self.last.as_ref() == Some(&message) {
            return None;
        }
        self.told = Some(clock::Moment::now());
        let mut notice = Notice::info(message.clone());
        if let Some((who, hint)) = who {
            notice = notice.detail(format!("{who} That stops nobody else.")).hint(hint);
        }
        self.last = Some(message);
        Some(notice)
    }
}

const HINT: &str = "A transaction that stays open keeps every concurrent build of the database waiting: end it, or COMMIT PREPARED or \
     ROLLBACK PREPARED one that is prepared.";

const KNOT_HINT: &str = "Who waits for an advisory lock of this session and is waited for by its build waits for ever, so Postgres \
     ends one of the two: 40P01. Give the lock back before building, or let others ask for it through lockkeeper, outside a transaction.";

/// What helps against these.
fn hint(holders: &[Holder]) -> &'static str {
    if holders.iter().any(Holder::waits_for_builder) { KNOT_HINT } else { HINT }
}

fn words(build: &Build) -> String {
    match build.percent() {
        Some(percent) => format!("{}: {}, {percent} %", build.command, build.phase),
        None => format!("{}: {}", build.command, build.phase),
    }
}

/// Names holders, the oldest first; `None` where there is nobody worth a word.
fn line<'a>(holders: impl Iterator<Item = &'a Holder>) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut seen: Vec<Option<i32>> = Vec::new();
    for holder in holders.filter(|holder| holder.age >= AGE_MIN) {
        if holder.pid.is_none() || !seen.contains(&holder.pid) {
            seen.push(holder.pid);
            lines.push(who(holder));
        }
    }
    let more = lines.len().saturating_sub(SHOWN_MAX);
    lines.truncate(SHOWN_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!lines.is_empty()).then(|| format!("It waits for {}{more}.", lines.join(", ")))
}

fn who(holder: &Holder) -> String {
    let age = blocker::age(holder.age);
    let name = holder.name.as_deref();
    let Some(pid) = holder.pid else {
        return format!(
            "prepared transaction \"{}\" of user \"{}\" ({age} old)",
            name.unwrap_or("?"),
            holder.user
        );
    };
    let application = match holder.application.as_str() {
        "" => String::new(),
        application => format!(", application \"{application}\""),
    };
    let slot = name.map(|slot| format!(", replication slot \"{slot}\"")).unwrap_or_default();
    let state = if holder.state.is_empty() { String::new() } else { format!(", {}", holder.state) };
    format!("process {pid} (user \"{}\"{application}{slot}, transaction open for {age}{state})", holder.user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_named_once() {
        let one = |pid: Option<i32>, with, name: Option<&str>| Holder {
            pid,
            with,
            name: name.map(str::to_owned),
            user: "ann".into(),
            application: if pid == Some(2) { String::new() } else { "report".into() },
            age: Duration::from_secs(12),
            state: "idle in transaction".into(),
        };
        let young = Holder { age: Duration::ZERO, ..one(Some(9), With::Lock, None) };
        assert_eq!(line([&young].into_iter()), None);
        let all = [
            one(Some(1), With::Lock, None),
            one(Some(1), With::Snapshot, None),
            one(None, With::Lock, Some("transfer")),
            one(Some(2), With::Snapshot, Some("copy")),
            one(Some(3), With::Snapshot, None),
            young,
        ];
        insta::assert_snapshot!(line(all.iter()).unwrap(), @r#"It waits for process 1 (user "ann", application "report", transaction open for 12 s, idle in transaction), prepared transaction "transfer" of user "ann" (12 s old), process 2 (user "ann", replication slot "copy", transaction open for 12 s, idle in transaction) and 1 more."#);
    }
}
