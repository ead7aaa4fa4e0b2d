//! How far a long step is, told at intervals and only when there is something new.

use std::future::Future;
use std::time::Duration;

use crate::base::Notice;
use crate::control::progress::Build;
use crate::event::clock;

use super::Surroundings;

/// The watch over one long step.
#[derive(Debug)]
pub struct Watch<'a> {
    surroundings: &'a Surroundings<'a>,
    last: Option<String>,
    due: clock::Moment,
}

impl<'a> Watch<'a> {
    /// Begins now.
    pub fn new(surroundings: &'a Surroundings<'a>) -> Self {
        Self { surroundings, last: None, due: clock::Moment::now() }
    }

    /// Waits for `work`; `None` when it is time to look how far it is. `work` must be safe to drop.
    pub async fn until_due<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let left = self.surroundings.progress_every.saturating_sub(self.due.elapsed());
        let outcome = clock::within(left.max(Duration::from_millis(10)), work).await;
        if outcome.is_none() {
            self.due = clock::Moment::now();
        }
        outcome
    }

    /// Looks how far the step is; nothing when nothing has changed or nobody may know.
    pub async fn look(&mut self) -> Option<Notice> {
        let place = &self.surroundings.place;
        let build = self.surroundings.control.progress(&place.database, place.pid).await?;
        let message = words(&build);
        if self.last.as_ref() == Some(&message) {
            return None;
        }
        let mut notice = Notice::info(message.clone());
        if let Some(locker) = &build.waits_for {
            notice = notice
                .detail(format!("It waits for {locker} to end; that stops nobody else."))
                .hint("A transaction that stays open keeps every concurrent build of the database waiting.");
        }
        self.last = Some(message);
        Some(notice)
    }
}

fn words(build: &Build) -> String {
    match build.percent() {
        Some(percent) => format!("{}: {}, {percent} %", build.command, build.phase),
        None => format!("{}: {}", build.command, build.phase),
    }
}
