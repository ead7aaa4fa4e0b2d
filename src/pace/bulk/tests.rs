//! The controller beside a simulated server: no time passes here but that of the simulation.

mod properties;
mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    Batch, Controller, Keeper, Kind, LOOK_EVERY, Missing, Next, Order, Pressure, Settings, Sight, Signal,
    Standby,
};
use server::Server;

const MAX_STALL: Duration = Duration::from_millis(200);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn pace(settings: Settings) -> Controller {
    Controller::new(settings, MAX_STALL)
}

fn said(pace: &Controller) -> String {
    let line = |hold: &super::Hold| format!("{} {:?}: {}", hold.signal.word(), hold.effect, hold.words);
    pace.holds().iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_batch_takes_longer_than_half_of_what_others_may_wait() {
    let target = |batch_time, max_stall| {
        Controller::new(Settings { batch_time, ..Settings::default() }, max_stall).target()
    };
    assert_eq!(target(ms(100), ms(100)), ms(50));
    assert_eq!(target(ms(100), s(1)), ms(100));
    assert_eq!(target(ms(100), Duration::ZERO), ms(1));
}

#[test]
fn a_paused_standby_stops_it_wholly_and_it_goes_on_after() {
    let mut server = Server::with_standby(50_000_000);
    let mut pace = pace(Settings::default());
    server.run(&mut pace, s(20));
    assert!(server.rows_since(s(10)) > 10_000);
    server.standby.as_mut().unwrap().paused = true;
    server.run(&mut pace, s(8));
    let stopped = server.now;
    server.run(&mut pace, s(600));
    assert_eq!(server.rows_since(stopped), 0);
    assert_eq!(said(&pace), "replay_lag Stops: standby \"replica1\" is 10 s behind (max 5 s)");
    assert!(pace.progress(server.now).rows_per_second == 0);
    server.standby.as_mut().unwrap().paused = false;
    let on = server.now;
    server.run(&mut pace, s(20));
    assert!(server.rows_since(on) > 10_000);
    assert_eq!(pace.holds(), []);
}

#[test]
fn a_standby_that_is_named_must_be_there() {
    let named = |missing_standby| Settings {
        standbys: vec!["replica2".into()],
        missing_standby,
        ..Settings::default()
    };
    let mut server = Server::with_standby(50_000_000);
    let mut held = pace(named(Missing::Hold));
    server.run(&mut held, s(10));
    assert!(server.done.is_empty());
    assert_eq!(said(&held), "standbys Stops: standby \"replica2\" is not connected");
    let mut goes = pace(named(Missing::Ignore));
    server.standby.as_mut().unwrap().paused = true;
    server.run(&mut goes, s(10));
    assert!(!server.done.is_empty(), "the other one does not count");
}

#[test]
fn people_pause_it_and_set_its_speed() {
    let mut server = Server::new();
    let mut pace = pace(Settings::default());
    let mut rows_in_10_s = |pace: &mut Controller| {
        let from = server.now;
        server.run(pace, s(10));
        server.rows_since(from)
    };
    rows_in_10_s(&mut pace);
    let ordinary = rows_in_10_s(&mut pace);
    pace.order("ann", &Order::Slower(4));
    let slower = rows_in_10_s(&mut pace);
    assert!((slower * 3..slower * 5).contains(&ordinary), "{ordinary} {slower}");
    assert_eq!(said(&pace), "order Slows(0): it was told by ann to go at 25 % of its speed");
    pace.order("ann", &Order::Pause);
    assert_eq!(rows_in_10_s(&mut pace), 0);
    pace.order("ann", &Order::Resume);
    pace.order("ann", &Order::Faster(4));
    let again = rows_in_10_s(&mut pace);
    assert!(again.abs_diff(ordinary) < ordinary / 10, "{again} {ordinary}");
    pace.order("ann", &Order::Faster(2));
    assert!(rows_in_10_s(&mut pace) > ordinary * 105 / 100);
    pace.order("ann", &Order::RowsPerSecond(Some(70)));
    assert!((600..=800).contains(&rows_in_10_s(&mut pace)));
    assert!(said(&pace).contains("no more than 70 rows a second are allowed by ann"));
    pace.order("ann", &Order::RowsPerSecond(None));
    assert!(rows_in_10_s(&mut pace) > ordinary / 2);
}

#[test]
fn peak_hours_and_freezes_hold_it() {
    let mut pace = pace(Settings::default());
    let next = pace.next(s(1), Some("frozen by ann: an incident"));
    assert_eq!(next, Next::Wait { time: LOOK_EVERY });
    assert_eq!(said(&pace), "hours Stops: frozen by ann: an incident");
    assert!(matches!(pace.next(s(2), None), Next::Batch { .. }));
}

#[test]
fn whoever_waits_for_rows_makes_batches_smaller() {
    let mut server = Server::new();
    let mut pace = pace(Settings::default());
    server.run(&mut pace, s(10));
    let before = pace.batch_rows();
    let batch = Batch { visited: before, changed: before, took: ms(60), others_waited: ms(55) };
    pace.done(server.now, &batch);
    assert_eq!(pace.batch_rows(), before / 2);
    pace.next(server.now, None);
    assert_eq!(said(&pace), "waiting Shrinks: others waited 55 ms for rows of the last batch (max 50 ms)");
    pace.held_up(server.now, ms(10));
    assert_eq!(pace.batch_rows(), before / 4);
    assert!(matches!(pace.next(server.now, None), Next::Wait { time } if time >= ms(100)));
    assert_eq!(said(&pace), "waiting Shrinks: others hold rows of the next batch, or waited for them");
}

#[test]
fn silence_is_told_from_nobody_to_ask() {
    let mut unasked = pace(Settings::default());
    assert!(matches!(unasked.next(s(0), None), Next::Batch { .. }));
    let mut never = pace(Settings::default());
    never.see(s(0), None);
    assert!(matches!(never.next(s(0), None), Next::Batch { .. }));
    assert_eq!(never.holds(), []);
    let mut named = pace(Settings { standbys: vec!["replica1".into()], ..Settings::default() });
    named.see(s(0), None);
    assert!(matches!(named.next(s(0), None), Next::Wait { .. }));
    // Standbys were seen, and then nobody answers.
    let mut server = Server::with_standby(50_000_000);
    let mut pace = pace(Settings::default());
    server.run(&mut pace, s(5));
    pace.see(server.now, None);
    pace.see(server.now, None);
    pace.next(server.now, None);
    insta::assert_snapshot!(said(&pace), @"control Slows(4000): the control connection does not answer, so that nobody knows how far standbys are");
}

#[test]
fn a_role_that_may_not_see_is_told() {
    let dim = Pressure { sight: Sight::Dim, ..Pressure::default() };
    let mut all = pace(Settings { cores: Some(8), ..Settings::default() });
    all.see(s(0), Some(dim.clone()));
    assert!(matches!(all.next(s(0), None), Next::Batch { .. }));
    insta::assert_snapshot!(all.unseen().unwrap(), @"the role of the control connection may not see how far standbys are and how many sessions are at work: GRANT pg_monitor to it");
    let mut named = pace(Settings { standbys: vec!["replica1".into()], ..Settings::default() });
    named.see(s(0), Some(dim));
    assert!(matches!(named.next(s(0), None), Next::Wait { .. }));
    insta::assert_snapshot!(said(&named), @r#"standbys Stops: how far standby "replica1" is cannot be seen by the role of the control connection: GRANT pg_monitor to it"#);
}

/// A controller that every signal holds back, on these terms.
fn held_by_all(settings: Settings) -> Controller {
    let mut pace = pace(settings);
    let standby = |name: &str, replayed, lag, kind| {
        let pid = i32::try_from(name.len()).unwrap();
        Standby { pid, name: name.into(), replayed, lag, kind }
    };
    let pressure = |wal: u64, checkpoints_requested| Pressure {
        wal,
        standbys: vec![
            standby("delayed", wal - 1, Some(ms(12_300)), Kind::Physical),
            standby("far", wal - (3 << 30), None, Kind::Physical),
            standby("near", wal - 1, Some(s(3)), Kind::Physical),
            standby("capture1", 0, Some(s(3600)), Kind::Logical),
        ],
        sight: Sight::Clear,
        active: 40,
        checkpoints_requested,
        dead_rows: 2000,
        ..Pressure::default()
    };
    pace.see(s(0), Some(pressure(100 << 30, 7)));
    pace.see(s(1), Some(pressure((100 << 30) + (80 << 20), 8)));
    pace.done(s(1), &Batch { visited: 900, changed: 900, took: ms(80), others_waited: ms(70) });
    pace.order("ann", &Order::Slower(2));
    pace.order("ann", &Order::Pause);
    assert_eq!(pace.next(s(1), Some("peak hours until 20:00")), Next::Wait { time: LOOK_EVERY });
    pace
}

/// Those that are off by default, too.
fn all_on() -> Settings {
    Settings {
        cores: Some(8),
        wal_per_second: Some(50 << 20),
        rows_per_second: Some(50),
        dead_rows_max: Some(1000),
        ..Settings::default()
    }
}

#[test]
fn each_signal_can_be_switched_off_by_itself() {
    let words = |settings| {
        let pace = held_by_all(settings);
        pace.holds().iter().map(|hold| hold.signal).collect::<BTreeSet<_>>()
    };
    let all = words(all_on());
    for (signal, settings) in [
        (Signal::ReplayLag, Settings { replay_lag_max: None, ..all_on() }),
        (Signal::ReplayBytes, Settings { replay_bytes_max: None, ..all_on() }),
        (Signal::Active, Settings { cores: None, ..all_on() }),
        (Signal::Wal, Settings { wal_per_second: None, ..all_on() }),
        (Signal::Checkpoints, Settings { checkpoints: false, ..all_on() }),
        (Signal::Waiting, Settings { waiting_max: None, ..all_on() }),
        (Signal::RowsPerSecond, Settings { rows_per_second: None, ..all_on() }),
        (Signal::DeadRows, Settings { dead_rows_max: None, ..all_on() }),
    ] {
        let mut left = all.clone();
        assert!(left.remove(&signal), "{signal:?} holds it");
        assert_eq!(words(settings), left, "{signal:?}");
    }
}

#[test]
fn every_signal_has_its_words() {
    let pace = held_by_all(all_on());
    insta::assert_snapshot!(said(&pace), @r#"
    order Stops: it was paused by ann
    hours Stops: peak hours until 20:00
    replay_lag Stops: standby "delayed" is 12 s behind (max 5 s)
    replay_bytes Stops: standby "far" is 3 GB of WAL behind (max 1 GB)
    order Slows(0): it was told by ann to go at 50 % of its speed
    replay_lag Slows(250): standby "near" is 3.0 s behind (max 5 s)
    active Slows(6250): 40 sessions are at work (max 16 on 8 cores)
    wal Until(1.6s): WAL is written at 80 MB/s (max 50 MB/s)
    checkpoints Slows(1000): checkpoints come before their time, since so much WAL is written (max_wal_size)
    dead_rows Slows(4000): 2000 dead rows are to be cleaned (max 1000)
    waiting Shrinks: others waited 70 ms for rows of the last batch (max 50 ms)
    rows_per_second Until(18.92s): no more than 50 rows a second are allowed
    "#);
}

#[test]
fn standbys_of_one_name_are_told_apart() {
    let mut pace = pace(Settings::default());
    let standby = |pid, replayed| {
        let name = if pid < 3 { "walreceiver" } else { "replica1" };
        Standby { pid, name: name.into(), replayed, lag: None, kind: Kind::Physical }
    };
    // One replays 1 MB in each second of 10 MB that are written, one keeps up, one has come to nothing and then is gone.
    for second in 0..5_u64 {
        let mut standbys = vec![standby(1, second << 20), standby(2, (10 * second) << 20), standby(3, 0)];
        standbys.truncate(if second < 4 { 3 } else { 2 });
        let pressure = Pressure { wal: (10 * second) << 20, standbys, ..Pressure::default() };
        pace.see(s(second), Some(pressure));
    }
    pace.next(s(4), None);
    assert_eq!(
        said(&pace),
        "replay_lag Stops: standby \"walreceiver\" (process 1) needs 36 s to catch up (max 5 s)"
    );
}

#[test]
fn dead_rows_slow_it_down_and_never_stop_it() {
    let keeper = Keeper { who: "process 7 of user \"report\"".into(), xmin: "1".into(), age: Some(s(720)) };
    let mut pace = pace(Settings { dead_rows_max: Some(1000), ..Settings::default() });
    let mut see = |dead_rows, keeper: &Option<Keeper>| {
        pace.see(s(1), Some(Pressure { dead_rows, keeper: keeper.clone(), ..Pressure::default() }));
        assert!(matches!(pace.next(s(1), None), Next::Batch { .. }));
        said(&pace)
    };
    assert_eq!(see(1000, &None), "");
    assert_eq!(see(2000, &None), "dead_rows Slows(4000): 2000 dead rows are to be cleaned (max 1000)");
    assert_eq!(
        see(1 << 40, &Some(keeper)),
        "dead_rows Slows(20000): 1099511627776 dead rows are to be cleaned (max 1000): process 7 of user \"report\" has kept them for \
         12 min"
    );
}

#[test]
fn signals_can_be_switched_off() {
    let off = Settings {
        replay_lag_max: None,
        replay_bytes_max: None,
        waiting_max: None,
        checkpoints: false,
        old_snapshot: None,
        ..Settings::default()
    };
    let mut pace = pace(off);
    assert!(!pace.looks(s(0)));
    let standby = Standby { pid: 1, name: "s".into(), replayed: 0, lag: Some(s(900)), kind: Kind::Physical };
    for requested in 0..9 {
        let pressure = Pressure {
            wal: (1 << 40) * (requested + 1),
            standbys: vec![standby.clone()],
            active: 1000,
            checkpoints_requested: requested,
            dead_rows: 1 << 40,
            ..Pressure::default()
        };
        pace.see(s(requested), Some(pressure));
    }
    pace.done(s(9), &Batch { visited: 10, changed: 10, took: ms(80), others_waited: s(1) });
    assert!(matches!(pace.next(s(10), None), Next::Batch { .. }));
    assert_eq!(pace.holds(), []);
}

#[test]
fn checkpoints_before_their_time_slow_it_down_until_there_are_none() {
    let mut server = Server { checkpoint_bytes: 20 << 20, ..Server::new() };
    let mut pace = pace(Settings::default());
    server.run(&mut pace, s(60));
    let early = server.rows_since(s(30));
    assert!(pace.holds().iter().any(|hold| hold.signal == Signal::Checkpoints));
    server.checkpoint_bytes = u64::MAX;
    server.run(&mut pace, s(200));
    let from = server.now;
    server.run(&mut pace, s(30));
    assert_eq!(pace.holds(), []);
    assert!(server.rows_since(from) > early * 2, "{} {early}", server.rows_since(from));
}
