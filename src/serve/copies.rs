//! The rows of a `COPY .. FROM STDIN`, held back on their way: while they have to wait, its client is not read.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::base::Notice;
use crate::control::Control;
use crate::event::CopyHeld;
use crate::event::clock::{self, Moment};
use crate::judge::Mode;
use crate::live::ledger::{Reach, Whose};
use crate::pace::bulk::{Flow, Pressure};
use crate::upstream::brake::{Brake, Braking};
use crate::upstream::link::{Link, Lost};
use crate::wire::notice;

use super::engage::Desk;
use super::settings::Serving;

/// While rows wait for as long as it takes, so often so many as one read brings go by.
const READ_EVERY: Duration = Duration::from_millis(250);

/// How often people are told anew how far one is.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Its entry in the ledger, as long as it is worth one.
struct Noted {
    serving: Arc<Serving>,
    whose: (Whose, Reach),
    /// The number of the entry, and when it was told last.
    entry: Option<(u64, Moment)>,
}

impl Noted {
    fn tells(&self) -> bool {
        self.entry.is_none_or(|(_, told)| told.elapsed() >= TELL_EVERY)
    }

    fn tell(&mut self, words: String) {
        let ledger = self.serving.live.ledger();
        let id =
            self.entry.map_or_else(|| ledger.begin_copy(self.whose.clone(), clock::wall()), |(id, _)| id);
        ledger.copies(id, words);
        self.entry = Some((id, Moment::now()));
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some((id, _)) = self.entry {
            self.serving.live.ledger().copied(id, clock::wall());
        }
    }
}

/// A COPY under way.
struct Copying {
    noted: Noted,
    flow: Flow,
    control: Option<Rc<Control>>,
    database: String,
    pid: u32,
    began: Moment,
    look: Option<Pin<Box<dyn Future<Output = Option<Pressure>>>>>,
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
    told: bool,
}

impl fmt::Debug for Copying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copying").field("flow", &self.flow).finish_non_exhaustive()
    }
}

/// Looks whether the rows of a COPY that begins now are held back.
pub(super) fn begin(desk: &mut Desk<'_>, control: &Rc<Control>, serving: &Arc<Serving>) {
    let (settings, place) = (desk.surroundings.bulk, desk.surroundings.place);
    let paced = settings.copy || settings.copy_bytes_per_second.is_some();
    if desk.policy.mode != Mode::Enforce || !paced {
        desk.link.braking = Some(Box::new(Braking::Free));
        return;
    }
    desk.link.braking = Some(Box::new(Braking::By(Box::new(Copying {
        noted: Noted { serving: Arc::clone(serving), whose: desk.surroundings.whose(), entry: None },
        flow: Flow::new(settings.clone()),
        control: Some(Rc::clone(control)).filter(|control| settings.copy && control.is_configured()),
        database: place.database.clone(),
        pid: place.pid,
        began: Moment::now(),
        look: None,
        pause: None,
        told: false,
    }))));
}

impl Brake for Copying {
    fn poll(&mut self, cx: &mut Context<'_>, link: &mut Link) -> Poll<Result<(), Lost>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
                // A read passes all the same: behind it may be the end of a client that is gone.
                if self.flow.stopped_by().is_some() {
                    self.poll_look(cx);
                    return Poll::Ready(Ok(()));
                }
            }
            self.poll_look(cx);
            if self.noted.tells()
                && let Some(words) = self.flow.account(self.began.elapsed())
            {
                self.noted.tell(words);
            }
            let Some(time) = self.flow.wait(self.began.elapsed()) else { return Poll::Ready(Ok(())) };
            let time = if self.flow.stopped_by().is_some() { time.min(READ_EVERY) } else { time };
            self.pause = Some(Box::pin(clock::pause(time)));
            self.tell(cx, link)?;
        }
    }

    fn passed(&mut self, bytes: usize) {
        self.flow.passed(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

impl Copying {
    fn poll_look(&mut self, cx: &mut Context<'_>) {
        let Some(control) = &self.control else { return };
        if self.look.is_none() && self.flow.looks(self.began.elapsed()) {
            let (control, database, pid) = (Rc::clone(control), self.database.clone(), self.pid);
            self.look = Some(Box::pin(async move { control.pressure(&database, (pid, 0)).await }));
        }
        if let Some(look) = &mut self.look
            && let Poll::Ready(pressure) = look.as_mut().poll(cx)
        {
            self.look = None;
            self.flow.see(self.began.elapsed(), pressure);
        }
    }

    /// Says once why it stands still.
    fn tell(&mut self, cx: &mut Context<'_>, link: &mut Link) -> Result<(), Lost> {
        let Some(hold) = self.flow.stopped_by().filter(|_| !self.told && link.tracker.at_boundary()) else {
            return Ok(());
        };
        CopyHeld { why: &hold.words, pid: self.pid }.emit();
        let words = Notice::info(format!("COPY waits: {}", hold.words))
            .hint("Its rows are read again when that is gone; until then its transaction stays open.");
        let mut out = Vec::new();
        notice::encode(&words, &mut out);
        self.told = true;
        link.offer_client(cx, &out)
    }
}
