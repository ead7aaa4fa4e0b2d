//! Asking an idle session of this process to let go of the snapshot that a finished portal of its keeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// One session's ear.
#[derive(Debug, Default)]
pub struct Nudge {
    asked: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Nudge {
    /// Asks, and wakes the session.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn listen(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    /// Whether somebody has asked; from now on this task is woken when somebody does. `listening` is the waker of the last time.
    #[inline]
    pub fn is_asked(&self, listening: &mut Option<Waker>, waker: &Waker) -> bool {
        if !listening.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *listening = Some(waker.clone());
            self.listen(waker);
        }
        self.take()
    }

    /// Whether somebody has asked since the last time.
    #[inline]
    fn take(&self) -> bool {
        // Most often nobody has: a load is cheaper than a swap.
        self.asked.load(Ordering::Acquire) && self.asked.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_listens_is_woken_and_hears_once() {
        let (nudge, counter) = (Nudge::default(), Arc::new(Counter::default()));
        nudge.ask();
        nudge.listen(&Waker::from(Arc::clone(&counter)));
        assert!(nudge.take() && !nudge.take(), "asked before it listened");
        nudge.ask();
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
        assert!(nudge.take() && !nudge.take());
    }
}
