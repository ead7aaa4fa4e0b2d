//! How many cancel requests are on their way to the servers at once.
//!
//! A cancel request costs its sender one packet and the server a process, and nobody logs in for it: without a bound, a crowd of
//! guesses would take the server's places from those who log in.
//!
//! Invariant: requests that name a session of this process, key and all, never wait behind those that do not.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests of one kind that are passed on at once. Each takes one round trip or a few, so these are thousands in a second, and
/// both kinds together are few beside the connections that any server has.
pub const FORWARDS_MAX: usize = 16;

/// Requests of one kind that may wait, which costs a file descriptor each. Those beyond are dropped: whoever sends that many at
/// once does not mean them.
pub const WAITING_MAX: usize = 1_000;

/// Whether a request is known to mean somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// A session of this process.
    Session,
    /// A session of another process, or nobody.
    Unknown,
}

/// The requests that wait or are being passed on.
#[derive(Debug)]
pub(super) struct Forwards {
    sessions: Lane,
    unknown: Lane,
}

#[derive(Debug)]
struct Lane {
    room: Semaphore,
    /// Fair: in the order of arrival.
    forwards: Semaphore,
}

/// Leave to pass one request on, until it is dropped.
#[derive(Debug)]
pub struct Forward<'a> {
    _forward: SemaphorePermit<'a>,
    _room: SemaphorePermit<'a>,
}

impl Forwards {
    /// Waits for its turn; `None` if too many wait already.
    pub(super) async fn turn(&self, aim: Aim) -> Option<Forward<'_>> {
        let lane = match aim {
            Aim::Session => &self.sessions,
            Aim::Unknown => &self.unknown,
        };
        let room = lane.room.try_acquire().ok()?;
        let forward = lane.forwards.acquire().await.ok()?;
        Some(Forward { _forward: forward, _room: room })
    }
}

impl Default for Forwards {
    fn default() -> Self {
        Self { sessions: Lane::new(), unknown: Lane::new() }
    }
}

impl Lane {
    const fn new() -> Self {
        Self {
            room: Semaphore::const_new(FORWARDS_MAX + WAITING_MAX),
            forwards: Semaphore::const_new(FORWARDS_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    type Turn<'a> = Pin<Box<dyn Future<Output = Option<Forward<'a>>> + 'a>>;

    /// Whether a turn has come, or will never come, without waiting for it.
    async fn settled<'a>(turn: &mut Turn<'a>) -> Option<Option<Forward<'a>>> {
        poll_fn(|cx| {
            Poll::Ready(match turn.as_mut().poll(cx) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn turns_come_in_order_and_a_crowd_is_dropped() {
        let forwards = Forwards::default();
        let mut going = Vec::new();
        let mut waiting: Vec<Turn<'_>> = Vec::new();
        for number in 0..FORWARDS_MAX + WAITING_MAX + 5 {
            let mut turn: Turn<'_> = Box::pin(forwards.turn(Aim::Unknown));
            match settled(&mut turn).await {
                Some(Some(forward)) => going.push(forward),
                Some(None) => assert!(number >= FORWARDS_MAX + WAITING_MAX, "{number}"),
                None => waiting.push(turn),
            }
        }
        assert_eq!((going.len(), waiting.len()), (FORWARDS_MAX, WAITING_MAX));
        // Who is known does not wait behind those who are not.
        assert!(forwards.turn(Aim::Session).await.is_some());
        going.pop();
        assert!(settled(&mut waiting[1]).await.is_none());
        assert!(settled(&mut waiting[0]).await.is_some_and(|turn| turn.is_some()));
    }
}
