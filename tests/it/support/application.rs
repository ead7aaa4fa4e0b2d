//! An application at work on `orders`. How long its sessions wait for locks the server itself measures: each wait that is longer than
//! the bound is in its log, whatever the machine does meanwhile to whoever looks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, spawn};

use lockkeeper::cluster::Cluster;

use super::eventually;
use super::stage::{Person, Stage, Way};

/// What a proxy is configured with that is held to a bound.
///
/// More than the default: between the end of ours, a tenth before, and the bound the server has to notice it and to wake who waits,
/// for which a machine that is busy with other tests may need more than 10 ms.
pub(crate) const BOUND: &str = "[guard]\nmax_stall = \"250ms\"";

/// The same for the server, in whose log (`log_lock_waits`) is what waits longer.
const WATCHED: [&str; 2] = ["SET log_lock_waits = on", "SET deadlock_timeout = '250ms'"];

/// What it is called.
const NAME: &str = "application";

/// What it does: every strong lock is in the way of the first, and what keeps writers out of the second, which finds no row that
/// others may have locked.
const WORK: [&str; 2] = ["SELECT count(*) FROM orders", "DELETE FROM orders WHERE id < 0"];

/// One session, working until it is dropped.
pub(crate) struct Application {
    over: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    working: Option<JoinHandle<()>>,
}

impl Application {
    /// Begins at this address, and does this besides; nothing that it does may fail.
    pub(crate) fn begin(addr: SocketAddr, database: &str, besides: &'static [&'static str]) -> Self {
        let mut person = Person::called(addr, &[("database", database), ("application_name", NAME)]);
        person.all(&WATCHED);
        let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stops, counts) = (Arc::clone(&over), Arc::clone(&rounds));
        let working = Some(spawn(move || {
            while !stops.load(Ordering::Relaxed) {
                person.all(&WORK);
                person.all(besides);
                counts.fetch_add(1, Ordering::Relaxed);
                // Not as much as the machine can do: others are to be seen at work beside it.
                person.all(&["SELECT pg_sleep(0.005)"]);
            }
        }));
        Self { over, rounds, working }
    }

    /// Waits until it has been served so often from now on.
    pub(crate) fn is_served(&self, rounds: u64) {
        let wanted = self.rounds.load(Ordering::Relaxed) + rounds;
        eventually("the application is served", || {
            (self.rounds.load(Ordering::Relaxed) >= wanted || self.has_ended()).then_some(())
        });
        assert!(!self.has_ended(), "the application has failed");
    }

    /// Ends it, and fails unless each of its statements has succeeded, and none has waited for a lock beyond the bound.
    #[track_caller]
    pub(crate) fn was_never_stalled(mut self, cluster: &Cluster) {
        self.over.store(true, Ordering::Relaxed);
        self.working.take().expect("once").join().expect("the application was served");
        let stalls = stalls(cluster);
        assert!(stalls.is_empty(), "{stalls:#?}\n{}", around(cluster, &stalls));
    }

    fn has_ended(&self) -> bool {
        self.working.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What the server has logged of the application's waits.
fn stalls(cluster: &Cluster) -> Vec<String> {
    let log = cluster.log();
    let waits = log.lines().filter(|line| line.contains(" still waiting for "));
    waits.filter(|line| line.contains(&format!("{NAME} LOG:"))).map(str::to_owned).collect()
}

/// What the server was asked for by the others before and after the first stall.
fn around(cluster: &Cluster, stalls: &[String]) -> String {
    let log = cluster.log();
    let others: Vec<&str> = log
        .lines()
        .filter(|line| {
            stalls.first().is_some_and(|first| first == line) || !line.contains(&format!("{NAME} LOG:"))
        })
        .collect();
    let at =
        others.iter().position(|line| stalls.first().is_some_and(|first| first == line)).unwrap_or_default();
    others.iter().skip(at.saturating_sub(60)).take(90).copied().collect::<Vec<_>>().join("\n")
}

/// What holds the others to their bound sees what they would do without the proxy.
#[test]
fn a_stall_is_seen() {
    let stage = Stage::new();
    let (mut report, mut migration) = (stage.straight(), stage.straight());
    report.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    let application = Application::begin(stage.proxy.addr(), "postgres", &[]);
    application.is_served(3);
    assert_eq!(stalls(&stage.cluster), [""; 0]);
    migration.send(Way::Simple, "ALTER TABLE orders ADD COLUMN added int");
    let seen = eventually("a stall", || stalls(&stage.cluster).pop());
    // Whichever of its statements it was.
    let modes = ["AccessShareLock", "RowExclusiveLock"];
    assert!(
        modes.iter().any(|mode| seen.contains(&format!("still waiting for {mode} on relation"))),
        "{seen}"
    );
    report.all(&["COMMIT"]);
    migration.answer().tag();
    application.is_served(1);
}
