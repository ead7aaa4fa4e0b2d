//! The hot path: bytes from one socket to the other, looked at in place.
//!
//! Invariant: a read chunk goes on in one write; an ordinary message costs no allocation, lock, log line or task switch.
//! Invariant: an idle session holds no buffer; reads go through one scratch buffer per core.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use crate::session::{Eye, Stop};
use crate::upstream::brake::Braking;
use crate::upstream::link::{Link, Lost, Reading};

/// Bytes read at once.
pub const SCRATCH_BYTES: usize = 64 << 10;

/// The read buffer that all sessions of a core share; what a peer does not take at once is kept by its session.
pub type Scratch = RefCell<Box<[u8]>>;

/// Makes the shared read buffer.
pub fn scratch() -> Scratch {
    RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice())
}

/// Why relaying stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// `link.held` begins with a whole message that must be looked at.
    Engage,
    /// `link.held` begins with a message that must be looked at and is too long for it.
    Oversize,
    /// `link.held` begins with a message that is too long to be looked at, behind others that are not answered yet.
    Unsettled,
    /// What must be looked at begins in `link.held`, in the middle of a message that is too long for it.
    Hidden,
    /// A COPY has begun, and nobody has asked yet whether its rows are held back.
    Copying,
    /// The server closed its side and everything it said was passed on.
    ServerEnded,
}

/// Whether the held bytes have been judged, so that only more of them can change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Fresh,
    Judged,
}

/// The client's end of stream on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Passed,
}

/// One run of the relay, from where the session stands until something stops it.
#[derive(Debug)]
pub struct Relay<'a, E> {
    link: &'a mut Link,
    eye: &'a mut E,
    scratch: &'a Scratch,
    held: Held,
    ending: Ending,
}

impl<'a, E: Eye> Relay<'a, E> {
    /// A relay over `link`; `eye` judges statements' texts.
    pub fn new(link: &'a mut Link, eye: &'a mut E, scratch: &'a Scratch) -> Self {
        Self { link, eye, scratch, held: Held::Fresh, ending: Ending::No }
    }

    /// Relays until something stops it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Halt, Lost>> {
        if let Poll::Ready(outcome) = self.poll_client(cx) {
            return Poll::Ready(outcome);
        }
        let polled = poll_server(self.link, cx, self.scratch);
        if self.link.braking.is_some() && !self.link.tracker.expected.is_copying_in() {
            self.link.braking = None;
            // What the client goes on to send was waiting for the brake alone.
            cx.waker().wake_by_ref();
        }
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(Halt::ServerEnded)),
            Poll::Ready(Err(lost)) => Poll::Ready(Err(lost)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The link, between two polls.
    pub fn link(&mut self) -> &mut Link {
        self.link
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<Halt, Lost>> {
        loop {
            ready!(self.link.poll_drain_upstream(cx));
            if !self.link.held.is_empty() && self.held == Held::Fresh {
                if let Some(halt) = self.judge_held(cx)? {
                    return Poll::Ready(Ok(halt));
                }
                continue;
            }
            if self.link.client_reading == Reading::Closed {
                ready!(self.poll_end(cx));
                return Poll::Pending;
            }
            if self.link.tracker.expected.is_copying_in() {
                if let Some(halt) = ready!(self.poll_copy(cx))? {
                    return Poll::Ready(Ok(halt));
                }
            } else {
                self.link.braking = None;
            }
            if let Some(halt) = ready!(self.poll_chunk(cx))? {
                return Poll::Ready(Ok(halt));
            }
        }
    }

    /// Ready when more of the rows of a COPY may be read.
    #[cold]
    fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Halt>, Lost>> {
        let Some(mut braking) = self.link.braking.take() else { return Poll::Ready(Ok(Some(Halt::Copying))) };
        let polled = match &mut *braking {
            Braking::Free => Poll::Ready(Ok(())),
            Braking::By(brake) => brake.poll(cx, self.link),
        };
        self.link.braking = Some(braking);
        polled.map_ok(|()| None)
    }

    #[cold]
    fn copied(&mut self, bytes: usize) {
        if let Some(Braking::By(brake)) = self.link.braking.as_deref_mut() {
            brake.passed(bytes);
        }
    }

    #[inline]
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Halt>, Lost>> {
        let mut scratch = self.scratch.borrow_mut();
        let read = ready!(self.link.poll_read_client(cx, &mut scratch))?;
        let chunk = scratch.get(..read).unwrap_or_default();
        if !self.link.held.is_empty() {
            self.link.held.extend_from_slice(chunk);
            self.held = Held::Fresh;
            return Poll::Ready(Ok(None));
        }
        let copying = self.link.tracker.expected.is_copying_in();
        let seen = self.link.tracker.client(chunk, self.eye).map_err(Lost::ClientMalformed)?;
        let (forward, rest) = chunk.split_at_checked(seen.forward).unwrap_or((chunk, &[]));
        self.link.offer_upstream(cx, forward);
        if !rest.is_empty() {
            self.link.held.extend_from_slice(rest);
            self.held = Held::Judged;
        }
        drop(scratch);
        if copying {
            self.copied(read);
        }
        Poll::Ready(Ok(halt(seen.stop)))
    }

    fn judge_held(&mut self, cx: &mut Context<'_>) -> Result<Option<Halt>, Lost> {
        let held = std::mem::take(&mut self.link.held);
        let seen = self.link.tracker.client(&held, self.eye).map_err(Lost::ClientMalformed)?;
        let (forward, rest) = held.split_at_checked(seen.forward).unwrap_or((&held, &[]));
        self.link.offer_upstream(cx, forward);
        self.link.held = if forward.is_empty() { held } else { rest.to_vec() };
        self.held = Held::Judged;
        Ok(halt(seen.stop))
    }

    /// Passes on what is left of an unfinished message, then the end itself.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ending == Ending::Passed {
            return Poll::Ready(());
        }
        let rest = std::mem::take(&mut self.link.held);
        self.link.offer_upstream(cx, &rest);
        ready!(self.link.poll_drain_upstream(cx));
        ready!(self.link.poll_finish_upstream(cx));
        self.ending = Ending::Passed;
        Poll::Ready(())
    }
}

const fn halt(stop: Stop) -> Option<Halt> {
    match stop {
        Stop::Clear | Stop::Incomplete => None,
        Stop::Engage => Some(Halt::Engage),
        Stop::Oversize => Some(Halt::Oversize),
        Stop::Unsettled => Some(Halt::Unsettled),
        Stop::Hidden => Some(Halt::Hidden),
    }
}

/// Passes what the server says to the client; ready when the server has ended and the client has everything.
pub fn poll_server(link: &mut Link, cx: &mut Context<'_>, scratch: &Scratch) -> Poll<Result<(), Lost>> {
    loop {
        ready!(link.poll_drain_client(cx))?;
        let mut scratch = scratch.borrow_mut();
        let read = ready!(link.poll_read_upstream(cx, &mut scratch))?;
        if read == 0 {
            return Poll::Ready(Ok(()));
        }
        let chunk = scratch.get(..read).unwrap_or_default();
        link.tracker.server(chunk).map_err(Lost::UpstreamMalformed)?;
        link.offer_client(cx, chunk)?;
    }
}
