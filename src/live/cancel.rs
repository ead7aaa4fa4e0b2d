//! Which session a cancel request means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use tokio::sync::Notify;

use super::nudge::Nudge;

/// Process id and the whole key; the id alone is no key.
type Key = (u32, Box<[u8]>);

#[derive(Debug, Default)]
pub(super) struct Cancels {
    // The map's own hasher is seeded, so that nobody can learn keys by the time that a lookup takes.
    sessions: DashMap<Key, CancelTarget>,
}

/// The session that a cancel request means.
#[derive(Debug, Clone)]
pub struct CancelTarget {
    /// Raise it before the request is sent on, so that a loop of ours stops too.
    pub cancel: Arc<Cancel>,
    /// The upstream host that the session is connected to, as an index into `upstream.hosts`.
    pub host: usize,
    /// The ear of the session while it idles.
    pub nudge: Arc<Nudge>,
}

/// A session's flag: somebody asked to cancel.
#[derive(Debug, Default)]
pub struct Cancel {
    raised: AtomicBool,
    news: Notify,
}

/// A session's entry; dropping it forgets the key.
#[derive(Debug)]
pub struct CancelEntry {
    cancels: Arc<Cancels>,
    key: Key,
    cancel: Arc<Cancel>,
    nudge: Arc<Nudge>,
}

impl Cancel {
    /// Somebody asks to cancel.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.news.notify_waiters();
    }

    /// Whether somebody has asked since the last time; lowers the flag.
    pub fn take(&self) -> bool {
        self.raised.swap(false, Ordering::AcqRel)
    }

    /// The flag itself.
    pub const fn flag(&self) -> &AtomicBool {
        &self.raised
    }

    /// Waits until the flag is up, and leaves it so.
    pub async fn raised(&self) {
        loop {
            let news = self.news.notified();
            if self.raised.load(Ordering::Acquire) {
                return;
            }
            news.await;
        }
    }
}

impl CancelEntry {
    /// The session's flag.
    pub const fn cancel(&self) -> &Arc<Cancel> {
        &self.cancel
    }

    /// The session's ear.
    pub const fn nudge(&self) -> &Arc<Nudge> {
        &self.nudge
    }
}

impl Cancels {
    pub(super) fn insert(cancels: &Arc<Self>, pid: u32, key: &[u8], host: usize) -> CancelEntry {
        let cancel = Arc::new(Cancel::default());
        let nudge = Arc::<Nudge>::default();
        let key: Key = (pid, key.into());
        let target = CancelTarget { cancel: Arc::clone(&cancel), host, nudge: Arc::clone(&nudge) };
        cancels.sessions.insert(key.clone(), target);
        CancelEntry { cancels: Arc::clone(cancels), key, cancel, nudge }
    }

    /// The session of a server process. Looks at all of them.
    pub(super) fn of_process(&self, pid: u32, host: usize) -> Option<CancelTarget> {
        let mut sessions = self.sessions.iter();
        sessions.find(|it| it.key().0 == pid && it.host == host).map(|it| it.value().clone())
    }

    pub(super) fn find(&self, pid: u32, key: &[u8]) -> Option<CancelTarget> {
        self.sessions.get(&(pid, Box::from(key))).map(|target| target.clone())
    }
}

impl Drop for CancelEntry {
    fn drop(&mut self) {
        // Two hosts may give out the same key; a later session with it keeps its entry.
        self.cancels.sessions.remove_if(&self.key, |_, target| Arc::ptr_eq(&target.cancel, &self.cancel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_key_counts() {
        let cancels = Arc::new(Cancels::default());
        let entry = Cancels::insert(&cancels, 7, b"abcd", 1);
        assert!(cancels.find(7, b"abcx").is_none() && cancels.find(8, b"abcd").is_none());
        let target = cancels.find(7, b"abcd").expect("registered");
        target.cancel.raise();
        assert_eq!(target.host, 1);
        assert!(entry.cancel().take() && !entry.cancel().take());
        drop(entry);
        assert!(cancels.find(7, b"abcd").is_none());
    }

    #[test]
    fn an_ended_session_does_not_take_a_later_one_away() {
        let cancels = Arc::new(Cancels::default());
        let early = Cancels::insert(&cancels, 7, b"abcd", 0);
        let _late = Cancels::insert(&cancels, 7, b"abcd", 1);
        drop(early);
        assert_eq!(cancels.find(7, b"abcd").map(|target| target.host), Some(1));
    }

    #[tokio::test]
    async fn a_waiter_wakes() {
        let cancel = Cancel::default();
        let ((), ()) = tokio::join!(cancel.raised(), async { cancel.raise() });
        assert!(cancel.take());
    }
}
