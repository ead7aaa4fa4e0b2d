//! Cancel requests by the thousand: nobody has to log in to send one.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use lockkeeper::live::{FORWARDS_MAX, WAITING_MAX};

use crate::support::proxy::Setup;
use crate::support::raw::{Raw, cancel_request, query};
use crate::support::stage::{Person, Way};
use crate::support::{PATIENCE, cluster, eventually};

/// As many as are sent. A guessed key is a small number, by which the gate knows it.
const GUESSES: u32 = 10_000;

const CANCEL: [u8; 4] = 80_877_102_i32.to_be_bytes();

/// A way to a server on which guesses are held up until it is opened, and all cancel requests are counted.
struct Gate {
    addr: SocketAddr,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    seen: Mutex<Seen>,
    news: Condvar,
}

#[derive(Default)]
struct Seen {
    is_open: bool,
    /// Connections with a cancel request now, and the most there ever were.
    now: usize,
    most: usize,
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no thread has panicked")
    }
}

impl Gate {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let addr = listener.local_addr().expect("bound");
        let watch = Arc::new(Watch::default());
        let shared = Arc::clone(&watch);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let watch = Arc::clone(&shared);
                thread::spawn(move || serve(socket, server, &watch));
            }
        });
        Self { addr, watch }
    }

    fn open(&self) {
        self.watch.seen().is_open = true;
        self.watch.news.notify_all();
    }
}

/// One connection, in the proxy's leg without TLS.
fn serve(mut socket: TcpStream, server: SocketAddr, watch: &Watch) {
    let mut first = [0; 16];
    if socket.read_exact(&mut first).is_err() {
        return;
    }
    let is_cancel = first[4..8] == CANCEL;
    let guess = u32::from_be_bytes(first[12..].try_into().expect("four bytes"));
    if is_cancel {
        let mut seen = watch.seen();
        seen.now += 1;
        seen.most = seen.most.max(seen.now);
        let held = |seen: &mut Seen| guess < GUESSES && !seen.is_open;
        let (seen, waited) = watch.news.wait_timeout_while(seen, PATIENCE, held).expect("no panic");
        assert!(!waited.timed_out(), "nobody has opened the gate");
        drop(seen);
    }
    let mut onward = TcpStream::connect(server).expect("the server");
    onward.write_all(&first).expect("send");
    if is_cancel {
        // The proxy learns of the end only after it was counted.
        let _ = std::io::copy(&mut onward, &mut socket);
        watch.seen().now -= 1;
        return;
    }
    let back = (onward.try_clone().expect("clone"), socket.try_clone().expect("clone"));
    thread::spawn(move || copy(back.0, back.1));
    copy(socket, onward);
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// A session that sleeps until somebody cancels it.
fn sleeper(addr: SocketAddr) -> Person {
    let mut person = Person::called(addr, &[]);
    person.send(Way::Simple, "SELECT pg_sleep(3600)");
    person
}

#[test]
fn guessing_keys_takes_nobodys_place() {
    let cluster = cluster();
    let gate = Gate::to(cluster.addr());
    let setup = Setup::new(&gate.addr).config("[upstream]").config("sslmode = 'disable'");
    // Nothing is given up while the gate is shut.
    let proxy = setup.config("connect_timeout = '1min'").start();
    let (mut heard, mut guessed) = (sleeper(proxy.addr()), sleeper(proxy.addr()));
    let mut straight = Raw::session(cluster.addr());
    let mut sleep = |pid: i32| {
        let sql = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'");
        straight.rows(&sql).len() == 1
    };
    eventually("both sleep", || (sleep(heard.pid()) && sleep(guessed.pid())).then_some(()));

    let mut working = Raw::session(proxy.addr());
    for guess in 0..GUESSES {
        let key = [guessed.pid().to_be_bytes(), guess.to_be_bytes()].concat();
        Raw::connect(proxy.addr()).send(&cancel_request(&key));
        if guess % 500 == 0 {
            assert_eq!(working.rows("SELECT 1").len(), 1);
        }
    }
    eventually("some are on their way", || (gate.watch.seen().now == FORWARDS_MAX).then_some(()));
    // Whoever has the key does not wait behind those who guess, and there is room for who logs in.
    heard.cancel();
    assert_eq!(heard.answer().failure(), "57014");
    assert_eq!(Raw::session(proxy.addr()).rows("SELECT 1").len(), 1);
    assert_eq!(gate.watch.seen().most, FORWARDS_MAX + 1);

    gate.open();
    let at_server = || cluster.log().matches("wrong key in cancel request").count();
    eventually("those that waited are passed on", || {
        (at_server() >= FORWARDS_MAX + WAITING_MAX).then_some(())
    });
    eventually("nothing is on its way", || (gate.watch.seen().now == 0).then_some(()));
    assert_eq!(gate.watch.seen().most, FORWARDS_MAX + 1);
    assert!(sleep(guessed.pid()), "a guess has cancelled it");
    guessed.cancel();
    assert_eq!(guessed.answer().failure(), "57014");
    working.send(&query("SELECT 1"));
    working.until_ready();
}
