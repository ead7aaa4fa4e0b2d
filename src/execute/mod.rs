//! Carries decisions out on the client's own connection; the only part that talks to Postgres in the client's name.
//!
//! Invariant: the server is quiet before anything of ours is sent, and quiet again afterwards.
//! Invariant: every setting that a step changes is put back, or dies with the transaction that it was changed in.
//! Invariant: an error of the server reaches the client as the server worded it; only a DETAIL or HINT is added.

pub mod advisory;
pub mod again;
pub mod attempt;
mod backfill;
mod batch;
mod bulk;
pub mod catalogue;
mod clean_up;
mod course;
pub mod defer;
pub mod detach;
pub mod estimate;
pub mod fail;
mod gathering;
mod invalid;
pub mod guard;
pub mod hold;
pub mod lease;
pub mod message;
mod nap;
pub mod outbox;
pub mod outcome;
pub mod plan;
pub mod progress;
mod question;
pub mod queue;
pub mod readiness;
pub mod repeat;
pub mod replay;
pub mod script;
pub mod summary;
pub mod stall;
pub mod take_back;
pub mod tell;
pub mod trial;
pub mod unhurried;
mod waiter;
mod warm;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::control::Control;
use crate::event::clock;
use crate::judge::{self, Policy};
use crate::live::ledger::{Reach, Record, Whose};
use crate::live::{Cancel, Live, Stop};
use crate::pace::bulk::Settings;
use crate::pace::ladder::LadderSettings;
use crate::upstream::call::{Call, Item};
use crate::upstream::{Link, Lost, Upstream};

use catalogue::SessionSettings;
use outcome::Outcome;

/// Runs a statement as its client has sent it.
pub async fn as_sent(link: &mut Link, text: &[u8]) -> Result<Outcome, Lost> {
    let mut answer = Call::run(link, &[Item::client(text)]).await?;
    Ok(match answer.failed {
        Some(failed) => Outcome::server_error(&failed, None, None),
        None => Outcome::Complete(answer.tags.pop().unwrap_or_default()),
    })
}

/// What carrying out a decision may use.
#[derive(Debug)]
pub struct Run<'a> {
    /// The session's two sockets.
    pub link: &'a mut Link,
    /// The session's settings as they were found.
    pub session: &'a SessionSettings,
    /// All sources of policy, merged.
    pub policy: &'a Policy,
    /// What stays the same for all statements of a session.
    pub surroundings: &'a Surroundings<'a>,
    /// Its entry in the ledger.
    pub record: &'a Record<'a>,
    /// How the client wants the rows that it gets.
    pub rows: Rows<'a>,
}

/// How a client wants the rows of a statement that is carried out in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows<'a> {
    /// In text, and described first: it has sent a simple Query.
    Described,
    /// In these formats, their count in front: it knows what they are.
    Known(&'a [u8]),
}

/// What stays the same for all statements of a session.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// What runs in the process, and what holds work back.
    pub live: &'a Live,
    /// The proxy's own connection.
    pub control: &'a Control,
    /// Set when a cancel request for this session has passed.
    pub cancelled: &'a AtomicBool,
    /// The session's own flag, for those who cancel it from outside; `None` when the server gave no key.
    pub cancel: Option<&'a Arc<Cancel>>,
    /// Cancels what the session's backend is doing.
    pub canceller: &'a Canceller,
    /// The database and backend of the session.
    pub place: &'a Place,
    /// The rungs of patience.
    pub ladder: &'a LadderSettings,
    /// How often progress is told.
    pub progress_every: Duration,
    /// What statements go by that are carried out in batches.
    pub bulk: &'a Settings,
}

impl Surroundings<'_> {
    /// Whose session it is, and how somebody else can cancel what that does.
    pub fn whose(&self) -> (Whose, Reach) {
        let Place { user, application_name, database, pid } = self.place.clone();
        let Canceller { host, packet, .. } = self.canceller;
        let reach = Reach { cancel: self.cancel.cloned(), host: *host, packet: packet.clone() };
        (Whose { user, database, application_name, pid }, reach)
    }

    /// Whether the client has asked to cancel since the last time somebody looked.
    pub fn take_cancel(&self) -> bool {
        self.cancelled.swap(false, Ordering::Relaxed)
    }
}

/// Waits until the client asks to cancel.
pub async fn raised(surroundings: &Surroundings<'_>) {
    match surroundings.cancel {
        Some(cancel) => cancel.raised().await,
        None => std::future::pending().await,
    }
}

/// So long after the client's own a cancel request of ours goes to the server, and after each.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

/// Waits for a question on the client's connection that may wait for a lock. Where its client has asked to cancel, the server is told so
/// until the question has ended.
///
/// The flag stays up, for whoever looks what has become of it.
pub async fn or_cancelled<T>(surroundings: &Surroundings<'_>, question: impl Future<Output = T>) -> T {
    let mut question = pin!(question);
    let unheard = async {
        raised(surroundings).await;
        clock::pause(CANCEL_AGAIN).await;
    };
    tokio::select! {
        biased;
        answer = &mut question => return answer,
        () = unheard => {}
    }
    cut(surroundings, question).await
}

/// Cancels a question again and again until it has ended: the server ignores a request that comes right before.
pub async fn cut<T>(surroundings: &Surroundings<'_>, mut question: Pin<&mut impl Future<Output = T>>) -> T {
    loop {
        surroundings.canceller.cancel().await;
        tokio::select! {
            biased;
            answer = &mut question => return answer,
            () = clock::pause(CANCEL_AGAIN) => {}
        }
    }
}

/// Cancels what the session's backend is doing, as a client would.
pub struct Canceller {
    /// The servers.
    pub upstream: Arc<Upstream>,
    /// Which of them holds the session.
    pub host: usize,
    /// The whole `CancelRequest`; empty when the server gave no key.
    pub packet: Vec<u8>,
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Canceller {
    /// Sends the request; that it came too late, or not at all, shows in what the backend does.
    pub async fn cancel(&self) {
        if self.packet.is_empty() {
            return;
        }
        if let Err(error) = self.upstream.cancel(Some(self.host), &self.packet).await {
            tracing::debug!(%error, "cancel request did not reach the server");
        }
    }
}

/// Where a session works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The user who has logged in.
    pub user: String,
    /// What the client called itself when it did.
    pub application_name: String,
    /// Database name.
    pub database: String,
    /// Backend process id; 0 when the server did not say.
    pub pid: u32,
}

/// What the client hears of a statement that it has cancelled.
pub fn cancelled() -> Notice {
    Notice::error(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}

/// What the client hears of a statement that ends with the proxy.
pub fn shutting_down() -> Notice {
    Notice::error(SqlState::ADMIN_SHUTDOWN, "canceling statement due to administrator command")
        .detail("The lockkeeper proxy is shutting down.")
        .hint("Connect again and send it again; another instance may be serving already.")
}

impl Run<'_> {
    /// Why what has begun is not to go on: somebody has frozen the proxy, or stops it.
    pub fn stopped(&self) -> Option<Notice> {
        let stop = *self.surroundings.live.stop().borrow();
        // There is time until the deadline for what has done a part of its work, and none to wait for the rest to begin.
        let ends = match stop {
            Stop::Running => false,
            Stop::Draining { .. } => !self.record.has_begun(),
            Stop::Now => true,
        };
        if ends {
            return Some(shutting_down());
        }
        if self.policy.override_for.is_some() {
            return None;
        }
        self.surroundings.live.gate().stops(clock::wall()).map(|curb| judge::stopped(&curb))
    }

    /// Whether the client has asked to cancel since the last time somebody looked.
    pub fn take_cancel(&self) -> bool {
        self.surroundings.take_cancel()
    }
}
