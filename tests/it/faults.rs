//! What cuts a plan off: a client that vanishes, Ctrl-C, a killed proxy, a crashed server, an ended backend. At every step of
//! every plan, and in the midst of every build of an index.
//!
//! Where the proxy still can, it takes back what was done; what it cannot reach any more it lists.

use lockkeeper::cluster::{Installation, Stop};

use crate::faults_stage::{Case, Moment, Stage};
use crate::plans_faults::{BESIDE_OTHERS, DOORS, FILLED, IN_TREES, KEY_IN_PARTS, LEAVING, STATEMENTS};
use crate::support::each_major;

/// A plan of one step.
const REFRESH: (&str, usize) = ("REFRESH MATERIALIZED VIEW m", 1);

/// The same where an event trigger is in the way (`DROP INDEX CONCURRENTLY` must be the first in its transaction) or does not
/// hear of it (`REINDEX` before 17).
const MET_IN_THE_MIDST: [&str; 3] = ["DROP INDEX t_b", "REINDEX INDEX t_b", "REINDEX TABLE t"];

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ClientVanishes,
    Cancel,
    ProxyKilled,
    ServerCrashes,
    BackendTerminated,
}

/// Which versions: the newest, and the others where they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Versions {
    Newest,
    Others,
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    on(Versions::Newest, Fault::ClientVanishes);
}

#[test]
fn a_cancel_request_leaves_nothing_behind() {
    on(Versions::Newest, Fault::Cancel);
}

#[test]
fn what_a_killed_proxy_has_left_is_listed_when_it_starts_again() {
    on(Versions::Newest, Fault::ProxyKilled);
}

#[test]
fn what_a_crash_of_the_server_has_left_is_listed() {
    on(Versions::Newest, Fault::ServerCrashes);
}

#[test]
fn what_an_ended_backend_has_left_is_listed() {
    on(Versions::Newest, Fault::BackendTerminated);
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind_on_others() {
    on(Versions::Others, Fault::ClientVanishes);
}

#[test]
fn a_cancel_request_leaves_nothing_behind_on_others() {
    on(Versions::Others, Fault::Cancel);
}

#[test]
fn what_a_killed_proxy_has_left_is_listed_when_it_starts_again_on_others() {
    on(Versions::Others, Fault::ProxyKilled);
}

#[test]
fn what_a_crash_of_the_server_has_left_is_listed_on_others() {
    on(Versions::Others, Fault::ServerCrashes);
}

#[test]
fn what_an_ended_backend_has_left_is_listed_on_others() {
    on(Versions::Others, Fault::BackendTerminated);
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind_in_trees() {
    in_trees(Fault::ClientVanishes);
}

#[test]
fn a_cancel_request_leaves_nothing_behind_in_trees() {
    in_trees(Fault::Cancel);
}

#[test]
fn what_a_killed_proxy_has_left_in_trees_is_listed_when_it_starts_again() {
    in_trees(Fault::ProxyKilled);
}

#[test]
fn what_a_crash_of_the_server_has_left_in_trees_is_listed() {
    in_trees(Fault::ServerCrashes);
}

#[test]
fn what_an_ended_backend_has_left_in_trees_is_listed() {
    in_trees(Fault::BackendTerminated);
}

#[test]
fn a_client_that_vanishes_leaves_nothing_half_way() {
    at_doors(Fault::ClientVanishes);
}

#[test]
fn a_cancel_request_leaves_nothing_half_way() {
    at_doors(Fault::Cancel);
}

#[test]
fn what_a_killed_proxy_has_left_half_way_is_listed_when_it_starts_again() {
    at_doors(Fault::ProxyKilled);
}

#[test]
fn what_a_crash_of_the_server_has_left_half_way_is_listed() {
    at_doors(Fault::ServerCrashes);
}

#[test]
fn what_an_ended_backend_has_left_half_way_is_listed() {
    at_doors(Fault::BackendTerminated);
}

/// The versions that are there, at the same time.
fn on(versions: Versions, fault: Fault) {
    let every = std::env::var_os("LOCKKEEPER_TEST_EVERY_FAULT").is_some();
    let mut all = each_major();
    let newest = all.remove(0);
    let chosen: Vec<Installation> = match versions {
        Versions::Newest => vec![newest],
        Versions::Others => all.into_iter().filter(|_| every).collect(),
    };
    std::thread::scope(|scope| {
        for installation in chosen {
            scope.spawn(move || everywhere(fault, installation));
        }
    });
}

fn everywhere(fault: Fault, installation: Installation) {
    let major = installation.major;
    let mut stage = Stage::on(installation);
    all_steps(&mut stage, fault, STATEMENTS.iter().chain([&REFRESH]));
    for sql in MET_IN_THE_MIDST {
        let met = strike(&mut stage, fault, (sql, Moment::Midst(0)));
        assert!(met.is_some(), "{major}: {sql}");
    }
}

/// Partitioned tables, and columns that are filled, on the newest version and on one that knows no NOT NULL constraint.
fn in_trees(fault: Fault) {
    std::thread::scope(|scope| {
        for installation in each_major().into_iter().filter(|one| [15, 18].contains(&one.major)) {
            let plans = IN_TREES.iter().chain(FILLED).chain([&KEY_IN_PARTS]);
            scope.spawn(move || all_steps(&mut Stage::on(installation), fault, plans));
        }
    });
}

/// Tables and partitions that come and go, on the newest version; what builds or drops beside them is met in the midst elsewhere.
fn at_doors(fault: Fault) {
    let mut stage = Stage::on(each_major().remove(0));
    let plans =
        DOORS.iter().chain(&LEAVING).chain(BESIDE_OTHERS.iter().filter(|plan| **plan != KEY_IN_PARTS));
    for (sql, least) in plans {
        let met =
            (1..100).take_while(|step| strike(&mut stage, fault, (sql, Moment::Before(*step))).is_some());
        let steps = met.count();
        assert!(steps >= *least, "{sql}: {steps} steps");
    }
}

fn all_steps<'a>(stage: &mut Stage, fault: Fault, plans: impl Iterator<Item = &'a (&'a str, usize)>) {
    let major = stage.major;
    for (sql, least) in plans {
        let mut steps = 0;
        while let Some(is_build) = strike(stage, fault, (sql, Moment::Before(steps + 1))) {
            steps += 1;
            if is_build {
                let midst = strike(stage, fault, (sql, Moment::Midst(steps)));
                assert!(midst.is_some(), "{major}: {sql}: the build at {steps} was not met");
            }
        }
        assert!(steps >= *least, "{major}: {sql}: {steps} steps");
    }
}

/// The index is lost with the first step of its drop, which is finished as long as anybody can.
fn is_drop(sql: &str) -> bool {
    sql.starts_with("DROP INDEX")
}

/// Strikes at one moment; whether the step that was to come builds an index. Nothing where the plan has no such step.
fn strike(stage: &mut Stage, fault: Fault, (sql, moment): (&str, Moment)) -> Option<bool> {
    let mut case = stage.begin(sql, moment)?;
    let is_build = case.is_build();
    case.name = format!("{} {fault:?} {moment:?}: {sql}", stage.major);
    match fault {
        Fault::ClientVanishes => {
            let unhurried = case.is_unhurried(stage);
            case.client = None;
            // What may take its time is cancelled; what is brief ends by itself.
            if unhurried {
                stage.until_left(&case);
            }
            stage.let_go(&mut case);
            stage.until_gone(&case);
            if is_drop(sql) { stage.is_done(&case) } else { stage.is_clean(&case) }
        }
        Fault::Cancel => {
            case.client.as_ref().expect("a client").cancel();
            stage.until_left(&case);
            stage.let_go(&mut case);
            let client = case.client.as_mut().expect("a client");
            let answer = client.answer();
            if answer.error().is_none() {
                // It came when all was done but for something that is tidied up.
                stage.is_done(&case);
                return Some(is_build);
            }
            assert_eq!(answer.failure(), "57014", "{}: {answer:?}", case.name);
            assert_eq!(answer.hint(), "", "{}: {answer:?}", case.name);
            assert_eq!(client.table("SHOW lock_timeout"), "7s");
            assert_eq!(client.table("SHOW statement_timeout"), "1h");
            stage.is_clean(&case);
        }
        Fault::ProxyKilled => {
            stage.kill_proxy(&mut case);
            stage.let_go(&mut case);
            stage.until_gone(&case);
            stage.start_proxy();
            stage.is_listed(&case);
        }
        Fault::ServerCrashes => {
            stage.restart(&mut case, Stop::Immediate);
            stage.is_listed(&case);
            stage.goes_back(&mut case);
        }
        Fault::BackendTerminated => {
            stage.terminate(&case);
            stage.let_go(&mut case);
            stage.until_gone(&case);
            stage.is_listed(&case);
            stage.goes_back(&mut case);
        }
    }
    drop::<Case>(case);
    Some(is_build)
}
