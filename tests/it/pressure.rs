//! What the control connection sees of how much a server and its standbys have to do, and what bulk statements make of it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use lockkeeper::cluster::{Cluster, Options};
use lockkeeper::control::victims::Blocking;
use lockkeeper::control::{Control, ControlSettings};
use lockkeeper::event::clock::Moment;
use lockkeeper::pace::bulk::{
    Controller, Effect, Hold, Kind, Missing, Next, Pressure, Settings, Sight, Signal,
};
use lockkeeper::upstream::settings::Host;
use lockkeeper::upstream::{Upstream, UpstreamSettings};

use crate::support::raw::{Raw, copy_data, query};
use crate::support::stage::Person;
use crate::support::{cluster, cluster_with, each_major, eventually_async};

/// The process of no session.
const NOBODY: u32 = 1;

fn control(cluster: &Cluster, user: &str) -> Control {
    let url = cluster.url("postgres").replace("postgres@", &format!("{user}@"));
    let hosts = vec![Host::tcp("127.0.0.1", cluster.port())];
    let upstream = Upstream::load(UpstreamSettings::new(hosts)).expect("settings");
    Control::new(Some(ControlSettings::new(url.parse().expect("a URL"), &upstream)))
}

fn person(cluster: &Cluster) -> Person {
    Person::called(cluster.addr(), &[("user", "postgres"), ("database", "postgres")])
}

async fn seen(control: &Control) -> Pressure {
    control.pressure("postgres", (NOBODY, 0)).await.expect("an answer")
}

/// Runs what needs a place for the driver of a connection.
async fn at_home(work: Pin<Box<dyn Future<Output = ()>>>) {
    tokio::task::LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn every_version_answers() {
    at_home(Box::pin(async {
        for installation in each_major() {
            let major = installation.major;
            let cluster = cluster_with(&Options::new().installation(installation));
            let mut admin = person(&cluster);
            let control = control(&cluster, "postgres");
            let first = seen(&control).await;
            assert_eq!((first.sight, first.standbys.len(), first.active), (Sight::Clear, 0, 0), "{major}");
            admin.all(&["CREATE TABLE t AS SELECT 1", "CHECKPOINT"]);
            assert_eq!((first.dead_rows, &first.keeper), (0, &None), "{major}");
            let place = admin.table("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')");
            let counted = eventually_async("the checkpoint is counted", async || {
                Some(seen(&control).await).filter(|it| it.checkpoints_requested > first.checkpoints_requested)
            });
            let wal = counted.await.wal;
            assert!(wal > first.wal && wal >= place.parse().expect("a place"), "{major}: {wal} {place}");
        }
    }))
    .await;
}

#[tokio::test]
async fn sessions_at_work_are_counted_but_for_the_statement() {
    at_home(Box::pin(async {
        let cluster = cluster();
        let mut admin = person(&cluster);
        admin.all(&["CREATE ROLE dim LOGIN", "CREATE ROLE clear LOGIN IN ROLE pg_monitor"]);
        let mut busy = Raw::session(cluster.addr());
        let pid = busy.rows("SELECT pg_backend_pid()")[0][0].clone().expect("not null");
        busy.send(&query("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"));
        let mut asleep = Raw::session(cluster.addr());
        asleep.send(&query("SELECT pg_sleep(600)"));
        eventually_async("both have begun", async || {
            let active = admin.table("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()");
            (active == "2").then_some(())
        })
        .await;
        let clear = control(&cluster, "clear");
        assert_eq!(seen(&clear).await.active, 1);
        let apart = clear.pressure("postgres", (pid.parse().expect("a number"), 0)).await.expect("an answer");
        assert_eq!((apart.active, apart.sight), (0, Sight::Clear));
        let dim = seen(&control(&cluster, "dim")).await;
        assert_eq!((dim.active, dim.sight), (0, Sight::Dim));
        assert!(dim.wal > 0);
        admin.all(&["SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"]);
    }))
    .await;
}

#[tokio::test]
async fn nobody_is_asked_again_at_once_who_cannot_say() {
    at_home(Box::pin(async {
        let cluster = cluster();
        let mut admin = person(&cluster);
        admin.all(&[
            "CREATE ROLE keeper LOGIN",
            "REVOKE EXECUTE ON FUNCTION pg_current_wal_flush_lsn() FROM PUBLIC",
        ]);
        let control = control(&cluster, "keeper");
        assert_eq!(control.pressure("postgres", (NOBODY, 0)).await, None);
        admin.all(&["GRANT EXECUTE ON FUNCTION pg_current_wal_flush_lsn() TO keeper"]);
        assert_eq!(control.pressure("postgres", (NOBODY, 0)).await, None, "not yet");
        assert!(
            control.behind("postgres", NOBODY, Blocking::Whatever).await.is_some(),
            "everything else goes on"
        );
    }))
    .await;
}

/// What is seen is taken in until the statement is as it should be.
async fn until(
    pace: &mut Controller,
    control: &Control,
    (what, since): (&str, Moment),
    is: impl Fn(&Next, &[Hold]) -> bool,
) {
    eventually_async(what, async || {
        let seen = control.pressure("postgres", (NOBODY, 0)).await;
        pace.see(since.elapsed(), seen);
        let next = pace.next(since.elapsed(), None);
        is(&next, pace.holds()).then_some(())
    })
    .await;
}

fn stops(next: &Next, holds: &[Hold], signal: Signal) -> bool {
    matches!(next, Next::Wait { .. })
        && holds.iter().any(|hold| hold.signal == signal && hold.effect == Effect::Stops)
}

#[tokio::test]
async fn a_standby_whose_replay_is_paused_stops_it_until_it_is_resumed() {
    at_home(Box::pin(async {
        let all = each_major();
        let two = [all.first(), all.last()].into_iter().flatten().cloned();
        for installation in two {
            let mut primary = cluster_with(&Options::new().installation(installation));
            let standby = Cluster::standby_of(&mut primary).expect("a standby");
            let control = control(&primary, "postgres");
            let (mut admin, mut there) = (person(&primary), person(&standby));
            let caught_up = eventually_async("it has caught up", async || {
                let seen = seen(&control).await;
                seen.standbys.first().filter(|it| it.replayed >= seen.wal).cloned()
            });
            let caught_up = caught_up.await;
            assert_eq!(caught_up.kind, Kind::Physical);
            let off = Settings { replay_lag_max: None, replay_bytes_max: None, ..Settings::default() };
            let by_time = Settings { replay_lag_max: Some(Duration::from_millis(200)), ..off.clone() };
            let by_bytes =
                Settings { replay_bytes_max: Some(1), standbys: vec![caught_up.name.clone()], ..off };
            let since = Moment::now();
            let kinds = [(by_time, Signal::ReplayLag), (by_bytes, Signal::ReplayBytes)];
            let mut paces =
                kinds.map(|(settings, signal)| (Controller::new(settings, Duration::from_secs(1)), signal));
            for (pace, _) in &mut paces {
                until(pace, &control, ("it may begin", since), |next, _| matches!(next, Next::Batch { .. }))
                    .await;
            }
            there.all(&["SELECT pg_wal_replay_pause()"]);
            admin.all(&["CREATE TABLE t AS SELECT generate_series(1, 10000)"]);
            for (pace, signal) in &mut paces {
                until(pace, &control, ("it is stopped", since), |next, holds| stops(next, holds, *signal))
                    .await;
                assert!(pace.holds()[0].words.contains(&format!("standby {:?} is ", caught_up.name)));
            }
            there.all(&["SELECT pg_wal_replay_resume()"]);
            for (pace, _) in &mut paces {
                until(pace, &control, ("it goes on", since), |next, holds| {
                    matches!(next, Next::Batch { .. }) && holds.is_empty()
                })
                .await;
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn a_standby_that_is_named_and_gone_stops_it() {
    at_home(Box::pin(async {
        let mut primary = cluster();
        let standby = Cluster::standby_of(&mut primary).expect("a standby");
        let control = control(&primary, "postgres");
        let name = eventually_async("it is there", async || {
            seen(&control).await.standbys.first().map(|it| it.name.clone())
        });
        let settings = Settings { standbys: vec![name.await], ..Settings::default() };
        let ignoring = Settings { missing_standby: Missing::Ignore, ..settings.clone() };
        let [mut pace, mut other] =
            [settings, ignoring].map(|it| Controller::new(it, Duration::from_secs(1)));
        let since = Moment::now();
        until(&mut pace, &control, ("it may begin", since), |next, _| matches!(next, Next::Batch { .. }))
            .await;
        drop(standby);
        until(&mut pace, &control, ("it is stopped", since), |next, holds| {
            stops(next, holds, Signal::Standbys)
        })
        .await;
        until(&mut other, &control, ("this one goes on", since), |next, _| {
            matches!(next, Next::Batch { .. })
        })
        .await;
    }))
    .await;
}

#[tokio::test]
async fn a_subscriber_is_told_from_a_standby() {
    at_home(Box::pin(async {
        let cluster = cluster_with(&Options::new().conf("wal_level = logical"));
        let mut admin = person(&cluster);
        admin.all(&["CREATE PUBLICATION p", "SELECT pg_create_logical_replication_slot('s', 'pgoutput')"]);
        let mut subscriber = Raw::connect(cluster.addr());
        subscriber.start(&[
            ("user", "postgres"),
            ("database", "postgres"),
            ("replication", "database"),
            ("application_name", "capture"),
        ]);
        subscriber
            .send(&query("START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'p')"));
        // How far it has written, flushed and applied; then the time, and that no answer is needed.
        let place = 1_u64.to_be_bytes();
        let status = [&b"r"[..], &place, &place, &place, &[0; 9]].concat();
        subscriber.send(&copy_data(&status));
        let control = control(&cluster, "postgres");
        let seen = eventually_async("it is seen", async || {
            Some(seen(&control).await).filter(|it| !it.standbys.is_empty())
        });
        let standby = seen.await.standbys.remove(0);
        assert_eq!((standby.name.as_str(), standby.kind, standby.replayed), ("capture", Kind::Logical, 1));
    }))
    .await;
}

#[tokio::test]
async fn whose_snapshot_is_the_oldest_is_seen_whoever_it_is() {
    at_home(Box::pin(async {
        for installation in each_major() {
            let options = Options::new().installation(installation).conf("max_prepared_transactions = 2");
            let cluster = cluster_with(&options);
            let mut admin = person(&cluster);
            admin.all(&["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (2)", "DELETE FROM t"]);
            let table = admin.table("SELECT 't'::regclass::oid").parse().expect("an oid");
            let control = control(&cluster, "postgres");
            let look = async || control.pressure("postgres", (NOBODY, table)).await.expect("an answer");
            eventually_async("they are counted", async || {
                // Up to 14 a session tells what it has done with its next statement.
                admin.all(&["SELECT 1"]);
                (look().await.dead_rows == 2).then_some(())
            })
            .await;
            assert_eq!(look().await.keeper, None);
            let who = async |who: &str| {
                let keeper = look().await.keeper.expect("somebody");
                assert_eq!(keeper.who, who);
                assert!(keeper.xmin.parse::<u32>().is_ok(), "{keeper:?}");
                keeper.age
            };
            let mut other = person(&cluster);
            other.all(&["BEGIN", "INSERT INTO t VALUES (3)"]);
            assert!(who(&format!("process {} of user \"postgres\"", other.pid())).await.is_some());
            other.all(&["PREPARE TRANSACTION 'it is'"]);
            assert!(who("prepared transaction \"it is\"").await.is_some());
            other.all(&["COMMIT PREPARED 'it is'", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"]);
            assert!(who(&format!("process {} of user \"postgres\"", other.pid())).await.is_some());
            other.all(&["COMMIT"]);
            assert_eq!(look().await.keeper, None);
            let mine =
                control.pressure("postgres", (u32::try_from(other.pid()).expect("a pid"), table)).await;
            assert_eq!(mine.expect("an answer").keeper, None);
        }
    }))
    .await;
}

/// A standby that tells what it reads keeps rows from being cleaned by its connection, and by its slot even when it is gone.
#[tokio::test]
async fn what_a_standby_reads_is_kept_for_it() {
    at_home(Box::pin(async {
        let all = each_major();
        let two = [all.first(), all.last()].into_iter().flatten().cloned();
        for installation in two {
            let mut primary = cluster_with(&Options::new().installation(installation));
            let standby = Cluster::standby_of(&mut primary).expect("a standby");
            let control = control(&primary, "postgres");
            let (mut admin, mut there) = (person(&primary), person(&standby));
            admin.all(&["SELECT pg_create_physical_replication_slot('kept', true)"]);
            there.all(&[
                "ALTER SYSTEM SET hot_standby_feedback = on",
                "ALTER SYSTEM SET wal_receiver_status_interval = '1s'",
                "SELECT pg_reload_conf()",
            ]);
            let mut reader = person(&standby);
            reader.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"]);
            let mut keeper = async |who: &str| {
                eventually_async(who, async || {
                    admin.all(&["CREATE TABLE t ()", "DROP TABLE t"]);
                    let keeper = seen(&control).await.keeper?;
                    assert!(keeper.age.is_none() && keeper.xmin.parse::<u32>().is_ok(), "{keeper:?}");
                    keeper.who.starts_with(who).then_some(())
                })
                .await;
            };
            keeper("standby \"").await;
            there.all(&["ALTER SYSTEM SET primary_slot_name = 'kept'", "SELECT pg_reload_conf()"]);
            keeper("replication slot \"kept\"").await;
            drop(standby);
            keeper("replication slot \"kept\"").await;
        }
    }))
    .await;
}
