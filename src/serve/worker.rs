//! Threads that serve sessions: one runtime each, so that a session lives on one core and needs no locks.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::event::SessionPanicked;

use super::listener::Accepted;

/// The threads, and how many sockets each of them has.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    total: Arc<Total>,
}

#[derive(Debug)]
struct Worker {
    sockets: UnboundedSender<(Accepted, Occupied)>,
    load: Arc<AtomicUsize>,
}

/// Sockets of all workers.
#[derive(Debug, Default)]
struct Total {
    count: AtomicUsize,
    empty: Notify,
}

/// One socket's share of a worker's load; dropping it makes room.
#[derive(Debug)]
struct Occupied {
    load: Arc<AtomicUsize>,
    total: Arc<Total>,
}

/// The load of a worker that has died; nothing is handed to it any more.
const DEAD: usize = usize::MAX / 2;

impl Workers {
    /// Starts the threads. In each, `make` brings what serves one socket; neither that nor its futures need be `Send`, so
    /// that they can share what belongs to the thread.
    pub fn start<M, S, F>(count: usize, make: &M) -> io::Result<Self>
    where
        M: Fn() -> S + Clone + Send + 'static,
        S: Fn(Accepted) -> F + 'static,
        F: Future<Output = ()> + 'static,
    {
        let workers = (0..count.max(1)).map(|index| Worker::start(index, make.clone()));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, total: Arc::default() })
    }

    /// Hands a socket to the worker with the fewest.
    pub fn hand(&self, mut accepted: Accepted) {
        while let Some(worker) = self.idlest() {
            let occupied = Occupied::take(&worker.load, &self.total);
            match worker.sockets.send((accepted, occupied)) {
                Ok(()) => return,
                Err(refused) => {
                    let (returned, occupied) = refused.0;
                    drop(occupied);
                    worker.load.store(DEAD, Ordering::Relaxed);
                    accepted = returned;
                }
            }
        }
    }

    fn idlest(&self) -> Option<&Worker> {
        let loads = self.workers.iter().map(|worker| (worker.load.load(Ordering::Relaxed), worker));
        loads.filter(|(load, _)| *load < DEAD).min_by_key(|(load, _)| *load).map(|(_, worker)| worker)
    }

    /// Sockets that are open.
    pub fn sockets(&self) -> usize {
        self.total.count.load(Ordering::Acquire)
    }

    /// Waits until no socket is open.
    pub async fn empty(&self) {
        loop {
            let news = self.total.empty.notified();
            if self.sockets() == 0 {
                return;
            }
            news.await;
        }
    }
}

impl Worker {
    fn start<M, S, F>(index: usize, make: M) -> io::Result<Self>
    where
        M: Fn() -> S + Send + 'static,
        S: Fn(Accepted) -> F + 'static,
        F: Future<Output = ()> + 'static,
    {
        let (sockets, arriving) = unbounded_channel();
        let (report, reported) = std_mpsc::channel();
        thread::Builder::new().name(format!("sessions-{index}")).spawn(move || {
            // The runtime must be made where it runs.
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = report.send(Ok(()));
                    runtime.block_on(serve(arriving, make()));
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                }
            }
        })?;
        reported.recv().map_err(io::Error::other)??;
        Ok(Self { sockets, load: Arc::default() })
    }
}

/// Serves until the pool is dropped; what is still open then is closed with the runtime.
async fn serve<S, F>(mut arriving: UnboundedReceiver<(Accepted, Occupied)>, start: S)
where
    S: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let start = Rc::new(start);
    while let Some((accepted, occupied)) = arriving.recv().await {
        let start = Rc::clone(&start);
        tokio::task::spawn_local(async move {
            let _occupied = occupied;
            start(accepted).await;
        });
    }
}

impl Occupied {
    fn take(load: &Arc<AtomicUsize>, total: &Arc<Total>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        total.count.fetch_add(1, Ordering::Relaxed);
        Self { load: Arc::clone(load), total: Arc::clone(total) }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        if self.total.count.fetch_sub(1, Ordering::Release) == 1 {
            self.total.empty.notify_waiters();
        }
        if thread::panicking() {
            SessionPanicked.emit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::listener::{Peer, Socket};
    use super::*;

    fn socket() -> (Accepted, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("a socket");
        (Accepted { socket: Socket::Unix(ours), peer: Peer::Local }, theirs)
    }

    #[tokio::test]
    async fn sockets_go_to_the_idlest_and_are_counted() {
        let (report, reported) = std_mpsc::channel();
        let go = Arc::new(Notify::new());
        let gone = Arc::clone(&go);
        let make = move || {
            let (report, gone) = (report.clone(), Arc::clone(&gone));
            move |accepted: Accepted| {
                let (report, go) = (report.clone(), Arc::clone(&gone));
                async move {
                    let go = go.notified();
                    report.send(thread::current().name().map(str::to_owned)).expect("the test waits");
                    go.await;
                    drop(accepted);
                }
            }
        };
        let workers = Workers::start(2, &make).expect("threads");
        let pairs: Vec<_> = (0..4).map(|_| socket()).collect();
        let mut theirs = Vec::new();
        for (accepted, other) in pairs {
            workers.hand(accepted);
            theirs.push(other);
        }
        let mut names: Vec<_> = (0..4).map(|_| reported.recv().expect("started")).collect();
        names.sort();
        assert_eq!(
            names.iter().flatten().collect::<Vec<_>>(),
            ["sessions-0", "sessions-0", "sessions-1", "sessions-1"]
        );
        assert_eq!(workers.sockets(), 4);
        go.notify_waiters();
        workers.empty().await;
    }

    #[tokio::test]
    async fn a_panic_ends_one_session_only() {
        let session = |accepted: Accepted| async move {
            let Socket::Unix(socket) = accepted.socket else { return };
            let socket = tokio::net::UnixStream::from_std(socket).expect("a socket");
            socket.writable().await.expect("writable");
            assert!(socket.peer_cred().is_err(), "this test's panic");
        };
        let workers = Workers::start(1, &move || session).expect("threads");
        let (first, _a) = socket();
        let (second, _b) = socket();
        workers.hand(first);
        workers.hand(second);
        workers.empty().await;
    }
}
