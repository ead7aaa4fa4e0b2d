//! The rows of a `COPY .. FROM STDIN`, held back on their way: while they have to wait, its client is not read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::base::Notice;
use crate::event::CopyHeld;
use crate::event::clock::{self, Moment};
use crate::execute::Place;
use crate::pace::bulk::{Flow, Pressure, Settings};
use crate::upstream::link::{Link, Lost};
use crate::wire::notice;

use super::worker_state::WorkerState;

/// What lets the rows of a session's COPYs by.
pub(super) struct Copies<'a> {
    settings: &'a Settings,
    place: &'a Place,
    state: &'a WorkerState,
    going: Option<Box<Going>>,
}

/// A COPY under way.
struct Going {
    flow: Flow,
    began: Moment,
    look: Option<Pin<Box<dyn Future<Output = Option<Pressure>>>>>,
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
    told: bool,
}

impl std::fmt::Debug for Copies<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copies").field("going", &self.going.is_some()).finish_non_exhaustive()
    }
}

impl<'a> Copies<'a> {
    /// For a session.
    pub(super) const fn new(settings: &'a Settings, place: &'a Place, state: &'a WorkerState) -> Self {
        Self { settings, place, state, going: None }
    }

    /// The session is in no COPY.
    pub(super) fn over(&mut self) {
        self.going = None;
    }

    /// So many bytes were read.
    pub(super) fn passed(&mut self, bytes: usize) {
        if let Some(going) = &mut self.going {
            going.flow.passed(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    /// Ready when more may be read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, link: &mut Link) -> Poll<Result<(), Lost>> {
        if !self.settings.copy && self.settings.copy_bytes_per_second.is_none() {
            return Poll::Ready(Ok(()));
        }
        let going = self.going.get_or_insert_with(|| {
            let flow = Flow::new(self.settings.clone());
            Box::new(Going { flow, began: Moment::now(), look: None, pause: None, told: false })
        });
        loop {
            if let Some(pause) = &mut going.pause {
                ready!(pause.as_mut().poll(cx));
                going.pause = None;
            }
            if self.settings.copy {
                going.poll_look(cx, (self.place, self.state));
            }
            let Some(time) = going.flow.wait(going.began.elapsed()) else { return Poll::Ready(Ok(())) };
            going.pause = Some(Box::pin(clock::pause(time)));
            going.tell(cx, link, self.place)?;
        }
    }
}

impl Going {
    fn poll_look(&mut self, cx: &mut Context<'_>, (place, state): (&Place, &WorkerState)) {
        if self.look.is_none() && self.flow.looks(self.began.elapsed()) {
            let control = state.control_now();
            if !control.is_configured() {
                return;
            }
            let (database, pid) = (place.database.clone(), place.pid);
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
    fn tell(&mut self, cx: &mut Context<'_>, link: &mut Link, place: &Place) -> Result<(), Lost> {
        let Some(hold) = self.flow.stopped_by().filter(|_| !self.told && link.tracker.at_boundary()) else {
            return Ok(());
        };
        CopyHeld { why: &hold.words, pid: place.pid }.emit();
        let words = Notice::info(format!("COPY waits: {}", hold.words))
            .hint("Its rows are read again when that is gone; until then its transaction stays open.");
        let mut out = Vec::new();
        notice::encode(&words, &mut out);
        self.told = true;
        link.offer_client(cx, &out)
    }
}
