//! A statement of many rows, batch after batch: each locks and writes the rows of a range of the key and notes how far it is, in one
//! transaction. The pace is that of `pace::bulk`; what somebody has to wait for is cut off and tried again with fewer rows.

mod batch;
mod leaves;
mod vacuum;
mod words;

use crate::base::Notice;
use crate::effects::facts::Oid;
use crate::event::clock::{self, Moment};
use crate::judge;
use crate::live::Stop;
use crate::pace::bulk::{Account, Alone, Batch, Controller, Effect, Hold, Next, Signal};
use crate::plan::Bulk;
use crate::plan::bulk::{Batches, Extent};
use crate::upstream::Lost;
use crate::upstream::link::Reading;

use super::batch::{HELD_UP_PAUSE, ask, first, sleep};
use super::course::{self, Course, Place};
use super::outcome::Outcome;
use super::plan::{Settled, cancelled};
use super::tell::tell;
use super::{Run, Surroundings, shutting_down};

use batch::Tried;
use vacuum::Vacuum;

type Ended<T> = Result<T, Outcome>;

/// Carries the statement out to its end, or to the first failure that trying again does not help against.
pub(super) async fn run(run: &mut Run<'_>, bulk: &Bulk) -> Result<Settled, Lost> {
    let course = match course::begin(run, bulk).await? {
        Ok(course) => course,
        Err(outcome) => return Ok(Settled::Failed(outcome)),
    };
    run.record.paced(&bulk.title());
    let mut unended = Unended { surroundings: run.surroundings, over: false };
    let mut work = Work::new(run, bulk, course);
    let ended = work.all(run).await?;
    let settled = work.end(run, ended).await?;
    unended.over = true;
    Ok(settled)
}

/// Why nothing is seen.
const UNCONTROLLED: &str = "there is no control connection ([control]), by which standbys, checkpoints and old snapshots would be seen";

/// A session that is lost in the midst leaves its task to others.
struct Unended<'a> {
    surroundings: &'a Surroundings<'a>,
    over: bool,
}

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.surroundings.live.tasks().ask(&self.surroundings.place.database);
        }
    }
}

/// What is done of a statement.
#[expect(clippy::struct_excessive_bools, reason = "what was said already, independent of each other")]
struct Work<'b> {
    bulk: &'b Bulk,
    course: Course,
    pace: Controller,
    began: Moment,
    told: Moment,
    /// Since when nothing has gone on.
    going: Moment,
    batches: u64,
    /// The client knows what its rows are like.
    described: bool,
    /// What was last said of what cannot be seen.
    warned: bool,
    /// Who was last said to keep dead rows.
    kept: Option<String>,
    vacuum: Vacuum,
    /// Why the batch that is tried does not come to its end.
    held_up: Option<super::batch::HeldUp>,
}

impl<'b> Work<'b> {
    fn new(run: &Run<'_>, bulk: &'b Bulk, course: Course) -> Self {
        let mut settings = run.surroundings.bulk.clone();
        settings.rows_per_second = run.policy.rows_per_second.or(settings.rows_per_second);
        let mut pace = Controller::new(settings, run.policy.max_stall);
        pace.expect(if bulk.is_selective() { Some(bulk.rows) } else { bulk.of.or(Some(bulk.rows)) });
        pace.resume(course.at.seen, course.at.rows);
        let now = Moment::now();
        let described = !bulk.returns_rows() || run.rows != super::Rows::Described;
        Self {
            bulk,
            course,
            pace,
            began: now,
            told: now,
            going: now,
            batches: 0,
            described,
            warned: false,
            kept: None,
            vacuum: Vacuum::default(),
            held_up: None,
        }
    }

    /// In its table, or in each leaf that was there when it began.
    async fn all(&mut self, run: &mut Run<'_>) -> Result<Ended<()>, Lost> {
        match &self.bulk.extent {
            Extent::Table(batches) => return self.table(run, batches, self.bulk.oid).await,
            Extent::Whole => return self.at_once(run).await,
            Extent::Leaves => {}
        }
        if self.course.at.leaves.is_empty()
            && let Err(outcome) = leaves::begin(run, self.bulk, &mut self.course.at).await?
        {
            return Ok(Err(outcome));
        }
        if !self.described && self.course.at.leaves.is_empty() {
            self.described = true;
            return batch::describe(run, self.bulk).await;
        }
        while let Some(oid) = self.course.at.next_leaf() {
            // Leaves come and go meanwhile.
            let leaf = match leaves::now(run, self.bulk).await? {
                Ok(all) => all.into_iter().find(|leaf| leaf.oid == oid),
                Err(outcome) => return Ok(Err(outcome)),
            };
            if leaf.is_none() {
                tell(run.link, &[words::detached(self.bulk)]).await;
            }
            if let Some(leaf) = leaf {
                let batches = match self.bulk.in_leaf(&leaf) {
                    Ok(batches) => batches,
                    Err(why) => return Ok(Err(words::unfit(self.bulk, &why))),
                };
                if let Err(outcome) = self.table(run, &batches, oid).await? {
                    return Ok(Err(outcome));
                }
            }
            self.course.at.over.push(oid);
            self.course.at.place = None;
        }
        Ok(Ok(()))
    }

    /// All of it in one transaction, unless that is done.
    async fn at_once(&mut self, run: &mut Run<'_>) -> Result<Ended<()>, Lost> {
        while self.course.at.over.is_empty() {
            if let Some(outcome) = stopped(run) {
                return Ok(Err(outcome));
            }
            match batch::whole(run, self.bulk, &mut self.course).await? {
                Tried::Done { .. } => self.batches += 1,
                Tried::HeldUp(_, outcome) if self.going.elapsed() >= run.policy.retry_for => {
                    return Ok(Err(outcome));
                }
                Tried::HeldUp(..) => {
                    if let Err(failed) = sleep(run, HELD_UP_PAUSE).await? {
                        return Ok(Err(Outcome::server_error(&failed, None, None)));
                    }
                }
                Tried::Failed(failed) => return Ok(Err(words::failed(&failed))),
            }
        }
        Ok(Ok(()))
    }

    /// From the first row of a table to the one that was its last when it was begun with.
    async fn table(&mut self, run: &mut Run<'_>, batches: &Batches, oid: Oid) -> Result<Ended<()>, Lost> {
        if !self.described {
            match batch::describe(run, self.bulk).await? {
                Ok(()) => self.described = true,
                Err(outcome) => return Ok(Err(outcome)),
            }
        }
        if self.course.at.place.as_ref().is_none_or(|place| place.oid != oid) {
            // What has come into a leaf since the beginning is left alone, as in a table.
            let begun = match self.course.at.bounds.remove(&oid) {
                Some([columns, bound]) => Some((columns, bound)),
                None => match ask(run, &batches.ranges.last_key(), &[]).await? {
                    Ok(answer) => first(&answer).map(|bound| (batches.ranges.key.clone(), bound)),
                    Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
                },
            };
            let Some((columns, bound)) = begun else { return Ok(Ok(())) };
            self.course.at.place = Some(Place { oid, columns, bound, behind: None });
        }
        let begun = self.course.at.place.as_ref().map(|place| &place.columns);
        if begun.is_some_and(|columns| !columns.is_empty() && *columns != batches.ranges.key) {
            return Ok(Err(words::another_key(self.bulk, &batches.ranges)));
        }
        while self.course.at.place.as_ref().is_some_and(|place| place.behind.as_ref() != Some(&place.bound)) {
            if let Err(outcome) = self.wait(run).await? {
                return Ok(Err(outcome));
            }
            if let Err(outcome) = self.batch(run, batches).await? {
                return Ok(Err(outcome));
            }
            self.tell(run).await;
            self.vacuum.between(run, self.bulk, (oid, self.pace.vacuum_every())).await?;
        }
        Ok(Ok(()))
    }

    /// Waits until the next batch may go.
    async fn wait(&mut self, run: &mut Run<'_>) -> Result<Ended<()>, Lost> {
        loop {
            if let Some(outcome) = stopped(run) {
                return Ok(Err(outcome));
            }
            self.look(run).await;
            self.obey(run).await;
            let hours = hours(run);
            match self.pace.next(self.began.elapsed(), hours.as_deref()) {
                Next::Batch { .. } => return Ok(Ok(())),
                Next::Wait { time } => {
                    if self.pace.is_stopped() {
                        // Whoever is in the way of the next batch is waited for from then on.
                        self.going = Moment::now();
                    }
                    self.tell(run).await;
                    if let Err(failed) = sleep(run, time).await? {
                        return Ok(Err(Outcome::server_error(&failed, None, None)));
                    }
                }
            }
        }
    }

    /// Does what people have ordered, and tells the client who it was.
    async fn obey(&mut self, run: &mut Run<'_>) {
        for (by, order) in run.record.orders() {
            self.pace.order(&by, &order);
            let speed = self.pace.speed_percent();
            let said = words::ordered(self.bulk, (&by, &order), (run.record.id(), speed));
            tell(run.link, &[said]).await;
        }
    }

    /// Asks the control connection how the database bears it.
    async fn look(&mut self, run: &mut Run<'_>) {
        let control = run.surroundings.control;
        if !self.pace.looks(self.began.elapsed()) {
            return;
        }
        if !control.is_configured() {
            if !std::mem::replace(&mut self.warned, true) {
                tell(run.link, &[words::unseen(self.bulk, UNCONTROLLED)]).await;
            }
            return;
        }
        let place = run.surroundings.place;
        let table = self.course.at.place.as_ref().map_or(self.bulk.oid, |place| place.oid);
        let pressure = control.pressure(&place.database, (place.pid, table)).await;
        self.pace.see(self.began.elapsed(), pressure);
        if !self.warned
            && let Some(unseen) = self.pace.unseen()
        {
            self.warned = true;
            tell(run.link, &[words::unseen(self.bulk, &unseen)]).await;
        }
        if let Some(keeper) = self.pace.kept()
            && self.kept.as_deref() != Some(&keeper.who)
        {
            tell(run.link, &[words::kept(self.bulk, &keeper, run.record.id())]).await;
            self.kept = Some(keeper.who);
        }
    }

    /// The next batch; where it cannot be had now, nothing is done and it is tried again.
    async fn batch(&mut self, run: &mut Run<'_>, batches: &Batches) -> Result<Ended<()>, Lost> {
        let Some(place) = self.course.at.place.clone() else { return Ok(Ok(())) };
        let rows = self.pace.batch_rows();
        let range = match batch::next(run, (self.bulk, batches), (&place, rows)).await? {
            Ok(range) => range,
            Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
        };
        let began = Moment::now();
        let tried = batch::write(run, (self.bulk, batches), (&mut self.course, &range)).await?;
        let (at, took) = (self.began.elapsed(), began.elapsed());
        match tried {
            Tried::Done { changed, waited } => {
                (self.going, self.held_up) = (Moment::now(), None);
                self.batches += 1;
                let visited = range.rows.unwrap_or(changed);
                self.vacuum.written(place.oid, changed);
                self.pace.done(at, &Batch { visited, changed, took, others_waited: waited });
                Ok(Ok(()))
            }
            Tried::HeldUp(_, outcome) if self.going.elapsed() >= run.policy.retry_for => Ok(Err(outcome)),
            Tried::HeldUp(why, _) => {
                self.held_up = Some(why);
                self.pace.held_up(at, took);
                Ok(Ok(()))
            }
            Tried::Failed(failed) => Ok(Err(words::failed(&failed))),
        }
    }

    /// Says how far it is: to whoever asks at once, to the client at intervals.
    async fn tell(&mut self, run: &mut Run<'_>) {
        let account = self.account();
        let words = words::progress(&account);
        run.record.goes(account, words.clone());
        if self.told.elapsed() >= run.surroundings.progress_every {
            self.told = Moment::now();
            tell(run.link, &[Notice::info(format!("{}: {words}", self.bulk.title()))]).await;
        }
    }

    /// Who stands in the way of the batch that is tried is known better here than by the pace.
    fn account(&self) -> Account {
        let mut account = self.pace.account(self.began.elapsed());
        if let Some(why) = self.held_up {
            account.holds.retain(|hold| hold.signal != Signal::Waiting);
            let words = why.words().to_owned();
            account.holds.insert(0, Hold { signal: Signal::Waiting, effect: Effect::Shrinks, words });
        }
        account
    }

    /// Ends its task, and says what is done.
    async fn end(self, run: &mut Run<'_>, ended: Ended<()>) -> Result<Settled, Lost> {
        let left = run.link.client_reading == Reading::Closed;
        match ended {
            Ok(()) => Ok(match self.course.end(run, None).await? {
                Some(failed) => Settled::Failed(Outcome::server_error(&failed, None, None)),
                None => Settled::Counted(self.course.at.rows),
            }),
            Err(outcome)
                if left
                    && run.surroundings.bulk.without_client == Alone::GoesOn
                    && self.pace.paused_by().is_none()
                    && self.course.is_begun() =>
            {
                self.course.leave(run).await?;
                run.surroundings.live.tasks().ask(&run.surroundings.place.database);
                Ok(Settled::Failed(outcome))
            }
            Err(outcome) => {
                let why = match self.pace.paused_by() {
                    Some(by) if left => {
                        let why = format!("it was paused by {by} when its client left");
                        // Whoever has begun the task would leave it to others.
                        self.course.stay(run, &why).await?;
                        why
                    }
                    _ => outcome.message().unwrap_or_else(|| "it was interrupted".to_owned()),
                };
                self.course.end(run, Some(&why)).await?;
                Ok(Settled::Failed(words::interrupted(self.bulk, (&self.course, self.batches), outcome)))
            }
        }
    }
}

/// Why it must not go on: its client has left or has cancelled it, or the proxy ends.
fn stopped(run: &Run<'_>) -> Option<Outcome> {
    if run.take_cancel() || run.link.client_reading == Reading::Closed || run.record.is_stopped() {
        return Some(cancelled());
    }
    let ends = match *run.surroundings.live.stop().borrow() {
        Stop::Running => false,
        // It would not end in time.
        Stop::Draining { .. } | Stop::Now => true,
    };
    ends.then(|| Outcome::own_error(&shutting_down()))
}

/// What peak hours or a freeze say against the next batch.
fn hours(run: &Run<'_>) -> Option<String> {
    if run.policy.override_for.is_some() {
        return None;
    }
    let curb = run.surroundings.live.gate().pauses(clock::wall(), run.policy.mode)?;
    Some(judge::pausing(&curb))
}
