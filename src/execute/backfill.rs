//! A statement over many rows, range after range of a key, each a short transaction: nobody waits long for a row, and a
//! cancel request, a client that leaves or a freeze stops it between two.
//!
//! Whoever wants a row waits for the rest of its range, so that is aimed at half of what they may wait; a range that somebody
//! waits for all the same for too long is cancelled, and goes again with fewer rows.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::base::{Notice, RelationName, SqlState};
use crate::effects::facts::answer;
use crate::event::clock::Moment;
use crate::judge::Retry;
use crate::pace::range::{Range, Walk};
use crate::plan::backfill::Left;
use crate::plan::{Leaves, Ranges};
use crate::upstream::Lost;
use crate::upstream::call::{Failed, Item, Voice};
use crate::upstream::link::Reading;
use crate::wire::fields::sqlstate;

use super::Run;
use super::batch::{
    BEGIN, HELD_UP_PAUSE, HeldUp, Tried, ask, begun, count, finished, first, half, next_range, patience,
    sleep, tried, values,
};
use super::outcome::Outcome;
use super::plan::{Settled, cancelled};
use super::stall::StallWatch;
use super::tell::tell;

/// A range takes no longer than this, nor than half of what an application may be kept waiting.
const TARGET_MAX: Duration = Duration::from_millis(50);

/// So often the whole way is gone in search of rows that were moved.
const PASSES_MAX: u32 = 3;

/// Carries the statement out to its end, or to the first failure that trying again does not help against.
pub(super) async fn run(run: &mut Run<'_>, ranges: &Ranges) -> Result<Settled, Lost> {
    Fill::new(ranges.as_one(), ranges.rows).run(run, Where::Table(ranges)).await
}

/// The same in each leaf of a partitioned table.
pub(super) async fn run_leaves(run: &mut Run<'_>, leaves: &Leaves) -> Result<Settled, Lost> {
    Fill::new(leaves.as_one(), leaves.rows).run(run, Where::Leaves(leaves)).await
}

/// Where it is carried out.
#[derive(Clone, Copy)]
enum Where<'a> {
    Table(&'a Ranges),
    /// Leaves come and go meanwhile.
    Leaves(&'a Leaves),
}

/// What was done so far.
struct Fill {
    /// The statement as one.
    words: String,
    /// How many rows the server believes there are.
    estimate: Option<u64>,
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

type Ended<T> = Result<T, Outcome>;

impl Fill {
    fn new(words: String, estimate: Option<u64>) -> Self {
        let (told, going) = (Moment::now(), Moment::now());
        Self { words, estimate, rows: 0, still: 0, told, going, held_up: None }
    }

    async fn run(mut self, run: &mut Run<'_>, place: Where<'_>) -> Result<Settled, Lost> {
        Ok(match self.passes(run, place).await? {
            Ok(()) => Settled::Complete,
            Err(outcome) => Settled::Failed(outcome),
        })
    }

    /// All the way, and again where rows were moved to where it had been already, or leaves came.
    async fn passes(&mut self, run: &mut Run<'_>, place: Where<'_>) -> Result<Ended<()>, Lost> {
        let mut before: HashMap<RelationName, Walk> = HashMap::new();
        for _ in 0..PASSES_MAX {
            let mut all = match tables(run, place).await? {
                Ok(all) => all,
                Err(outcome) => return Ok(Err(outcome)),
            };
            let mut walked = false;
            while let Some(ranges) = all.pop_front() {
                let walk = before.get(&ranges.table).cloned();
                match self.table(run, &ranges, walk).await? {
                    Ok(None) => {}
                    Ok(Some(walk)) => {
                        before.insert(ranges.table, walk);
                        walked = true;
                    }
                    Err(outcome) => {
                        // A leaf that is gone is nobody's any more.
                        match tables(run, place).await? {
                            Ok(now) if !now.iter().any(|it| it.table == ranges.table) => {}
                            _ => return Ok(Err(outcome)),
                        }
                    }
                }
            }
            if !walked {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// One table, which has been gone through before if there is a walk; gives the walk if there was something to do.
    async fn table(
        &mut self,
        run: &mut Run<'_>,
        ranges: &Ranges,
        before: Option<Walk>,
    ) -> Result<Ended<Option<Walk>>, Lost> {
        if before.is_some() {
            if ranges.left == Left::Stay || self.still > 0 {
                return Ok(Ok(None));
            }
            match ask(run, &ranges.any_left(), &[]).await? {
                Ok(answer) if first(&answer).is_some_and(|row| row == ["t"]) => {}
                Ok(_) => return Ok(Ok(None)),
                Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
            }
        }
        let bound = match ask(run, &ranges.last_key(), &[]).await? {
            Ok(answer) => first(&answer),
            Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
        };
        let Some(bound) = bound else { return Ok(Ok(None)) };
        let target = TARGET_MAX.min(half(run.policy.max_stall));
        let mut walk = match before {
            Some(walk) => walk.again(bound),
            None => Walk::new(bound, target),
        };
        Ok(self.pass(run, ranges, &mut walk).await?.map(|()| Some(walk)))
    }

    /// From the first row to the last.
    async fn pass(&mut self, run: &mut Run<'_>, ranges: &Ranges, walk: &mut Walk) -> Result<Ended<()>, Lost> {
        while !walk.is_over() {
            if let Some(why) = run.stopped() {
                return Ok(Err(Outcome::own_error(&why)));
            }
            if run.take_cancel() || run.link.client_reading == Reading::Closed {
                return Ok(Err(cancelled()));
            }
            let range = match next_range(run, ranges, walk).await? {
                Ok(range) => range,
                Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
            };
            let began = Moment::now();
            let pause = match self.write(run, (ranges, &range), walk.rows()).await? {
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

    /// Locks and writes the rows of a range, about so many.
    async fn write(
        &mut self,
        run: &mut Run<'_>,
        (ranges, range): (&Ranges, &Range),
        rows: u64,
    ) -> Result<Tried, Lost> {
        let limit = format!("SET LOCAL lock_timeout = {}", patience(run));
        let (lock, write) = (ranges.lock(begun(range)), ranges.write(begun(range)));
        let values = values(range);
        let [begin, lift, uncompiled] = BEGIN.map(Item::ours);
        let mut items = vec![begin, lift, uncompiled, Item::ours(&limit)];
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
        let mut done = format!("{}: {} rows done", self.words, self.rows);
        if let Some(why) = self.held_up {
            done = format!("{done}, {}", why.words());
        }
        match self.estimate.filter(|rows| *rows > 0) {
            Some(rows) => {
                let percent = (self.rows.saturating_mul(100) / rows).min(99);
                format!("{done}, about {percent} % of the {rows} that the server estimates")
            }
            None => done,
        }
    }
}

/// The tables at this moment.
async fn tables(run: &mut Run<'_>, place: Where<'_>) -> Result<Ended<VecDeque<Ranges>>, Lost> {
    let leaves = match place {
        Where::Table(ranges) => return Ok(Ok([ranges.clone()].into())),
        Where::Leaves(leaves) => leaves,
    };
    let oid = leaves.oid.to_string();
    let answer = match ask(run, &answer::LEAVES, &[&oid]).await? {
        Ok(answer) => answer,
        Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    };
    let found = answer.rows_of(BEGIN.len()).filter_map(|row| answer::leaf(row.first()?.as_deref()?));
    // One that came meanwhile may not be as the others.
    Ok(found.map(|leaf| leaves.of(&leaf).map_err(|why| unfit(&leaf.name, &why))).collect())
}

fn unfit(leaf: &RelationName, why: &str) -> Outcome {
    let message = format!("partition {leaf} came meanwhile and cannot be filled in batches");
    let error = Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message).detail(why);
    Outcome::own_error(&error.hint("Try again when that is changed."))
}

/// A CHECK is asked of whatever is written, and so of a row for which it is not true any more.
fn explained(failed: &Failed) -> Outcome {
    if sqlstate(&failed.body) == SqlState::CHECK_VIOLATION {
        let detail = "The rows are updated in ranges, and each UPDATE asks every CHECK of the row, which the statement itself does not.";
        return Outcome::server_error(
            failed,
            Some(detail),
            Some("Correct the row first, or drop the constraint."),
        );
    }
    Outcome::server_error(failed, None, None)
}
