//! A statement over many rows, range after range of a key, each a short transaction: nobody waits long for a row, and a
//! cancel request, a client that leaves or a freeze stops it between two.
//!
//! Whoever wants a row waits for the rest of its range, so that is aimed at half of what they may wait; a range that somebody
//! waits for all the same for too long is cancelled, and goes again with fewer rows.

use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::event::clock::Moment;
use crate::judge::Retry;
use crate::pace::range::{Key, Range, Walk};
use crate::plan::Ranges;
use crate::plan::backfill::{Begun, Left};
use crate::upstream::Lost;
use crate::upstream::call::{Answer, Call, Failed, Item, Voice};
use crate::upstream::link::Reading;
use crate::wire::fields::sqlstate;
use crate::wire::server::Status;

use super::Run;
use super::attempt::{client_timeout, is_lock_timeout, restore};
use super::outcome::Outcome;
use super::plan::{Settled, cancelled};
use super::stall::StallWatch;
use super::tell::tell;

/// A range takes no longer than this, nor than half of what an application may be kept waiting.
const TARGET_MAX: Duration = Duration::from_millis(50);

/// So often the whole way is gone in search of rows that were moved.
const PASSES_MAX: u32 = 3;

/// The pause before a range is tried again.
const HELD_UP_PAUSE: Duration = Duration::from_millis(100);

/// Each transaction of ours sees what was committed just before, and is not ended by a time-out that means the whole.
const BEGIN: [&str; 2] =
    ["BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "SET LOCAL statement_timeout = 0"];

/// Carries the statement out to its end, or to the first failure that trying again does not help against.
pub(super) async fn run(run: &mut Run<'_>, ranges: &Ranges) -> Result<Settled, Lost> {
    let mut fill =
        Fill { ranges, rows: 0, still: 0, told: Moment::now(), going: Moment::now(), held_up: None };
    let ended = fill.passes(run).await?;
    Ok(match ended {
        Ok(()) => Settled::Complete,
        Err(outcome) => Settled::Failed(outcome),
    })
}

/// What was done so far.
struct Fill<'a> {
    ranges: &'a Ranges,
    /// Rows written.
    rows: u64,
    /// Those for which the condition holds still.
    still: u64,
    told: Moment,
    /// Since when nothing has gone on.
    going: Moment,
    /// Why the range that is tried does not come to its end.
    held_up: Option<HeldUp>,
}

/// Why a range is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldUp {
    /// Somebody holds a row of it.
    Row,
    /// Somebody has waited for a row of it for too long.
    Others,
    /// The server asks for it.
    Conflict,
}

impl HeldUp {
    const fn words(self) -> &'static str {
        match self {
            Self::Row => "waiting for a row that another transaction has locked",
            Self::Others => "making way for others who wait for its rows",
            Self::Conflict => "trying again after a conflict with another transaction",
        }
    }
}

/// How a range has ended.
enum Tried {
    Done,
    /// It was rolled back, and may go again; the outcome where there is no time left for that.
    HeldUp(HeldUp, Outcome),
    Failed(Failed),
}

type Ended<T> = Result<T, Outcome>;

impl Fill<'_> {
    async fn passes(&mut self, run: &mut Run<'_>) -> Result<Ended<()>, Lost> {
        let target = TARGET_MAX.min(half(run.policy.max_stall));
        let mut before: Option<Walk> = None;
        for _ in 0..PASSES_MAX {
            let bound = match ask(run, &self.ranges.last_key(), &[]).await? {
                Ok(answer) => answer.row(BEGIN.len()).and_then(|row| key(row)),
                Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
            };
            let Some(bound) = bound else { return Ok(Ok(())) };
            let mut walk =
                before.map_or_else(|| Walk::new(bound.clone(), target), |walk| walk.again(bound.clone()));
            if let Err(outcome) = self.pass(run, &mut walk).await? {
                return Ok(Err(outcome));
            }
            if self.ranges.left == Left::Stay || self.still > 0 {
                break;
            }
            match ask(run, &self.ranges.any_left(), &[]).await? {
                Ok(answer)
                    if answer.row(BEGIN.len()).and_then(|row| key(row)).is_some_and(|row| row == ["t"]) => {}
                Ok(_) => break,
                Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
            }
            before = Some(walk);
        }
        Ok(Ok(()))
    }

    /// From the first row to the last.
    async fn pass(&mut self, run: &mut Run<'_>, walk: &mut Walk) -> Result<Ended<()>, Lost> {
        while !walk.is_over() {
            if let Some(why) = run.stopped() {
                return Ok(Err(Outcome::own_error(&why)));
            }
            if run.take_cancel() || run.link.client_reading == Reading::Closed {
                return Ok(Err(cancelled()));
            }
            let range = match self.next_range(run, walk).await? {
                Ok(range) => range,
                Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
            };
            let began = Moment::now();
            let pause = match self.write(run, &range, walk.rows()).await? {
                Tried::Done => {
                    (self.going, self.held_up) = (Moment::now(), None);
                    walk.done(range, began.elapsed())
                }
                Tried::HeldUp(why, outcome) => {
                    if self.going.elapsed() >= run.policy.retry_for {
                        return Ok(Err(outcome));
                    }
                    walk.held_up();
                    self.held_up = Some(why);
                    HELD_UP_PAUSE
                }
                Tried::Failed(failed) => return Ok(Err(explained(&failed))),
            };
            self.tell(run).await;
            if let Err(failed) = sleep(run, pause).await? {
                return Ok(Err(Outcome::server_error(&failed, None, None)));
            }
        }
        Ok(Ok(()))
    }

    async fn next_range(&self, run: &mut Run<'_>, walk: &Walk) -> Result<Result<Range, Failed>, Lost> {
        let ahead = walk.ahead();
        let sql = self.ranges.end_of_range(begun(&ahead), walk.rows());
        let found = ask(run, &sql, &values(&ahead)).await?;
        Ok(found.map(|answer| walk.next(answer.row(BEGIN.len()).and_then(|row| key(row)))))
    }

    /// Locks and writes the rows of a range, about so many.
    async fn write(&mut self, run: &mut Run<'_>, range: &Range, rows: u64) -> Result<Tried, Lost> {
        let patience = half(run.policy.max_stall);
        let patience =
            client_timeout(&run.session.lock_timeout).map_or(patience, |own| own.min(patience)).as_millis();
        let limit = format!("SET LOCAL lock_timeout = {}", patience.max(1));
        let (lock, write) = (self.ranges.lock(begun(range)), self.ranges.write(begun(range)));
        let values = values(range);
        let [begin, lift] = BEGIN.map(Item::ours);
        let mut items = vec![begin, lift, Item::ours(&limit)];
        // A single row is locked when its new values are known, however long these take.
        if rows > 1 {
            items.push(Item::ours(&lock).with(values.clone()));
        }
        // What functions of the client say is for the client.
        items.push(Item { voice: Voice::Client, ..Item::ours(&write).with(values) });
        items.push(Item::ours("COMMIT"));
        let watch = StallWatch::new(run, Retry::Transaction);
        let answer = watch.over(finished(run, &items)).await?;
        run.record.stalled(watch.longest());
        if let Some(failed) = answer.failed {
            return Ok(tried(failed, &watch));
        }
        if let Some([rows, still]) = answer.row(items.len() - 2).map(Vec::as_slice) {
            self.rows += count(rows.as_deref());
            self.still += count(still.as_deref());
        }
        Ok(Tried::Done)
    }

    /// Says how far it is, at intervals.
    async fn tell(&mut self, run: &mut Run<'_>) {
        let words = self.words();
        run.record.is_at(Some(words.clone()));
        if self.told.elapsed() < run.surroundings.progress_every {
            return;
        }
        self.told = Moment::now();
        tell(run.link, &[Notice::info(words)]).await;
    }

    fn words(&self) -> String {
        let mut done = format!("{}: {} rows done", self.ranges.as_one(), self.rows);
        if let Some(why) = self.held_up {
            done = format!("{done}, {}", why.words());
        }
        match self.ranges.rows.filter(|rows| *rows > 0) {
            Some(rows) => {
                let percent = (self.rows.saturating_mul(100) / rows).min(99);
                format!("{done}, about {percent} % of the {rows} that the server estimates")
            }
            None => done,
        }
    }
}

/// A question of ours in a transaction of its own, which no time-out of the client ends.
async fn ask(run: &mut Run<'_>, sql: &str, values: &[&str]) -> Result<Result<Answer, Failed>, Lost> {
    let [begin, lift] = BEGIN.map(Item::ours);
    let items = [begin, lift, Item::ours(sql).with(values.to_vec()), Item::ours("COMMIT")];
    let mut answer = finished(run, &items).await?;
    Ok(match answer.failed.take() {
        Some(failed) => Err(failed),
        None => Ok(answer),
    })
}

/// Runs a transaction; where it fails it is rolled back.
async fn finished(run: &mut Run<'_>, items: &[Item<'_>]) -> Result<Answer, Lost> {
    let answer = Call::run(run.link, items).await?;
    if answer.status != Status::Idle {
        restore(run.link, &["ROLLBACK"]).await?;
    }
    Ok(answer)
}

/// Sleeps inside the server, so that a cancel request ends it whichever way it comes.
async fn sleep(run: &mut Run<'_>, pause: Duration) -> Result<Result<(), Failed>, Lost> {
    let seconds = pause.as_secs_f64().to_string();
    ask(run, "SELECT pg_catalog.pg_sleep($1::pg_catalog.float8)", &[&seconds]).await.map(|it| it.map(drop))
}

/// What a failed range means.
fn tried(failed: Failed, watch: &StallWatch<'_>) -> Tried {
    if watch.has_struck(&failed) {
        let message = "canceling statement because others waited behind it";
        let detail = format!(
            "{} Its rows were tried again and again, in the end one by one.",
            watch.story().unwrap_or_default()
        );
        let error = Notice::error(SqlState::LOCK_NOT_AVAILABLE, message).detail(detail).hint(
            "Run it when nobody uses the table. SET lockkeeper.max_stall = '1s' lets others wait longer, SET \
             lockkeeper.retry_for = '1h' lets it try longer.",
        );
        return Tried::HeldUp(HeldUp::Others, Outcome::own_error(&error));
    }
    let why = match sqlstate(&failed.body) {
        SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED => HeldUp::Conflict,
        _ if is_lock_timeout(&failed) => HeldUp::Row,
        _ => return Tried::Failed(failed),
    };
    Tried::HeldUp(why, Outcome::server_error(&failed, None, None))
}

fn half(time: Duration) -> Duration {
    time / 2
}

/// A CHECK that is NOT VALID holds for whatever is written, and so for a row that was there before it.
fn explained(failed: &Failed) -> Outcome {
    if sqlstate(&failed.body) == SqlState::CHECK_VIOLATION {
        let detail = "The rows are updated in ranges, and a constraint that is NOT VALID holds for rows that are updated, too.";
        return Outcome::server_error(
            failed,
            Some(detail),
            Some("Correct the row first, or drop the constraint."),
        );
    }
    Outcome::server_error(failed, None, None)
}

const fn begun(range: &Range) -> Begun {
    if range.behind.is_some() { Begun::Behind } else { Begun::AtTheFirst }
}

/// The parameters that say which range it is.
fn values(range: &Range) -> Vec<&str> {
    range.to.iter().chain(range.behind.iter().flatten()).map(String::as_str).collect()
}

/// A row of a key, which has no nulls.
fn key(row: &[Option<String>]) -> Option<Key> {
    row.iter().cloned().collect()
}

fn count(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
