//! Schema `lockkeeper`: how it is installed, and what whoever calls its functions by hand can do with them.

use std::process::Command;

use lockkeeper::cluster::{Cluster, Installation, Options};
use lockkeeper::control::{Control, ControlSettings, Install, NoSchema, schema};
use lockkeeper::upstream::settings::Host;
use lockkeeper::upstream::{Upstream, UpstreamSettings};

use crate::support::programs::{Ran, psql, run, without_variables};
use crate::support::stage::Person;
use crate::support::{cluster, cluster_with, each_major, eventually};

/// The oldest and the newest at hand.
fn two() -> Vec<Installation> {
    let mut all = each_major();
    let last = all.pop();
    all.truncate(1);
    all.extend(last);
    all
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.args(words);
    command
}

fn url(cluster: &Cluster, user: &str) -> String {
    cluster.url("postgres").replace("postgres@", &format!("{user}@"))
}

fn init(cluster: &Cluster, user: &str) -> Ran {
    run(command(&["init", "--url", &url(cluster, user)]))
}

fn called(cluster: &Cluster, user: &str) -> Person {
    Person::called(cluster.addr(), &[("user", user), ("database", "postgres")])
}

/// A call with two tasks, as its answer.
const QUEUE: &str = "SELECT lockkeeper.queue('[{\"sql\": \"SELECT 1\", \"title\": \"one\", \"tag\": \"SELECT\", \"settings\": {}}, \
     {\"sql\": \"SELECT 2\", \"title\": \"two\", \"tag\": \"SELECT\", \"settings\": {\"role\": \"none\"}}]')";

const SHOWN: &str = "SELECT id, state, title, sql, pid IS NOT NULL FROM lockkeeper.tasks()";

#[test]
fn init_installs_once_and_says_so() {
    for installation in two() {
        let cluster = cluster_with(&Options::new().installation(installation));
        let mut admin = called(&cluster, "postgres");
        let said = init(&cluster, "postgres").ok();
        assert!(said.contains("version 2, is installed and belongs to role \"postgres\""), "{said}");
        let said = init(&cluster, "postgres").ok();
        assert!(said.contains("nothing was done"), "{said}");
        admin.all(&["DROP FUNCTION lockkeeper.tasks", "UPDATE lockkeeper.meta SET version = 0"]);
        let said = init(&cluster, "postgres").ok();
        assert!(said.contains("is brought from version 0 to version 2"), "{said}");
        assert_eq!(
            admin.table("SELECT count(*), (SELECT version FROM lockkeeper.meta) FROM lockkeeper.tasks()"),
            "0|2"
        );
        // What everybody may: nothing but call these.
        assert_eq!(
            admin.table(
                "SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p \
                 WHERE p.pronamespace = 'lockkeeper'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE')"
            ),
            "advance_task begin_task drop_task end_task leave_batch my_task queue tasks version"
        );
        assert_eq!(
            admin.table(
                "SELECT count(*), bool_and(relacl IS NOT NULL AND relacl::text !~ '[{,]=') FROM pg_class \
                 WHERE relnamespace = 'lockkeeper'::regnamespace AND relkind IN ('r', 'S')"
            ),
            "4|t"
        );
        assert_eq!(
            admin.table(
                "SELECT count(*) FROM pg_proc WHERE pronamespace = 'lockkeeper'::regnamespace \
                 AND proconfig IS DISTINCT FROM '{\"search_path=pg_catalog, pg_temp\"}'"
            ),
            "0"
        );
        // What clients call has the rights of the owner, and nothing else has.
        assert_eq!(
            admin.table(
                "SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'lockkeeper'::regnamespace \
                 AND p.prosecdef IS DISTINCT FROM has_function_privilege('public', p.oid, 'EXECUTE')"
            ),
            ""
        );
    }
}

/// Lets no more than all but the last function be made.
const NO_TASKS: &[&str] = &[
    "CREATE FUNCTION no_tasks() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'lockkeeper.tasks()') THEN \
            RAISE 'no tasks today'; END IF; END $$",
    "CREATE EVENT TRIGGER no_tasks ON ddl_command_end WHEN TAG IN ('CREATE FUNCTION') EXECUTE FUNCTION no_tasks()",
];

/// Everything that is in the schema, with the transactions that have written it.
const WHOLE: &str = "
    SELECT concat_ws(' ', 'function', p.xmin, p.oid::regprocedure, p.prosecdef, p.proconfig, p.proacl, md5(p.prosrc)) AS it
        FROM pg_proc p WHERE p.pronamespace = to_regnamespace('lockkeeper')
    UNION ALL SELECT concat_ws(' ', 'column', a.xmin, a.attrelid::regclass, a.attname, a.atttypid::regtype, c.relacl)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = to_regnamespace('lockkeeper')
    UNION ALL SELECT concat_ws(' ', 'schema', n.xmin, n.nspacl) FROM pg_namespace n WHERE n.nspname = 'lockkeeper'
    ORDER BY 1";

/// It is one transaction: whatever fails, what was there is there as it was.
#[test]
fn an_installation_that_fails_leaves_everything_as_it_was() {
    for installation in two() {
        let cluster = cluster_with(&Options::new().installation(installation));
        let mut admin = called(&cluster, "postgres");
        let fails = || {
            let ran = init(&cluster, "postgres");
            assert!(ran.code == 1 && ran.stderr.contains("no tasks today"), "{}", ran.stderr);
        };
        admin.all(NO_TASKS);
        fails();
        assert_eq!(admin.table(WHOLE), "");
        admin.all(&["ALTER EVENT TRIGGER no_tasks DISABLE"]);
        init(&cluster, "postgres").ok();
        // As the first version has made it.
        admin.all(&[
            "DROP FUNCTION lockkeeper.tasks, lockkeeper.my_task, lockkeeper.advance_task",
            "CREATE FUNCTION lockkeeper.tasks() RETURNS TABLE (id bigint) LANGUAGE sql AS 'SELECT id FROM lockkeeper.task'",
            QUEUE,
            "ALTER TABLE lockkeeper.task DROP COLUMN about, DROP COLUMN at",
            "UPDATE lockkeeper.meta SET version = 1",
        ]);
        let rows = "SELECT t.xmin, t.*, (SELECT m.xmin || ' ' || m::text FROM lockkeeper.meta m) FROM lockkeeper.task t ORDER BY id";
        let before = [WHOLE, rows].map(|sql| admin.table(sql));
        admin.all(&["ALTER EVENT TRIGGER no_tasks ENABLE"]);
        fails();
        assert_eq!([WHOLE, rows].map(|sql| admin.table(sql)), before);
        assert_eq!(admin.table("SELECT string_agg(id::text, ' ') FROM lockkeeper.tasks()"), "1 2");
        // Its session ends behind it.
        eventually("nothing is locked", || {
            let locks = admin.table("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
            (locks == "0").then_some(())
        });
        admin.all(&["ALTER EVENT TRIGGER no_tasks DISABLE"]);
        let said = init(&cluster, "postgres").ok();
        assert!(said.contains("is brought from version 1 to version 2"), "{said}");
        assert_eq!(admin.table(SHOWN), "1|queued|one|SELECT 1|f\n2|queued|two|SELECT 2|f");
    }
}

#[test]
fn what_is_printed_for_review_is_what_is_run() {
    let cluster = cluster();
    let said = run(command(&["init", "--sql"])).ok();
    let mut script = psql(&cluster, &cluster.url("postgres"));
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), &said).expect("written");
    script.arg("-f").arg(file.path());
    assert_eq!(run(script).ok(), "");
    let said = init(&cluster, "postgres").ok();
    assert!(said.contains("nothing was done"), "{said}");
}

#[test]
fn several_install_at_once_and_all_succeed() {
    let cluster = cluster();
    let url = url(&cluster, "postgres");
    let running = (0..3).map(|_| {
        let url = url.clone();
        std::thread::spawn(move || run(command(&["init", "--url", &url])).ok())
    });
    let running: Vec<_> = running.collect();
    for one in running {
        let said = one.join().expect("no panic");
        assert!(said.contains("belongs to role \"postgres\""), "{said}");
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let cluster = cluster();
    let mut admin = called(&cluster, "postgres");
    admin.all(&["CREATE ROLE app LOGIN", "CREATE ROLE other LOGIN"]);
    let refused = |user: &str, part: &str| {
        let ran = init(&cluster, user);
        assert!(ran.code == 1 && ran.stderr.contains(part), "{part}: {}", ran.stderr);
    };
    refused(
        "app",
        "role \"app\" may not create schema \"lockkeeper\" in database \"postgres\"; run GRANT CREATE ON DATABASE postgres TO app",
    );
    admin.all(&["GRANT CREATE ON DATABASE postgres TO app"]);
    let said = init(&cluster, "app").ok();
    assert!(said.contains("proxies use it whose control role is \"app\""), "{said}");
    // It could hold anything of theirs.
    refused("other", "belongs to role \"app\"; run this as that role");
    refused("postgres", "belongs to role \"app\"; run this as that role");
    admin.all(&["UPDATE lockkeeper.meta SET version = 3"]);
    called(&cluster, "app")
        .all(&["CREATE OR REPLACE FUNCTION lockkeeper.version() RETURNS int LANGUAGE sql AS 'SELECT 3'"]);
    refused("app", "has version 3, and this program knows versions up to 2; use a newer lockkeeper");
    let mut script = psql(&cluster, &url(&cluster, "app"));
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), run(command(&["init", "--sql"])).stdout).expect("written");
    script.arg("-f").arg(file.path());
    let ran = run(script);
    assert!(ran.stderr.contains("has version 3, and this program knows versions up to 2"), "{}", ran.stderr);
    admin.all(&["DROP SCHEMA lockkeeper CASCADE", "CREATE SCHEMA lockkeeper"]);
    refused("postgres", "that is not of this program");
    admin.all(&["DROP SCHEMA lockkeeper"]);
    init(&cluster, "postgres").ok();
    admin.all(&["UPDATE lockkeeper.meta SET version = 0"]);
    refused(
        "app",
        "is of an older version, and belongs to role \"postgres\"; bring it up to date as role \"postgres\"",
    );
}

#[test]
fn a_batch_is_run_in_order_by_who_has_queued_it_and_by_nobody_else() {
    for installation in two() {
        let cluster = cluster_with(&Options::new().installation(installation));
        let mut admin = called(&cluster, "postgres");
        init(&cluster, "postgres").ok();
        admin.all(&["CREATE ROLE app LOGIN", "CREATE ROLE other LOGIN"]);
        let (mut app, mut beside, mut other) =
            (called(&cluster, "app"), called(&cluster, "app"), called(&cluster, "other"));
        app.all(&["BEGIN", QUEUE]);
        assert_eq!(beside.table(SHOWN), "");
        app.all(&["ROLLBACK", "BEGIN", QUEUE, "COMMIT"]);
        let id = |person: &mut Person| {
            person.table("SELECT id FROM lockkeeper.tasks() ORDER BY 1").replace('\n', " ")
        };
        assert_eq!(id(&mut app), "3 4");
        assert_eq!(app.table("SELECT lockkeeper.begin_task(4)"), "f");
        assert_eq!(app.table("SELECT lockkeeper.begin_task(3)"), "t");
        for intruder in [&mut other, &mut admin] {
            for id in [3, 4, 5, -1] {
                assert_eq!(intruder.query(&format!("SELECT lockkeeper.begin_task({id})")).failure(), "42501");
                assert_eq!(intruder.query(&format!("SELECT lockkeeper.end_task({id})")).failure(), "55000");
                assert_eq!(
                    intruder.query(&format!("SELECT lockkeeper.leave_batch({id})")).failure(),
                    "55000"
                );
            }
        }
        assert_eq!(other.query("SELECT lockkeeper.drop_task(3, 'why not')").failure(), "42501");
        assert_eq!(other.table(SHOWN), "");
        // Whoever takes the lock that anybody can take is none the mightier for it.
        assert_eq!(other.table("SELECT pg_try_advisory_lock(1818979440, 2)"), "f");
        assert_eq!(beside.table("SELECT lockkeeper.begin_task(3)"), "f");
        assert_eq!(beside.query("SELECT lockkeeper.end_task(3)").failure(), "55000");
        let held = admin.query("SELECT lockkeeper.drop_task(3, 'it takes too long')");
        assert_eq!(held.failure(), "55006");
        assert!(held.hint().contains(&app.pid().to_string()), "{}", held.hint());
        app.all(&["SELECT lockkeeper.end_task(3)"]);
        assert_eq!(beside.table("SELECT lockkeeper.begin_task(4)"), "f");
        assert_eq!(app.table("SELECT lockkeeper.begin_task(4)"), "t");
        assert_eq!(admin.table(SHOWN), "3|done|one||f\n4|running|two|SELECT 2|t");
        drop(app);
        crate::support::eventually("its lock is gone", || {
            (admin.table(SHOWN).contains("4|left over")).then_some(())
        });
        other.all(&["SELECT pg_advisory_lock(1818979440, 2)"]);
        assert_eq!(admin.table(SHOWN), "3|done|one||f\n4|left over|two|SELECT 2|f");
        let squatted = beside.query("SELECT lockkeeper.begin_task(4)");
        assert_eq!(squatted.failure(), "55006");
        assert!(squatted.hint().contains(&other.pid().to_string()), "{}", squatted.hint());
        other.all(&["SELECT pg_advisory_unlock(1818979440, 2)"]);
        assert_eq!(beside.table("SELECT lockkeeper.begin_task(4)"), "t");
        beside.all(&["SELECT lockkeeper.end_task(4, 'it has failed')"]);
        assert_eq!(admin.table("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
        assert_eq!(beside.query("SELECT lockkeeper.drop_task(4, ' ')").failure(), "22023");
        admin.all(&["SELECT lockkeeper.drop_task(4, 'not needed')"]);
        assert_eq!(
            beside.table("SELECT state, sql, failure, why, ended_by FROM lockkeeper.tasks() WHERE id = 4"),
            "dropped||it has failed|not needed|postgres"
        );
        assert_eq!(beside.query("SELECT lockkeeper.drop_task(4, 'again')").failure(), "55000");
    }
}

#[test]
fn nonsense_is_refused_and_nothing_leaks() {
    let cluster = cluster();
    init(&cluster, "postgres").ok();
    let mut admin = called(&cluster, "postgres");
    admin.all(&["CREATE ROLE app LOGIN"]);
    let mut app = called(&cluster, "app");
    let task = r#"'{"sql": "SELECT 1", "title": "one", "tag": "SELECT", "settings": {}}'::jsonb"#;
    for nonsense in [
        "NULL".to_owned(),
        "'7'".to_owned(),
        "'[]'".to_owned(),
        "'[7]'".to_owned(),
        "'[null]'".to_owned(),
        format!("jsonb_build_array({task} - 'sql')"),
        format!("jsonb_build_array({task} || '{{\"title\": 7}}')"),
        format!("jsonb_build_array({task} || '{{\"tag\": \"\"}}')"),
        format!("jsonb_build_array({task} || '{{\"settings\": {{\"role\": null}}}}')"),
        format!(
            "jsonb_build_array({task} || jsonb_build_object('settings', (SELECT jsonb_object_agg(n, '') FROM generate_series(1, 51) n)))"
        ),
        format!("jsonb_build_array({task} || jsonb_build_object('sql', repeat('x', 1048577)))"),
        format!("(SELECT jsonb_agg({task}) FROM generate_series(1, 1001))"),
        format!("jsonb_build_array({task} || '{{\"about\": []}}')"),
        format!("jsonb_build_array({task} || '{{\"about\": null}}')"),
        format!("jsonb_build_array({task} || '{{\"about\": {{\"t\": \"x\"}}}}')"),
        format!("jsonb_build_array({task} || '{{\"about\": {{\"t\": 12345678901}}}}')"),
        format!(
            "jsonb_build_array({task} || jsonb_build_object('about', jsonb_build_object(repeat('x', 100000), 1)))"
        ),
    ] {
        assert_eq!(
            app.query(&format!("SELECT lockkeeper.queue({nonsense})")).failure(),
            "22023",
            "{nonsense}"
        );
    }
    let big = format!(
        "(SELECT jsonb_agg({task} || jsonb_build_object('sql', repeat('x', 1000000))) FROM generate_series(1, 20))"
    );
    assert_eq!(app.query(&format!("SELECT lockkeeper.queue({big})")).failure(), "54000");
    for denied in [
        "SELECT FROM lockkeeper.task",
        "SELECT FROM lockkeeper.meta",
        "INSERT INTO lockkeeper.meta VALUES (true, 1)",
        "SELECT nextval('lockkeeper.batch')",
        "SELECT lockkeeper.is_seen(10, 'postgres')",
        "CREATE TABLE lockkeeper.mine ()",
    ] {
        assert_eq!(app.query(denied).failure(), "42501", "{denied}");
    }
}

#[test]
fn a_task_is_not_taken_for_somebody_elses() {
    let cluster = cluster();
    init(&cluster, "postgres").ok();
    let mut admin = called(&cluster, "postgres");
    admin.all(&["CREATE ROLE app LOGIN"]);
    let mut app = called(&cluster, "app");
    // Somebody else's names for what the functions call.
    app.all(&[
        "CREATE TEMP TABLE task (id bigint)",
        "CREATE FUNCTION pg_temp.is_session(oid, name) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "SET search_path = pg_temp, public",
    ]);
    app.all(&[QUEUE]);
    assert_eq!(app.query("SELECT lockkeeper.begin_task(99)").failure(), "42501");
    // A role that takes the name of another, or its number in a restored database, is not that one.
    assert_eq!(app.table("SELECT lockkeeper.begin_task(min(id)) FROM lockkeeper.tasks()"), "t");
    admin.all(&["UPDATE lockkeeper.task SET login = 1"]);
    assert_eq!(app.table("SELECT count(*) FROM lockkeeper.tasks()"), "0");
    admin.all(&["UPDATE lockkeeper.task SET login = 'app'::regrole, queued_by = 'postgres'"]);
    assert_eq!(app.table("SELECT count(*) FROM lockkeeper.tasks()"), "0");
    admin.all(&["GRANT SELECT ON lockkeeper.task TO app"]);
    assert_eq!(app.table("SELECT count(*) FROM lockkeeper.tasks()"), "2");
    // Those that are over go after a month, and only those.
    admin.all(&[
        "UPDATE lockkeeper.task SET state = 'done', sql = NULL, ended_at = now() - interval '31 days'",
        QUEUE,
        "DO $$ DECLARE it bigint; BEGIN FOR it IN SELECT id FROM lockkeeper.tasks() WHERE state = 'queued' LOOP \
            PERFORM lockkeeper.begin_task(it), lockkeeper.end_task(it); END LOOP; END $$",
    ]);
    assert_eq!(admin.table("SELECT count(*), string_agg(state, ' ') FROM lockkeeper.task"), "2|done done");
}

#[tokio::test]
async fn the_proxy_installs_it_where_it_may_and_says_why_not() {
    let cluster = cluster();
    let mut admin = called(&cluster, "postgres");
    admin.all(&[
        "CREATE ROLE keeper LOGIN",
        "CREATE ROLE app LOGIN",
        "GRANT CREATE ON DATABASE postgres TO app",
    ]);
    let control = |user: &str, install| {
        let login: tokio_postgres::Config = url(&cluster, user).parse().expect("a URL");
        let hosts = vec![Host::tcp("127.0.0.1", cluster.port())];
        let upstream = Upstream::load(UpstreamSettings::new(hosts)).expect("settings");
        Control::new(Some(ControlSettings::new(login, &upstream).installing(install)))
    };
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let nobody = Control::default().ensure_schema("postgres").await;
            assert_eq!(nobody, Err(NoSchema::Uncontrolled));
            let off = control("postgres", Install::Off);
            let refused = off.ensure_schema("postgres").await.expect_err("there is none");
            assert_eq!(refused, NoSchema::Off { database: "postgres".to_owned() });
            let said = refused.notice("cannot queue");
            assert_eq!(
                said.detail.as_deref(),
                Some("Database \"postgres\" has no schema \"lockkeeper\" of this version, and ledger.install is \"off\".")
            );
            assert!(said.hint.is_some_and(|hint| hint.contains("lockkeeper init --url")));
            let denied = control("keeper", Install::Auto).ensure_schema("postgres").await;
            assert!(matches!(denied, Err(NoSchema::Denied { .. })), "{denied:?}");
            let absent = control("keeper", Install::Auto).ensure_schema("nowhere").await;
            assert!(matches!(absent, Err(NoSchema::Unreachable(_))), "{absent:?}");
            let app = control("app", Install::Auto);
            assert_eq!(app.ensure_schema("postgres").await, Ok(()));
            // A role that may create schemas could wait there for a mightier one.
            let owned = control("keeper", Install::Auto).ensure_schema("postgres").await;
            assert!(matches!(owned, Err(NoSchema::Owned { .. })), "{owned:?}");
            admin.all(&["DROP SCHEMA lockkeeper CASCADE"]);
            assert_eq!(app.ensure_schema("postgres").await, Ok(()));
            assert_eq!(admin.table("SELECT to_regnamespace('lockkeeper') IS NULL"), "t");
            app.forget_schema("postgres");
            assert_eq!(app.ensure_schema("postgres").await, Ok(()));
            admin.all(&["ALTER SCHEMA lockkeeper OWNER TO postgres"]);
            let mixed = control("keeper", Install::Off).ensure_schema("postgres").await;
            assert!(matches!(mixed, Err(NoSchema::Foreign { .. })), "{mixed:?}");
            let trusted = format!("SELECT {}", schema::is_superusers());
            assert_eq!(admin.table(&trusted), "f");
            admin.all(&["REASSIGN OWNED BY app TO postgres"]);
            assert_eq!(admin.table(&trusted), "t");
            assert_eq!(control("keeper", Install::Off).ensure_schema("postgres").await, Ok(()));
            admin.all(&["CREATE OR REPLACE FUNCTION lockkeeper.version() RETURNS int LANGUAGE sql AS 'SELECT 0'"]);
            let old = control("keeper", Install::Auto).ensure_schema("postgres").await;
            assert!(matches!(old, Err(NoSchema::Old { .. })), "{old:?}");
        })
        .await;
}
