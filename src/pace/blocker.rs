//! Who holds a lock that we want.

use std::fmt::Write;
use std::time::Duration;

use crate::base::LockMode;

/// A session that holds or awaits a lock on a relation that we want to lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its process.
    pub pid: i32,
    /// Its role.
    pub user: String,
    /// `application_name`
    pub application: String,
    /// How long its transaction has been open.
    pub age: Duration,
    /// The mode that it holds.
    pub mode: LockMode,
    /// `active`, `idle in transaction`, ..
    pub state: String,
    /// The beginning of its current or last statement, cut and without literals.
    pub query_head: String,
    /// What kind of session it is.
    pub worker: Worker,
}

/// Whether a blocker is a client or one of Postgres' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// A client's session.
    Client,
    /// Autovacuum, which was asked to give way: by itself it does so only to someone who stands in the queue for
    /// `deadlock_timeout` (`ProcSleep` in `proc.c`).
    Autovacuum,
    /// Autovacuum that the proxy's own role may not cancel.
    StayingVacuum,
    /// Autovacuum against transaction ID wraparound: never gives way.
    WraparoundVacuum,
}

/// Those that hold a mode in conflict with the one wanted.
pub fn in_the_way(wanted: LockMode, blockers: &[Blocker]) -> Vec<Blocker> {
    blockers.iter().filter(|blocker| blocker.mode.conflicts_with(wanted)).cloned().collect()
}

/// The age of the oldest transaction that is worth waiting for outside the queue.
///
/// Autovacuum does not count that was asked to give way.
pub fn oldest(in_the_way: &[Blocker]) -> Option<Duration> {
    in_the_way.iter().filter(|it| it.worker != Worker::Autovacuum).map(|it| it.age).max()
}

/// The same in short, without what anybody has sent: for those who look at everything.
pub fn processes(in_the_way: &[Blocker]) -> Option<String> {
    let pids: Vec<String> = in_the_way.iter().take(8).map(|blocker| blocker.pid.to_string()).collect();
    (!pids.is_empty()).then(|| format!("waiting for locks of process {}", pids.join(", ")))
}

/// Says who is in the way, oldest first, for a NOTICE.
pub fn describe(in_the_way: &[Blocker]) -> String {
    const SHOWN_MAX: usize = 3;
    let mut sorted: Vec<&Blocker> = in_the_way.iter().collect();
    sorted.sort_by_key(|blocker| std::cmp::Reverse(blocker.age));
    let mut lines: Vec<String> = sorted.iter().take(SHOWN_MAX).map(|blocker| line(blocker)).collect();
    match sorted.len().saturating_sub(SHOWN_MAX) {
        0 => {}
        1 => lines.push("One more session holds it too.".to_owned()),
        more => lines.push(format!("{more} more sessions hold it too.")),
    }
    lines.join(" ")
}

fn line(blocker: &Blocker) -> String {
    let mut line = match blocker.worker {
        Worker::Client => format!("Process {} of user \"{}\"", blocker.pid, blocker.user),
        Worker::Autovacuum => format!("Autovacuum (process {}, asked to give way)", blocker.pid),
        Worker::StayingVacuum => {
            format!("Autovacuum (process {}, which the role of control.url may not cancel)", blocker.pid)
        }
        Worker::WraparoundVacuum => {
            format!("Autovacuum to prevent wraparound (process {}, not to be cancelled)", blocker.pid)
        }
    };
    // Writing to a String cannot fail.
    if !blocker.application.is_empty() {
        let _ = write!(line, " (application \"{}\")", blocker.application);
    }
    let _ = write!(line, " holds {} for {}", blocker.mode, age(blocker.age));
    if !blocker.state.is_empty() && blocker.worker == Worker::Client {
        let _ = write!(line, ", {}", blocker.state);
    }
    if !blocker.query_head.is_empty() {
        let _ = write!(line, ": {}", blocker.query_head);
    }
    line + "."
}

/// An age as people say it.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", age.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocker(pid: i32, mode: LockMode, seconds: u64) -> Blocker {
        Blocker {
            pid,
            user: "app".into(),
            application: "web".into(),
            age: Duration::from_secs(seconds),
            mode,
            state: "idle in transaction".into(),
            query_head: "SELECT * FROM orders".into(),
            worker: Worker::Client,
        }
    }

    #[test]
    fn only_conflicting_modes_are_in_the_way() {
        let all = [blocker(1, LockMode::AccessShare, 5), blocker(2, LockMode::RowExclusive, 3)];
        let pids = |wanted| in_the_way(wanted, &all).iter().map(|it| it.pid).collect::<Vec<_>>();
        assert_eq!(pids(LockMode::Share), [2]);
        assert_eq!(pids(LockMode::AccessExclusive), [1, 2]);
        assert_eq!(pids(LockMode::ShareUpdateExclusive), Vec::<i32>::new());
    }

    #[test]
    fn autovacuum_is_not_waited_for() {
        let vacuum =
            Blocker { worker: Worker::Autovacuum, ..blocker(1, LockMode::ShareUpdateExclusive, 100) };
        assert_eq!(oldest(std::slice::from_ref(&vacuum)), None);
        let stays = Blocker { worker: Worker::StayingVacuum, ..vacuum.clone() };
        assert_eq!(oldest(&[stays]), Some(Duration::from_secs(100)));
        assert_eq!(oldest(&[vacuum, blocker(2, LockMode::AccessShare, 1)]), Some(Duration::from_secs(1)));
    }

    #[test]
    fn blockers_are_described_oldest_first() {
        let mut all: Vec<_> = (1..=5)
            .map(|pid| blocker(pid, LockMode::AccessShare, 4_u64.pow(u32::try_from(pid).unwrap())))
            .collect();
        all[4].worker = Worker::WraparoundVacuum;
        all[4].application.clear();
        insta::assert_snapshot!(describe(&all), @r#"
        Autovacuum to prevent wraparound (process 5, not to be cancelled) holds AccessShareLock for 17 min: SELECT * FROM orders. Process 4 of user "app" (application "web") holds AccessShareLock for 4 min, idle in transaction: SELECT * FROM orders. Process 3 of user "app" (application "web") holds AccessShareLock for 64 s, idle in transaction: SELECT * FROM orders. 2 more sessions hold it too.
        "#);
    }
}
