//! Waiting for an advisory lock: outside the server, whose queue keeps a snapshot that a concurrent build of the lock's holder waits for.
//!
//! Outside a transaction the lock is tried again and again, with short sleeps inside the server in between, so that a cancel request
//! finds them whichever way it comes. In a transaction a try's snapshot might be what a build waits for until its end: there it is
//! only looked, by the control connection, whether somebody who may build has the lock.

use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::control::victims::Blocking;
use crate::event::ClientLeft;
use crate::event::clock::{self, Moment};
use crate::live::Stop;
use crate::pace::blocker;
use crate::sql::advisory::{Key, Wanted};
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::link::Reading;
use crate::upstream::{Link, Lost};
use crate::wire::fields::sqlstate;

use super::attempt::{client_timeout, restore};
use super::catalogue::SessionSettings;
use super::nap::does_not_idle;
use super::outcome::Outcome;
use super::{Surroundings, fail, hold, shutting_down};

/// The pauses between two tries: the longer it has been waited, the longer they are.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// In a transaction it is looked so often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The client is told at least so far apart, and not of what is over soon.
const TELL_AFTER: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What has come of waiting.
#[derive(Debug)]
pub enum Had {
    /// The session has the lock, once more than its client has asked for.
    Held,
    /// Nothing that is known speaks against the statement as sent.
    AsSent,
    /// The statement is not to be run; the client's answer.
    Ended(Outcome),
}

/// What came of one try.
#[derive(Debug)]
pub enum Attempt {
    /// The session has the lock.
    Had,
    /// Others have it.
    Missed,
    /// The server has refused or cancelled it.
    Failed(Failed),
}

/// Tries once, outside a transaction.
pub async fn attempt(link: &mut Link, wanted: &Wanted) -> Result<Attempt, Lost> {
    let sql = wanted.attempt();
    let answer = Call::run(link, &[Item::ours(&sql)]).await?;
    let had = answer.row(0).and_then(|row| row.first().cloned().flatten()).is_some_and(|had| had == "t");
    Ok(match answer.failed {
        Some(failed) => Attempt::Failed(failed),
        None if had => Attempt::Had,
        None => Attempt::Missed,
    })
}

/// Gives back what a try has taken, when the client's own call is done.
pub async fn give_back(link: &mut Link, wanted: &Wanted) -> Result<(), Lost> {
    restore(link, &[&wanted.give_back()]).await
}

/// Waits outside a transaction until the lock is had.
pub async fn outside(
    link: &mut Link,
    surroundings: &Surroundings<'_>,
    (wanted, settings): (&Wanted, &SessionSettings),
) -> Result<Had, Lost> {
    let mut waiting = Waiting::new(&settings.lock_timeout, &settings.statement_timeout);
    loop {
        if let Some(why) = waiting.interrupted(link, surroundings) {
            return Ok(Had::Ended(Outcome::own_error(&why)));
        }
        let words = if waiting.is_to_be_told() {
            Some(waiting.words(&holders(surroundings, wanted.key()).await))
        } else {
            None
        };
        let pause = (waiting.began.elapsed() / 10).clamp(PAUSE_MIN, PAUSE_MAX);
        let mut failed = hold::sleep(link, pause.min(waiting.left()), words).await?;
        if failed.is_none() {
            match attempt(link, wanted).await? {
                Attempt::Had => return Ok(Had::Held),
                Attempt::Missed => {}
                Attempt::Failed(why) => failed = Some(why),
            }
        }
        if let Some(failed) = failed {
            return Ok(ended(&failed, &waiting));
        }
    }
}

/// What a failed try or sleep means for the client's statement.
fn ended(failed: &Failed, waiting: &Waiting) -> Had {
    if sqlstate(&failed.body) == SqlState::QUERY_CANCELED {
        Had::Ended(Outcome::server_error(failed, Some(&waiting.story()), None))
    } else {
        Had::AsSent
    }
}

/// Waits in an open transaction as long as a session that may build has the lock, unless somebody waits for this one: such a knot is
/// the server's to untie.
pub async fn in_transaction(
    link: &mut Link,
    surroundings: &Surroundings<'_>,
    wanted: &Wanted,
) -> Result<Had, Lost> {
    let Some(key) = wanted.key() else { return Ok(Had::AsSent) };
    if !builder_has(surroundings, key).await {
        return Ok(Had::AsSent);
    }
    // None of these takes a snapshot.
    let shows =
        ["transaction_isolation", "lock_timeout", "statement_timeout"].map(|name| format!("SHOW {name}"));
    let answer = Call::run(link, &shows.each_ref().map(|show| Item::ours(show))).await?;
    if let Some(failed) = answer.failed {
        return Ok(Had::Ended(Outcome::server_error(&failed, None, None)));
    }
    let value = |at| answer.row(at).and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    if value(0) != "read committed" {
        return Ok(Had::AsSent);
    }
    let mut waiting = Waiting::new(&value(1), &value(2));
    does_not_idle(link).await;
    loop {
        if let Some(why) = waiting.interrupted(link, surroundings) {
            fail::transaction(link).await?;
            return Ok(Had::Ended(Outcome::own_error(&why)));
        }
        if waiting.is_to_be_told() {
            let words = waiting.words(&holders(surroundings, Some(key)).await);
            super::tell::tell(link, &[words]).await;
        }
        let _gone = clock::within(LOOK_EVERY.min(waiting.left()), link.client_gone()).await;
        if !builder_has(surroundings, key).await || is_waited_for(surroundings).await {
            return Ok(Had::AsSent);
        }
    }
}

async fn is_waited_for(surroundings: &Surroundings<'_>) -> bool {
    let place = surroundings.place;
    let behind = surroundings.control.behind(&place.database, place.pid, Blocking::Whatever).await;
    behind.is_none_or(|behind| !behind.victims.is_empty())
}

/// Whether a session of this process has the lock that builds, or may yet do so while it has it.
async fn builder_has(surroundings: &Surroundings<'_>, key: Key) -> bool {
    let Surroundings { live, place, .. } = surroundings;
    let taker = live.takers().last(&place.database, key);
    let mut builders = live.queues().builders(&place.database);
    builders.extend(taker);
    builders.retain(|pid| *pid != place.pid);
    if builders.is_empty() {
        return false;
    }
    let holders = holders(surroundings, Some(key)).await;
    if taker.is_some_and(|taker| !holders.contains(&taker)) {
        live.takers().forget(&place.database, key);
    }
    holders.iter().any(|pid| builders.contains(pid))
}

/// The processes that have a lock; none also where nobody may know.
async fn holders(surroundings: &Surroundings<'_>, key: Option<Key>) -> Vec<u32> {
    match key {
        Some(key) => surroundings.control.advisory_holders(&surroundings.place.database, key).await,
        None => Vec::new(),
    }
}

struct Waiting {
    began: Moment,
    told: Option<Moment>,
    lock: Option<Duration>,
    statement: Option<Duration>,
}

impl Waiting {
    fn new(lock_timeout: &str, statement_timeout: &str) -> Self {
        let (lock, statement) = (client_timeout(lock_timeout), client_timeout(statement_timeout));
        Self { began: Moment::now(), told: None, lock, statement }
    }

    /// Until the first of the client's time-outs.
    fn left(&self) -> Duration {
        let first = [self.lock, self.statement].into_iter().flatten().min().unwrap_or(Duration::MAX);
        first.saturating_sub(self.began.elapsed()).max(Duration::from_millis(1))
    }

    /// Why it is not waited any longer, though the server has not said a word.
    fn interrupted(&self, link: &Link, surroundings: &Surroundings<'_>) -> Option<Notice> {
        let over = |limit: Option<Duration>| limit.is_some_and(|limit| self.began.elapsed() >= limit);
        let error = |code, why: &str| Some(Notice::error(code, why).detail(self.story()));
        if link.client_reading == Reading::Closed {
            ClientLeft {
                statement: "waited for an advisory lock and was not run",
                pid: surroundings.place.pid,
            }
            .emit();
            return error(SqlState::QUERY_CANCELED, "canceling statement due to user request");
        }
        if surroundings.take_cancel() {
            return error(SqlState::QUERY_CANCELED, "canceling statement due to user request");
        }
        if *surroundings.live.stop().borrow() == Stop::Now {
            return Some(shutting_down());
        }
        if over(self.lock) {
            return error(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout");
        }
        over(self.statement)
            .then(|| error(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout"))
            .flatten()
    }

    fn story(&self) -> String {
        format!(
            "Waited for {} for an advisory lock, outside the server's queue.",
            blocker::age(self.began.elapsed())
        )
    }

    fn is_to_be_told(&self) -> bool {
        match self.told {
            None => self.began.elapsed() >= TELL_AFTER,
            Some(told) => told.elapsed() >= TELL_EVERY,
        }
    }

    fn words(&mut self, holders: &[u32]) -> Notice {
        self.told = Some(Moment::now());
        let notice = Notice::info("waiting for an advisory lock")
            .hint("In the server's queue it might end in a deadlock with a concurrent build of the session that has it.");
        let named = holders.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        match holders {
            [] => notice,
            [_] => notice.detail(format!("Process {named} has it.")),
            _ => notice.detail(format!("Processes {named} have it.")),
        }
    }
}
