//! What cuts a plan off in the midst of filling a column, between two of its ranges: as `faults.rs`, which strikes at commands.

use lockkeeper::cluster::{Cluster, Installation, Options, Stop};

use crate::support::proxy::{Proxy, Setup};
use crate::support::stage::{Person, Way};
use crate::support::twins::{STATE, kept};
use crate::support::{cluster_with, each_major, eventually};

/// Half way, the default of a row waits as long as somebody has an advisory lock; so does one of every later row.
const TABLES: [&str; 4] = [
    "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE t (a int PRIMARY KEY, b int)",
    "INSERT INTO t SELECT n, n FROM generate_series(1, 1234) n",
    "CREATE SEQUENCE calls",
    "CREATE FUNCTION gate() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int := nextval('public.calls'); BEGIN IF n > 500 THEN \
     PERFORM pg_advisory_lock_shared(1); PERFORM pg_advisory_unlock_shared(1); END IF; RETURN n; END $$",
];

const STATEMENTS: [&str; 2] = [
    "ALTER TABLE t ADD x int DEFAULT gate()",
    "ALTER TABLE t ADD x int DEFAULT gate() NOT NULL CHECK (x > 0)",
];

const AT_THE_GATE: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory')";

/// A server, a proxy in front of it, and a plan that stands half way.
struct Half {
    cluster: Cluster,
    proxy: Proxy,
    admin: Person,
    gate: Person,
    client: Person,
    before: String,
}

impl Half {
    fn of(installation: Installation, sql: &str) -> Self {
        let options = Options::new().installation(installation).conf("synchronous_commit = on");
        let cluster = cluster_with(&options);
        let proxy = proxy(&cluster);
        let mut admin = Person::called(cluster.addr(), &[]);
        admin.all(&TABLES);
        let before = admin.table(STATE);
        let mut gate = Person::called(cluster.addr(), &[]);
        gate.all(&["SELECT pg_advisory_lock(1)"]);
        let mut client = Person::called(proxy.addr(), &[]);
        client.send(Way::Simple, sql);
        let half = "SELECT count(x) > 0 AND count(x) < 1234 FROM t";
        eventually(sql, || (admin.table(AT_THE_GATE) == "t" && admin.table(half) == "t").then_some(()));
        Self { cluster, proxy, admin, gate, client, before }
    }

    /// What the log says of the plan, and the client hears, leads back to where it began, and the statement works from there.
    fn goes_back(mut self, sql: &str, (code, message): (&str, &str)) {
        let heard = self.client.raw.until_end();
        let heard = heard.iter().rfind(|frame| frame.tag == b'E').expect("last words");
        assert_eq!((heard.sqlstate(), heard.message()), (code.to_owned(), message.to_owned()), "{sql}");
        assert!(
            heard.field(b'D').unwrap_or_default().contains("was cut off at step 2 of "),
            "{sql}: {heard:?}"
        );
        let hint = heard.field(b'H').unwrap_or_default();

        let line = eventually("the plan is told", || {
            let log = self.proxy.log();
            log.lines().find(|line| line.contains("a plan was cut off")).map(str::to_owned)
        });
        let back = line.split_once("take_back=").map(|(_, back)| back.to_owned()).unwrap_or_default();
        assert!(back.ends_with("DROP COLUMN x"), "{sql}: {line}");
        let told =
            format!("Connect again and take back what was done: {back}. Then run the statement again.");
        assert_eq!(hint, told, "{sql}");
        self.admin.all(&[&back]);
        assert_eq!(kept(&self.admin.table(STATE)), kept(&self.before), "{sql}");
        self.admin.all(&["ALTER SEQUENCE calls RESTART"]);
        assert_eq!(Person::called(self.proxy.addr(), &[]).query(sql).tag(), "ALTER TABLE");
        assert_eq!(self.admin.table("SELECT count(DISTINCT x) FROM t"), "1234", "{sql}");
    }
}

fn proxy(cluster: &Cluster) -> Proxy {
    Setup::new(&cluster.addr()).config(&format!("[control]\nurl = \"{}\"", cluster.url("postgres"))).start()
}

#[test]
fn an_ended_backend_leaves_a_way_back() {
    for installation in each_major() {
        {
            // They take turns.
            let sql = STATEMENTS[installation.major as usize % 2];
            let mut half = Half::of(installation, sql);
            half.admin.all(&[&format!("SELECT pg_terminate_backend({})", half.client.pid())]);
            half.gate.all(&["SELECT pg_advisory_unlock(1)"]);
            half.goes_back(sql, ("57P01", "terminating connection due to administrator command"));
        }
    }
}

#[test]
fn a_crash_of_the_server_leaves_a_way_back() {
    for installation in each_major() {
        {
            let sql = STATEMENTS[(installation.major as usize + 1) % 2];
            let mut half = Half::of(installation, sql);
            half.cluster.stop(Stop::Immediate).expect("stopped");
            half.cluster.start_again().expect("started");
            half.admin = Person::called(half.cluster.addr(), &[]);
            half.goes_back(sql, ("08006", "connection to the Postgres server was lost"));
        }
    }
}

/// A proxy that is killed says nothing; the next one knows the column by its mark.
#[test]
fn what_a_killed_proxy_has_filled_in_part_is_listed() {
    let sql = STATEMENTS[1];
    let Half { cluster, proxy: killed, mut admin, mut gate, client, before } =
        Half::of(each_major().remove(0), sql);
    drop(killed);
    gate.all(&["SELECT pg_advisory_unlock(1)"]);
    let gone = format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {}", client.pid());
    eventually(&gone, || (admin.table(&gone) == "t").then_some(()));
    assert_eq!(admin.table("SELECT count(x) > 0 AND count(x) < 1234 FROM t"), "t");
    let proxy = proxy(&cluster);
    eventually("the column is told", || {
        proxy.log().contains("run_by_hand=ALTER TABLE public.t DROP COLUMN x").then_some(())
    });
    admin.all(&["ALTER TABLE t DROP COLUMN x"]);
    assert_eq!(kept(&admin.table(STATE)), kept(&before));
    assert_eq!(Person::called(proxy.addr(), &[]).query(sql).tag(), "ALTER TABLE");
    assert_eq!(admin.table("SELECT count(*) - count(DISTINCT x) FROM t"), "0");
    assert_eq!(admin.table("SELECT count(*) FROM pg_description WHERE objoid = 't'::regclass"), "0");
}
