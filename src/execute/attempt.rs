//! One attempt at a statement or portal with one patience, by the way that its surroundings allow.

use std::ops::Range;
use std::time::Duration;

use crate::base::relation::quote_literal;
use crate::base::{Period, SqlState};
use crate::judge::{Policy, Retry};
use crate::upstream::call::{Answer, Call, Failed, Item, pass};
use crate::upstream::link::{Arrival, Batch};
use crate::upstream::{Link, Lost};
use crate::wire::fields::{field, sqlstate};
use crate::wire::kind::{client, server};
use crate::wire::notice;
use crate::wire::server::Status;

use super::Run;
use super::catalogue::SessionSettings;
use super::stall::{ONCE, StallWatch};

/// How an attempt ended.
#[derive(Debug)]
pub enum Attempt {
    /// Done; the body of its `CommandComplete`.
    Complete(Vec<u8>),
    /// The lock did not come within the patience; nothing is held.
    LockTimeout(Failed),
    /// What was to be locked before the statement could not be, for another reason than that others hold it: mostly another
    /// table's, which comes first. The own ones can always be had.
    Unready,
    /// It was cancelled, since others waited behind it; nothing is held.
    Stalled,
    /// It was not run, since what it must not meet has come; nothing is held.
    Overtaken,
    /// The statement failed for a reason of its own.
    Failed(Failed),
}

/// On which terms an attempt is made.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// How it may be repeated.
    pub retry: Retry,
    /// What is run before it, as far as that can be taken back.
    pub first: &'a [String],
    /// How long it waits for each lock; `None`: as long as the client itself would.
    pub patience: Option<Duration>,
    /// The watch over it.
    pub watch: &'a StallWatch<'a>,
}

/// Runs one statement once.
pub async fn statement(run: &mut Run<'_>, sql: &[u8], terms: Terms<'_>) -> Result<Attempt, Lost> {
    let in_client_transaction =
        run.link.tracker.status() == Status::InTransaction || run.link.batch == Batch::Clients;
    let local = Limit::new(run, "LOCAL", terms.patience);
    match terms.retry {
        Retry::Transaction => in_own_transaction(run.link, &[sql], &local, terms).await,
        Retry::Savepoint => behind_savepoint(run.link, sql, &local, terms).await,
        Retry::Replay => in_place(run.link, sql, &local, terms).await,
        Retry::Never if in_client_transaction => in_place(run.link, sql, &local, terms).await,
        Retry::Whole | Retry::Never => {
            in_session(run.link, sql, &Limit::new(run, "SESSION", terms.patience), terms).await
        }
    }
}

/// Runs several statements in one transaction of ours, once.
pub async fn together(run: &mut Run<'_>, all: &[&[u8]], terms: Terms<'_>) -> Result<Attempt, Lost> {
    let limit = Limit::new(run, "LOCAL", terms.patience);
    in_own_transaction(run.link, all, &limit, terms).await
}

/// Runs one statement in a transaction of ours, once, unless the question brings a row when all is locked.
pub async fn unless(
    run: &mut Run<'_>,
    (sql, question): (&[u8], &str),
    terms: Terms<'_>,
) -> Result<Attempt, Lost> {
    let limit = Limit::new(run, "LOCAL", terms.patience);
    let mut items = vec![Item::ours("BEGIN"), Item::ours(&limit.set)];
    items.extend(terms.first.iter().map(|first| Item::ours(first)));
    let asked = items.len();
    items.push(Item::ours(question));
    let link = &mut *run.link;
    let before = Call::run(link, &items).await?;
    let overtaken = before.row(asked).is_some();
    if overtaken || before.failed.is_some() {
        if before.status != Status::Idle {
            restore(link, &["ROLLBACK"]).await?;
        }
        return Ok(if overtaken { Attempt::Overtaken } else { judge(before, asked..asked + 1, terms) });
    }
    let answer = Call::run(link, &[Item::client(sql), Item::ours("COMMIT")]).await?;
    if answer.status != Status::Idle {
        restore(link, &["ROLLBACK"]).await?;
    }
    Ok(judge(answer, 0..1, Terms { first: &[], ..terms }))
}

/// Runs the client's own portal in its batch, once. Whatever the server says has gone to the client.
pub async fn portal(run: &mut Run<'_>, frame: &[u8], terms: Terms<'_>) -> Result<Attempt, Lost> {
    let limit = terms.patience.map(|_| Limit::new(run, "LOCAL", terms.patience));
    let link = &mut *run.link;
    if let Some(limit) = &limit
        && let Some(failed) = Call::run(link, &[Item::ours(&limit.set)]).await?.failed
    {
        return Ok(Attempt::Failed(failed));
    }
    link.tracker.sent(client::EXECUTE);
    let mut out = frame.to_vec();
    crate::wire::client::flush(&mut out);
    link.send(&out).await;
    while !link.tracker.expected.is_quiet() {
        if let Arrival::Frame(kind, body) = link.next().await? {
            link.tracker.received(kind, &body);
            if kind == server::ERROR && terms.watch.has_struck(&Failed { item: 0, body: body.clone() }) {
                let mut out = Vec::new();
                notice::encode(&terms.watch.others_waited(ONCE), &mut out);
                link.tell(&out).await;
            } else {
                pass(link, kind, &body).await;
            }
        }
    }
    if let Some(limit) = limit
        && !link.tracker.expected.is_skipping()
    {
        Call::run(link, &[Item::ours(&limit.back)]).await?;
    }
    Ok(Attempt::Complete(Vec::new()))
}

/// The statements that limit the patience of one between them.
struct Limit {
    set: String,
    back: String,
}

impl Limit {
    fn new(run: &Run<'_>, scope: &str, patience: Option<Duration>) -> Self {
        let own = &run.session.lock_timeout;
        let millis = patience.map(|patience| patience.as_millis().max(1).to_string());
        Self {
            set: format!("SET {scope} lock_timeout = {}", millis.unwrap_or_else(|| quote_literal(own))),
            back: match scope {
                "SESSION" => run.session.back("lock_timeout", own),
                _ => format!("SET {scope} lock_timeout = {}", quote_literal(own)),
            },
        }
    }
}

/// A client's time-out setting as Postgres spells it; `None` when it is off.
pub fn client_timeout(setting: &str) -> Option<Duration> {
    setting.parse::<Period>().ok().map(Period::duration).filter(|own| !own.is_zero())
}

/// How long a statement is tried: the client's own time-outs mean the whole of it, waiting included.
pub fn patience(session: &SessionSettings, policy: &Policy) -> Duration {
    [&session.lock_timeout, &session.statement_timeout]
        .into_iter()
        .filter_map(|setting| client_timeout(setting))
        .fold(policy.retry_for, Duration::min)
}

/// Outside a transaction: a short one of ours, whose end takes the setting with it.
async fn in_own_transaction(
    link: &mut Link,
    all: &[&[u8]],
    limit: &Limit,
    terms: Terms<'_>,
) -> Result<Attempt, Lost> {
    let mut items = vec![Item::ours("BEGIN"), Item::ours(&limit.set)];
    items.extend(terms.first.iter().map(|first| Item::ours(first)));
    let own = items.len()..items.len() + all.len();
    items.extend(all.iter().map(|sql| Item::client(sql)));
    items.push(Item::ours("COMMIT"));
    let answer = Call::run(link, &items).await?;
    if answer.status != Status::Idle {
        restore(link, &["ROLLBACK"]).await?;
    }
    Ok(judge(answer, own, terms))
}

/// In the client's transaction: a savepoint gives back what a failed attempt has locked.
async fn behind_savepoint(
    link: &mut Link,
    sql: &[u8],
    limit: &Limit,
    terms: Terms<'_>,
) -> Result<Attempt, Lost> {
    let mut items = vec![Item::ours("SAVEPOINT lockkeeper"), Item::ours(&limit.set)];
    items.extend(terms.first.iter().map(|first| Item::ours(first)));
    let own = items.len()..items.len() + 1;
    items.extend([Item::client(sql), Item::ours(&limit.back), Item::ours("RELEASE SAVEPOINT lockkeeper")]);
    let answer = Call::run(link, &items).await?;
    if answer.failed.as_ref().is_some_and(|failed| failed.item == 0) {
        return Ok(answer.failed.map_or(Attempt::Stalled, Attempt::Failed));
    }
    let attempt = judge(answer, own, terms);
    if matches!(attempt, Attempt::LockTimeout(_) | Attempt::Stalled | Attempt::Unready) {
        restore(link, &UNDO).await?;
    }
    Ok(attempt)
}

/// In the client's transaction, implicit or not, once: a failure is the transaction's.
async fn in_place(link: &mut Link, sql: &[u8], limit: &Limit, terms: Terms<'_>) -> Result<Attempt, Lost> {
    let items = [Item::ours(&limit.set), Item::client(sql), Item::ours(&limit.back)];
    Ok(judge(Call::run(link, &items).await?, 1..2, Terms { first: &[], ..terms }))
}

/// For what may not run in a transaction block: the session's setting is changed and put back.
async fn in_session(link: &mut Link, sql: &[u8], limit: &Limit, terms: Terms<'_>) -> Result<Attempt, Lost> {
    let changed = Call::run(link, &[Item::ours(&limit.set)]).await?;
    if changed.failed.is_some() {
        return Ok(judge(changed, 0..1, Terms { first: &[], ..terms }));
    }
    let answer = Call::run(link, &[Item::client(sql)]).await?;
    restore(link, &[&limit.back]).await?;
    Ok(judge(answer, 0..1, Terms { first: &[], ..terms }))
}

/// So often a setting is put back before the session is given up: a setting of ours must not outlive its statement.
const RESTORES_MAX: u32 = 10;

/// Gives back what was done behind the savepoint.
pub const UNDO: [&str; 2] = ["ROLLBACK TO SAVEPOINT lockkeeper", "RELEASE SAVEPOINT lockkeeper"];

/// Puts settings or a transaction back, also when a late cancel request strikes one of the statements that do it.
pub async fn restore(link: &mut Link, statements: &[&str]) -> Result<(), Lost> {
    let items: Vec<Item<'_>> = statements.iter().map(|statement| Item::ours(statement)).collect();
    for _ in 0..RESTORES_MAX {
        if Call::run(link, &items).await?.failed.is_none() {
            return Ok(());
        }
    }
    Err(Lost::Upstream(None))
}

/// What became of the statements that stand at `own`, behind those that lock first what they need; the tag of the first of
/// them is theirs.
fn judge(mut answer: Answer, own: Range<usize>, terms: Terms<'_>) -> Attempt {
    let all = own.start.saturating_sub(terms.first.len())..own.end;
    let cancelled = |failed: &Failed| sqlstate(&failed.body) == SqlState::QUERY_CANCELED;
    match answer.failed {
        Some(failed) if terms.watch.has_struck(&failed) => Attempt::Stalled,
        Some(failed) if all.contains(&failed.item) && is_lock_timeout(&failed) => {
            Attempt::LockTimeout(failed)
        }
        Some(failed) if all.contains(&failed.item) && failed.item < own.start && !cancelled(&failed) => {
            Attempt::Unready
        }
        Some(failed) => Attempt::Failed(failed),
        None if own.start < answer.tags.len() => Attempt::Complete(answer.tags.swap_remove(own.start)),
        None => Attempt::Complete(b"\0".to_vec()),
    }
}

/// Whether `lock_timeout` struck, or the deadlock detector: a NOWAIT of the client's own has the same SQLSTATE but comes
/// from another routine (`ProcessInterrupts` in `postgres.c`), and is the client's to hear.
pub fn is_lock_timeout(failed: &Failed) -> bool {
    let routine = field(&failed.body, b'R');
    match field(&failed.body, b'C') {
        Some(b"55P03") => routine == Some(b"ProcessInterrupts"),
        Some(b"40P01") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nowait_of_the_clients_own_is_not_ours() {
        let failed = |body: &[u8]| Failed { item: 0, body: body.to_vec() };
        assert!(is_lock_timeout(&failed(b"C55P03\0RProcessInterrupts\0\0")));
        assert!(!is_lock_timeout(&failed(b"C55P03\0RRangeVarGetRelidExtended\0\0")));
        assert!(is_lock_timeout(&failed(b"C40P01\0RDeadLockReport\0\0")));
        assert!(!is_lock_timeout(&failed(b"C23505\0\0")));
    }
}
