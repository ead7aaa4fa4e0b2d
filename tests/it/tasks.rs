//! Tasks that were queued and that nobody runs: taken up by a proxy, or by `lockkeeper resume`, and never with more rights than
//! those of the role that has queued them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use lockkeeper::cluster::{Cluster, Options};
use rustix::process::Signal;
use serde_json::json;

use crate::support::operated::Operated;
use crate::support::programs::{Owned, Ran, run, without_variables};
use crate::support::proxy::{Proxy, Setup};
use crate::support::stage::Person;
use crate::support::{cluster_with, each_major, eventually};

/// What a task's statement runs under.
type Settings<'a> = &'a [(&'a str, &'a str)];

/// A server with the schema, a role `app`, and a table of that role.
fn stage(options: &Options) -> Cluster {
    let cluster = cluster_with(options);
    lockkeeper(&cluster, "postgres", &["init"]).ok();
    called(&cluster, "postgres").all(&[
        "CREATE ROLE app LOGIN PASSWORD 'wonderland'",
        "CREATE SCHEMA shop AUTHORIZATION app",
        "CREATE TABLE shop.orders (id int, customer int)",
        "INSERT INTO shop.orders SELECT n, n % 10 FROM generate_series(1, 100) n",
        "ALTER TABLE shop.orders OWNER TO app",
    ]);
    cluster
}

fn url(cluster: &Cluster, user: &str) -> String {
    cluster.url("postgres").replace("postgres@", &format!("{user}@"))
}

/// A command about the cluster's database, typed by a role.
fn lockkeeper(cluster: &Cluster, user: &str, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B");
    command.args(words).args(["--url", &url(cluster, user)]);
    run(command)
}

fn called(cluster: &Cluster, user: &str) -> Person {
    Person::called(cluster.addr(), &[("user", user), ("database", "postgres")])
}

/// Queues one batch that its session will not run.
fn queue(person: &mut Person, tasks: &[(&str, Settings<'_>)]) {
    let task = |(sql, settings): &(&str, Settings<'_>)| {
        let settings: serde_json::Map<_, _> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({ "sql": sql, "title": sql, "tag": "DDL", "settings": settings })
    };
    let tasks: Vec<_> = tasks.iter().map(task).collect();
    person
        .table(&format!("SELECT lockkeeper.queue('{}', true)", json!(tasks).to_string().replace('\'', "''")));
}

/// A proxy that has a superuser's control connection.
fn proxy(cluster: &Cluster) -> Setup {
    Setup::new(&cluster.addr()).config(&format!("[control]\nurl = \"{}\"", cluster.url("postgres")))
}

const STATES: &str = "SELECT string_agg(state, ' ' ORDER BY id) FROM lockkeeper.tasks()";

fn until(person: &mut Person, sql: &str, answer: &str) {
    eventually(&format!("{sql}: {answer}"), || (person.table(sql) == answer).then_some(()));
}

const PATH: Settings<'_> = &[("search_path", "shop, public"), ("role", "none")];

#[test]
fn what_nobody_runs_is_taken_up_in_order_under_its_settings() {
    for installation in [each_major().remove(0), each_major().pop().expect("one")] {
        let cluster = stage(&Options::new().installation(installation));
        let mut admin = called(&cluster, "postgres");
        admin.all(&[
            "CREATE ROLE owners",
            "GRANT owners TO app",
            "ALTER TABLE shop.orders OWNER TO owners",
            "GRANT ALL ON SCHEMA shop TO owners",
            "ALTER ROLE app SET default_transaction_read_only = on",
        ]);
        let owners: Settings<'_> = &[("search_path", "shop"), ("role", "owners")];
        let mut app = called(&cluster, "app");
        app.all(&["SET default_transaction_read_only = off"]);
        queue(
            &mut app,
            &[
                ("CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_customer ON orders (customer)", owners),
                ("ALTER TABLE orders ADD CONSTRAINT orders_key UNIQUE (id)", owners),
                ("ALTER TABLE shop.orders RENAME TO bills", &[("role", "owners")]),
            ],
        );
        let proxy = proxy(&cluster).start();
        until(&mut admin, STATES, "done done done");
        assert_eq!(
            admin.table(
                "SELECT string_agg(i.indexrelid::regclass || ' ' || i.indisvalid || ' ' || c.relowner::regrole, ', ' ORDER BY 1) \
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'shop.bills'::regclass"
            ),
            "shop.orders_customer true owners, shop.orders_key true owners"
        );
        assert_eq!(
            admin.table("SELECT DISTINCT ended_by, attempts, sql IS NULL FROM lockkeeper.tasks()"),
            "app|1|t"
        );
        assert_eq!(proxy.log().matches("is taken up").count(), 3, "{}", proxy.log());
    }
}

#[test]
fn proxies_that_race_run_each_task_once() {
    let cluster = stage(&Options::new());
    let (mut admin, mut app) = (called(&cluster, "postgres"), called(&cluster, "app"));
    for name in ["a", "b", "c", "d"] {
        let create = format!("CREATE INDEX CONCURRENTLY {name} ON shop.orders (customer)");
        let drop = format!("DROP INDEX CONCURRENTLY shop.{name}");
        queue(&mut app, &[(&create, &[]), (&drop, &[])]);
    }
    let proxies = [proxy(&cluster).start(), proxy(&cluster).start()];
    until(&mut admin, STATES, "done done done done done done done done");
    assert_eq!(admin.table("SELECT sum(attempts) FROM lockkeeper.tasks()"), "8");
    let begun = |proxy: &Proxy| proxy.log().matches("is taken up").count();
    eventually("all is told", || (proxies.iter().map(begun).sum::<usize>() == 8).then_some(()));
}

/// What ends the session of a proxy that was killed while it built an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Somebody ends it: the index is invalid.
    Terminated,
    /// It notices only when it is done: the index is there.
    Finished,
}

#[test]
fn a_task_of_a_killed_proxy_is_finished_by_the_next() {
    for end in [End::Terminated, End::Finished] {
        for sql in [
            "ALTER TABLE shop.orders ADD CONSTRAINT orders_key UNIQUE (id)",
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_key ON shop.orders (id)",
        ] {
            let cluster = stage(&Options::new());
            let mut admin = called(&cluster, "postgres");
            let mut reader = called(&cluster, "postgres");
            queue(&mut called(&cluster, "app"), &[(sql, &[])]);
            reader.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM shop.orders"]);
            let first = proxy(&cluster).start();
            let waiting = "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Lock' \
                 AND query ~ '^CREATE UNIQUE INDEX CONCURRENTLY'";
            let pid = eventually(waiting, || Some(admin.table(waiting)).filter(|pid| !pid.is_empty()));
            first.signal(Signal::KILL);
            drop(first);
            assert_eq!(admin.table(STATES), "running");
            if end == End::Terminated {
                admin.all(&[&format!("SELECT pg_terminate_backend({pid})")]);
            }
            reader.all(&["COMMIT"]);
            until(&mut admin, STATES, "left over");
            let second = proxy(&cluster).start();
            until(&mut admin, STATES, "done");
            assert_eq!(
                admin.table("SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'shop.orders'::regclass"),
                "shop.orders_key|t",
                "{end:?} {sql}"
            );
            let constraints = admin.table("SELECT count(*) FROM pg_constraint WHERE conname = 'orders_key'");
            assert_eq!(constraints, if sql.contains("CONSTRAINT") { "1" } else { "0" }, "{end:?} {sql}");
            drop(second);
        }
    }
}

#[test]
fn code_of_the_queuers_gets_no_rights_of_the_proxys() {
    // The control role is a superuser; nobody but the password file can tell the proxy how to log in as `app`.
    let cluster = stage(&Options::new().hba("host all app 127.0.0.1/32 scram-sha-256"));
    let mut admin = called(&cluster, "postgres");
    admin.all(&[
        "CREATE TABLE shop.seen (who text, login text, became text)",
        "CREATE FUNCTION shop.climb() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
            BEGIN PERFORM set_config('role', 'none', false); PERFORM set_config('role', 'postgres', false); \
            EXCEPTION WHEN OTHERS THEN NULL; END; \
            INSERT INTO shop.seen VALUES (current_user, session_user, current_setting('is_superuser')); RETURN true; END $$",
        "ALTER FUNCTION shop.climb() OWNER TO app",
        "ALTER TABLE shop.seen OWNER TO app",
        "ALTER TABLE shop.orders ADD CONSTRAINT sound CHECK (shop.climb()) NOT VALID",
        "SET SESSION AUTHORIZATION app",
    ]);
    queue(&mut admin, &[("ALTER TABLE shop.orders VALIDATE CONSTRAINT sound", &[("role", "postgres")])]);
    queue(&mut admin, &[("ALTER TABLE shop.orders VALIDATE CONSTRAINT sound", &[])]);
    admin.all(&["RESET SESSION AUTHORIZATION"]);
    let without = proxy(&cluster).variable("HOME", "/nowhere").start();
    eventually("it is said that they wait", || {
        (without.log().matches("run lockkeeper resume as the role").count() == 2).then_some(())
    });
    assert!(
        without.log().contains("the server asks for a password, and there is none for this role"),
        "{}",
        without.log()
    );
    drop(without);
    let resumed = lockkeeper(&cluster, "postgres", &["resume"]).ok();
    assert_eq!(resumed, "nothing to resume\nrole app has tasks to resume; run this as that role");
    let one = lockkeeper(&cluster, "postgres", &["resume", "2"]);
    assert!(one.code == 1 && one.stderr.contains("queued by role app"), "{}", one.stderr);
    assert_eq!(admin.table("SELECT count(*) FROM shop.seen"), "0");
    assert_eq!(admin.table(STATES), "queued queued");
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), format!("127.0.0.1:{}:postgres:app:wonderland\n", cluster.port()))
        .expect("written");
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).expect("mode");
    let with = proxy(&cluster).variable("PGPASSFILE", file.path().to_str().expect("text")).start();
    // The role that it may not become is refused by the server.
    until(&mut admin, STATES, "failed done");
    assert_eq!(admin.table("SELECT DISTINCT who, login, became FROM shop.seen"), "app|app|off");
    assert!(admin.table("SELECT failure FROM lockkeeper.tasks() WHERE id = 1").contains("(42501)"));
    assert!(!with.log().contains("wonderland"), "{}", with.log());
}

#[test]
fn a_text_that_no_transaction_defers_is_not_run() {
    let cluster = stage(&Options::new());
    let (mut admin, mut app) = (called(&cluster, "postgres"), called(&cluster, "app"));
    for sql in [
        "SET search_path = evil",
        "DROP TABLE shop.orders; COMMIT",
        "SELECT pg_sleep(100)",
        "DO $$ BEGIN END $$",
        "gibberish",
    ] {
        queue(&mut app, &[(sql, &[])]);
    }
    let ran = lockkeeper(&cluster, "app", &["resume"]);
    assert_eq!(ran.code, 1);
    assert_eq!(admin.table(STATES), "failed failed failed failed failed");
    assert_eq!(
        admin.table("SELECT DISTINCT failure FROM lockkeeper.tasks() ORDER BY 1"),
        "DO is nothing that is deferred\nSELECT is nothing that is deferred\nSET is nothing that is deferred\n\
         its text is not one statement that can be read"
    );
    assert_eq!(admin.table("SELECT to_regclass('shop.orders') IS NOT NULL"), "t");
}

/// How the server was asked for statements that begin so: by a simple Query, or by the extended protocol.
fn asked(cluster: &Cluster, begins: &str) -> Vec<&'static str> {
    let way = |line: &str| {
        let (way, sql) = line.split_once(" LOG:  ")?.1.split_once(": ")?;
        let simple = way == "statement";
        let asks = (simple || way.starts_with("execute ")) && sql.starts_with(begins);
        asks.then_some(if simple { "simple" } else { "extended" })
    };
    cluster.log().lines().filter_map(way).collect()
}

/// In the extended protocol a text that has become several statements is refused by the server itself.
#[test]
fn a_text_is_sent_as_one_statement() {
    let cluster = stage(&Options::new().conf("log_statement = all"));
    let mut admin = called(&cluster, "postgres");
    let tasks: &[(&str, Settings<'_>)] = &[
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS one ON orders (id)", PATH),
        ("ALTER TABLE orders ADD CONSTRAINT sound CHECK (id > 0)", PATH),
        ("UPDATE orders SET customer = customer + 1", PATH),
        ("DROP INDEX CONCURRENTLY IF EXISTS one", PATH),
        ("CREATE VIEW seen AS SELECT id FROM orders", PATH),
    ];
    let begins = [
        "CREATE INDEX CONCURRENTLY",
        "ALTER TABLE orders ADD",
        "UPDATE orders",
        "DROP INDEX CONCURRENTLY",
        "CREATE VIEW",
    ];
    let mut expected = 0;
    let again =
        "DROP VIEW shop.seen; ALTER TABLE shop.orders DROP CONSTRAINT sound; DELETE FROM lockkeeper.task";
    for runner in ["resume", "proxy"] {
        queue(&mut called(&cluster, "app"), tasks);
        if runner == "resume" {
            lockkeeper(&cluster, "app", &["resume"]).ok();
        } else {
            let _proxy = proxy(&cluster).start();
            until(&mut admin, STATES, "done done done done done");
        }
        expected += 1;
        for begins in begins {
            let asked = asked(&cluster, begins);
            assert_eq!(asked, vec!["extended"; expected], "{runner}: {begins}");
        }
        admin.all(&[again]);
    }
}

/// What somebody mighty has put in the place of a task's text gets no further than what nobody may queue.
#[test]
fn a_text_that_has_become_two_statements_is_not_run() {
    let cluster = stage(&Options::new());
    let mut admin = called(&cluster, "postgres");
    let index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS one ON shop.orders (id)";
    let tampered =
        "UPDATE lockkeeper.task SET sql = 'CREATE INDEX one ON shop.orders (id); DROP TABLE shop.orders'";
    let left = "SELECT to_regclass('shop.orders') IS NOT NULL, to_regclass('shop.one') IS NULL, \
         (SELECT string_agg(state || ': ' || failure, ', ') FROM lockkeeper.task)";
    let refused = "t|t|failed: its text is not one statement that can be read";
    queue(&mut called(&cluster, "app"), &[(index, &[])]);
    admin.all(&[tampered]);
    let ran = lockkeeper(&cluster, "app", &["resume"]);
    assert!(
        ran.code == 1 && ran.stdout.contains("failed: its text is not one statement that can be read"),
        "{ran:?}"
    );
    assert_eq!(admin.table(left), refused);
    admin.all(&["UPDATE lockkeeper.task SET state = 'queued', failure = NULL, ended_at = NULL"]);
    let proxy = proxy(&cluster).start();
    until(&mut admin, STATES, "failed");
    assert_eq!(admin.table(left), refused);
    // The session that commits runs what it has queued itself, whatever became of the row.
    admin.all(&[
        "DELETE FROM lockkeeper.task",
        "CREATE FUNCTION shop.tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            NEW.sql := 'CREATE INDEX one ON shop.orders (id); DROP TABLE shop.orders'; RETURN NEW; END $$",
        "CREATE TRIGGER tamper BEFORE INSERT ON lockkeeper.task FOR EACH ROW EXECUTE FUNCTION shop.tamper()",
    ]);
    let mut client = Person::called(proxy.addr(), &[("user", "app"), ("database", "postgres")]);
    client.all(&["BEGIN", "CREATE INDEX two ON shop.orders (customer)"]);
    let answer = client.query("COMMIT");
    assert_eq!(answer.failure_if_any(), "", "{answer:?}");
    assert_eq!(
        admin.table("SELECT to_regclass('shop.orders') IS NOT NULL, to_regclass('shop.two') IS NOT NULL"),
        "t|t"
    );
}

#[test]
fn resume_runs_what_is_left_and_drop_gives_it_up() {
    let cluster = stage(&Options::new());
    let mut admin = called(&cluster, "postgres");
    queue(
        &mut called(&cluster, "app"),
        &[
            ("CREATE INDEX CONCURRENTLY IF NOT EXISTS one ON orders (id)", PATH),
            ("ALTER TABLE orders ADD CONSTRAINT two UNIQUE (customer)", PATH),
            ("CREATE INDEX CONCURRENTLY IF NOT EXISTS three ON orders (customer)", PATH),
        ],
    );
    let shown = lockkeeper(&cluster, "app", &["tasks"]).ok();
    assert!(shown.contains("1 queued     CREATE INDEX CONCURRENTLY IF NOT EXISTS one"), "{shown}");
    let first = lockkeeper(&cluster, "app", &["resume", "1"]).ok();
    assert!(first.ends_with("task 1: done"), "{first}");
    assert_eq!(admin.table(STATES), "done queued queued");
    let ran = lockkeeper(&cluster, "app", &["resume"]);
    assert!(
        ran.code == 1 && ran.stdout.contains("task 2: failed: could not create unique index \"two\" (23505)"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("runs as CREATE UNIQUE INDEX CONCURRENTLY"), "{}", ran.stdout);
    assert_eq!(admin.table(STATES), "done failed queued");
    // Values of rows are nobody else's business.
    assert!(!admin.table("SELECT failure FROM lockkeeper.task WHERE id = 2").contains("Key"));
    let shown = lockkeeper(&cluster, "postgres", &["tasks"]).ok();
    assert!(
        shown.contains(
            "run it again: lockkeeper resume 2 as role app; or give it up: lockkeeper tasks drop 2"
        ),
        "{shown}"
    );
    let dropped =
        lockkeeper(&cluster, "app", &["tasks", "drop", "2", "--why", "customers are not unique"]).ok();
    assert!(dropped.starts_with("task 2 is given up: ALTER TABLE orders"), "{dropped}");
    let ran = lockkeeper(&cluster, "app", &["resume"]).ok();
    assert!(ran.ends_with("task 3: done"), "{ran}");
    assert_eq!(lockkeeper(&cluster, "app", &["resume"]).ok(), "nothing to resume");
    let shown = lockkeeper(&cluster, "app", &["tasks", "--format", "json"]).ok();
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown[1]["why"], "customers are not unique");
    assert_eq!(shown[1]["ended_by"], "app");
    assert_eq!(admin.table("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
}

#[test]
fn what_was_done_and_not_marked_is_found_done() {
    let cluster = stage(&Options::new());
    let (mut admin, mut app) = (called(&cluster, "postgres"), called(&cluster, "app"));
    for sql in [
        "ALTER TABLE shop.orders ADD CONSTRAINT key UNIQUE (id)",
        "ALTER TABLE shop.orders ADD CONSTRAINT sound CHECK (id > 0)",
        "ALTER TABLE shop.orders ADD CONSTRAINT begun CHECK (id > 0)",
        "ALTER TABLE shop.orders ADD COLUMN c serial NOT NULL",
        "ALTER TABLE shop.orders DROP COLUMN gone",
        "CREATE INDEX CONCURRENTLY i ON shop.orders (id)",
        "DROP INDEX CONCURRENTLY shop.gone",
    ] {
        queue(&mut app, &[(sql, &[])]);
    }
    // As if a session had done it and gone.
    app.all(&[
        "ALTER TABLE shop.orders ADD CONSTRAINT key UNIQUE (id)",
        "ALTER TABLE shop.orders ADD CONSTRAINT sound CHECK (id > 0)",
        "ALTER TABLE shop.orders ADD CONSTRAINT begun CHECK (id > 0) NOT VALID",
        "ALTER TABLE shop.orders ADD COLUMN c serial NOT NULL",
        "CREATE INDEX i ON shop.orders (id)",
    ]);
    admin.all(&["UPDATE lockkeeper.task SET state = 'running', begun_at = now(), attempts = 1"]);
    let ran = lockkeeper(&cluster, "app", &["resume"]).ok();
    assert_eq!(ran.matches("was done already").count(), 6, "{ran}");
    assert!(ran.contains("task 3: done"), "{ran}");
    assert_eq!(admin.table("SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass AND contype = 'c' AND convalidated"), "begun sound");
    // What is there under the same name before anybody has begun is another thing.
    queue(&mut app, &[("CREATE INDEX CONCURRENTLY i ON shop.orders (customer)", &[])]);
    let ran = lockkeeper(&cluster, "app", &["resume"]);
    assert!(ran.stdout.contains("failed: relation \"i\" already exists (42P07)"), "{}", ran.stdout);
}

#[test]
fn what_is_held_back_too_long_is_left_as_it_is() {
    let cluster = stage(&Options::new());
    let mut admin = called(&cluster, "postgres");
    queue(&mut called(&cluster, "app"), &[("ALTER TABLE shop.orders ADD CONSTRAINT key UNIQUE (id)", &[])]);
    let peak = "[[peak]]\ndays = \"daily\"\nfrom = \"00:00\"\nto = \"24:00\"\ntime_zone = \"UTC\"\nstrong = \"refuse\"\nbulk = \"refuse\"";
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), peak).expect("written");
    let ran = lockkeeper(&cluster, "app", &["resume", "--config", file.path().to_str().expect("text")]);
    assert!(ran.code == 1 && ran.stdout.contains("not done now, and left as it was"), "{}", ran.stdout);
    assert_eq!(admin.table("SELECT state, attempts FROM lockkeeper.tasks()"), "queued|0");
    assert_eq!(admin.table("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
    // Nor does a proxy that changes nothing.
    let observing = proxy(&cluster).config("[guard]\nmode = \"observe\"").start();
    let enforcing = proxy(&cluster).start();
    until(&mut admin, STATES, "done");
    assert!(enforcing.log().contains("is taken up") && !observing.log().contains("is taken up"));
}

#[test]
fn a_task_waits_for_the_end_of_a_freeze() {
    let operated = Operated::new();
    let stage = &operated.stage;
    let mut client = stage.through();
    client.all(&[
        "BEGIN",
        "SET LOCAL lockkeeper.deferred = 'background'",
        "CREATE INDEX later ON orders (id)",
    ]);
    operated.tell(&["freeze", "incident 7"]);
    assert_eq!(client.query("COMMIT").tag(), "COMMIT");
    eventually("it is held", || {
        let held = operated.status()["held"].to_string();
        held.contains("CREATE INDEX").then_some(())
    });
    assert_eq!(stage.now("SELECT to_regclass('later') IS NULL"), "t");
    operated.tell(&["thaw"]);
    until(&mut client, STATES, "done");
    assert_eq!(client.table("SELECT indisvalid FROM pg_index WHERE indexrelid = 'later'::regclass"), "t");
}

#[test]
fn a_control_role_that_is_no_superuser_takes_up_what_it_may_see() {
    let cluster = stage(&Options::new());
    let (mut admin, mut app) = (called(&cluster, "postgres"), called(&cluster, "app"));
    admin.all(&["CREATE ROLE keeper LOGIN"]);
    queue(&mut app, &[("CREATE INDEX CONCURRENTLY one ON shop.orders (id)", &[])]);
    let keeper = || {
        Setup::new(&cluster.addr())
            .config(&format!("[control]\nurl = \"{}\"", url(&cluster, "keeper")))
            .start()
    };
    let blind = keeper();
    eventually("what it lacks is said", || {
        blind.log().contains("GRANT SELECT ON lockkeeper.task").then_some(())
    });
    drop(blind);
    assert_eq!(admin.table(STATES), "queued");
    admin.all(&["GRANT SELECT ON lockkeeper.task TO keeper"]);
    let seeing = keeper();
    until(&mut admin, STATES, "done");
    drop(seeing);
    // Or it owns the schema, which it has installed itself; a client would not call what it does not know.
    admin.all(&["DROP SCHEMA lockkeeper CASCADE", "GRANT CREATE ON DATABASE postgres TO keeper"]);
    lockkeeper(&cluster, "keeper", &["init"]).ok();
    queue(&mut app, &[("CREATE INDEX CONCURRENTLY two ON shop.orders (id)", &[])]);
    let ran = lockkeeper(&cluster, "app", &["tasks"]);
    assert!(
        ran.code == 1 && ran.stderr.contains("belongs to role \"keeper\", who could have put anything there"),
        "{}",
        ran.stderr
    );
    let shown = lockkeeper(&cluster, "app", &["tasks", "--owner", "keeper"]).ok();
    assert!(shown.contains("queued by app"), "{shown}");
    let owning = keeper();
    until(&mut admin, STATES, "done");
    drop(owning);
}

#[test]
fn resume_stops_at_ctrl_c_and_leaves_nothing_behind() {
    let cluster = stage(&Options::new());
    let (mut admin, mut reader) = (called(&cluster, "postgres"), called(&cluster, "postgres"));
    let sql = "ALTER TABLE shop.orders ADD CONSTRAINT orders_key UNIQUE (id)";
    queue(&mut called(&cluster, "app"), &[(sql, &[])]);
    reader.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM shop.orders"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B").args(["resume", "1", "--url", &url(&cluster, "app")]);
    let mut resuming = Owned(command.stdout(Stdio::piped()).spawn().expect("the program"));
    let waiting = "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Lock' \
         AND query ~ '^CREATE UNIQUE INDEX CONCURRENTLY'";
    until(&mut admin, waiting, "t");
    resuming.signal(Signal::INT);
    // What the cancelled build has left is removed once nobody can use it.
    until(
        &mut admin,
        "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^DROP INDEX CONCURRENTLY' AND usename = 'app'",
        "1",
    );
    reader.all(&["COMMIT"]);
    let code = eventually("it ends", || resuming.0.try_wait().expect("wait"));
    assert_eq!(code.code(), Some(1));
    assert_eq!(admin.table("SELECT state, failure ~ '57014' FROM lockkeeper.tasks()"), "failed|t");
    assert_eq!(admin.table("SELECT count(*) FROM pg_index WHERE indrelid = 'shop.orders'::regclass"), "0");
    let ran = lockkeeper(&cluster, "app", &["resume"]).ok();
    assert!(ran.ends_with("task 1: done"), "{ran}");
}
