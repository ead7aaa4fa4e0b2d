//! Threads that serve sessions: one runtime each, so that a session lives on one core and needs no locks.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
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
    sockets: UnboundedSender<(Accepted, Place)>,
    load: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

/// Sockets of all workers.
#[derive(Debug, Default)]
struct Total {
    count: AtomicUsize,
    empty: Notify,
}

/// A socket's place in a worker; dropping it makes room.
#[derive(Debug)]
struct Place {
    load: Arc<AtomicUsize>,
    total: Arc<Total>,
}

impl Workers {
    /// Starts the threads. Each calls `start` for every socket that it is handed; what it makes there need not be `Send`.
    pub fn start<S, F>(count: usize, start: &S) -> io::Result<Self>
    where
        S: Fn(Accepted) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let workers = (0..count.max(1)).map(|index| Worker::start(index, start.clone()));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, total: Arc::default() })
    }

    /// Hands a socket to the worker with the fewest.
    pub fn hand(&self, accepted: Accepted) {
        let idlest = self.workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let Some(worker) = idlest else { return };
        let place = Place::take(&worker.load, &self.total);
        // A worker ends only after this pool; if it did not, the socket is closed, which tells the client enough.
        let _ = worker.sockets.send((accepted, place));
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

    /// Ends the threads; sockets that are still open are closed.
    pub fn end(self) {
        for worker in self.workers {
            drop(worker.sockets);
            // A panic of the thread itself has been reported by the panic hook.
            let _ = worker.thread.join();
        }
    }
}

impl Worker {
    fn start<S, F>(index: usize, start: S) -> io::Result<Self>
    where
        S: Fn(Accepted) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let (sockets, arriving) = unbounded_channel();
        let (report, reported) = std_mpsc::channel();
        let thread = thread::Builder::new().name(format!("sessions-{index}")).spawn(move || {
            // The runtime must be made where it runs.
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = report.send(Ok(()));
                    serve(&runtime, arriving, start);
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                }
            }
        })?;
        reported.recv().map_err(io::Error::other)??;
        Ok(Self { sockets, load: Arc::default(), thread })
    }
}

fn serve<S, F>(runtime: &LocalRuntime, mut arriving: UnboundedReceiver<(Accepted, Place)>, start: S)
where
    S: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let start = Rc::new(start);
    runtime.block_on(async {
        while let Some((accepted, place)) = arriving.recv().await {
            let start = Rc::clone(&start);
            tokio::task::spawn_local(async move {
                let _place = place;
                start(accepted).await;
            });
        }
    });
}

impl Place {
    fn take(load: &Arc<AtomicUsize>, total: &Arc<Total>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        total.count.fetch_add(1, Ordering::Relaxed);
        Self { load: Arc::clone(load), total: Arc::clone(total) }
    }
}

impl Drop for Place {
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
        let start = move |accepted: Accepted| {
            let (report, go) = (report.clone(), Arc::clone(&gone));
            async move {
                let go = go.notified();
                report.send(thread::current().name().map(str::to_owned)).expect("the test waits");
                go.await;
                drop(accepted);
            }
        };
        let workers = Workers::start(2, &start).expect("threads");
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
        workers.end();
    }

    #[tokio::test]
    async fn a_panic_ends_one_session_only() {
        let start = |accepted: Accepted| async move {
            let Socket::Unix(socket) = accepted.socket else { return };
            let socket = tokio::net::UnixStream::from_std(socket).expect("a socket");
            socket.writable().await.expect("writable");
            assert!(socket.peer_cred().is_err(), "this test's panic");
        };
        let workers = Workers::start(1, &start).expect("threads");
        let (first, _a) = socket();
        let (second, _b) = socket();
        workers.hand(first);
        workers.hand(second);
        workers.empty().await;
        workers.end();
    }
}
