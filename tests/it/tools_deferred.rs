//! What tools do in one transaction behind work that is only queued.

use lockkeeper::cluster::Installation;
use lockkeeper::sql::bookkeeping;
use rustix::process::Signal;

use crate::support::eventually;
use crate::support::operated::Operated;
use crate::support::stage::{Person, Stage, Way};
use crate::support::twins::Twins;
use crate::tools::begin;

/// Is queued, and whoever reads or writes the rows of `orders` hangs on it.
const FILL: &str = "ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()";

/// Both get these messages in a transaction; all of them succeed, and both end alike.
#[track_caller]
fn alike(twins: &mut Twins, messages: &[&str]) {
    begin(twins);
    let all: Vec<&str> = [&["BEGIN"], messages, &["COMMIT"]].concat();
    twins.plain.all(&all);
    twins.through(&[]).all(&all);
    twins.compare(&messages.join("; "));
}

#[test]
fn what_does_not_hang_on_what_is_queued_runs_at_once() {
    let mut twins = Twins::on(Installation::find().expect("a server"));
    // A table of tags for orders, as each tool makes it, with rows.
    let inline = "CREATE TABLE tags (id int PRIMARY KEY, order_id int REFERENCES orders (id))";
    alike(&mut twins, &[FILL, inline, "CREATE INDEX ON tags (order_id)", "INSERT INTO tags VALUES (1, 1)"]);
    let plain = "CREATE TABLE tags (id int PRIMARY KEY, order_id int)";
    let key = "ALTER TABLE tags ADD CONSTRAINT to_orders FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE";
    alike(
        &mut twins,
        &[FILL, plain, key, "CREATE INDEX ON tags (order_id)", "INSERT INTO tags VALUES (1, 1)"],
    );
    alike(&mut twins, &[plain, key, "CREATE INDEX ON tags (order_id)"]);
    // What refers to a column that is to come waits for it, and so does what is about the table that refers to it.
    let unique = "ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid() UNIQUE";
    let refers = "CREATE TABLE tags (id int PRIMARY KEY, token uuid REFERENCES orders (token))";
    alike(&mut twins, &[unique, refers, "CREATE INDEX ON tags (token)"]);
}

/// Django asks for the checks of a key that it has just added, in the same message.
#[test]
fn a_key_that_is_only_queued_is_asked_for_its_checks() {
    let mut twins = Twins::on(Installation::find().expect("a server"));
    let added = "ALTER TABLE orders ADD COLUMN buyer int CONSTRAINT k REFERENCES customers DEFERRABLE INITIALLY DEFERRED; \
                 SET CONSTRAINTS k IMMEDIATE";
    alike(
        &mut twins,
        &[FILL, "DROP INDEX orders_old", "ALTER TABLE orders ALTER old TYPE varchar(9)", added],
    );
    // One that is not queued is the server's business.
    alike(&mut twins, &[added, FILL, "SET CONSTRAINTS k DEFERRED", "SET CONSTRAINTS ALL IMMEDIATE"]);
    begin(&mut twins);
    let mut client = twins.through(&["BEGIN", FILL]);
    assert_eq!(client.query("SET CONSTRAINTS nothing IMMEDIATE").failure(), "42704");
}

/// Two migrations begin at once, and the second waits for the advisory lock of the first: a concurrent build of the first ends with
/// the reason, instead of being tried until nobody has any patience left.
#[test]
fn a_second_migration_that_waits_is_told_from_other_deadlocks() {
    let stage = Stage::new();
    let (mut first, mut second) = (stage.through(), stage.through());
    // The server looks for deadlocks in the name of the first.
    first.all(&["SET deadlock_timeout = '10ms'", "SELECT pg_advisory_lock(7)"]);
    second.all(&["SET deadlock_timeout = '1h'"]);
    // In this form it waits in the server.
    second.send(Way::Simple, "SELECT pg_advisory_lock(7) WHERE true");
    stage.until("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'advisory'");
    let failed = first.query("CREATE INDEX by_note ON orders (note)");
    assert_eq!(failed.failure(), "40P01");
    let named = format!("Process {} waits for an advisory lock that this session holds", second.pid());
    let detail = failed.detail();
    assert!(detail.contains(&named) && detail.contains("pg_try_advisory_lock()"), "{failed:?}");
    assert_eq!(stage.indexes(), "");
    first.all(&["SELECT pg_advisory_unlock(7)"]);
    second.answer().tag();
    second.all(&["CREATE INDEX by_note ON orders (note)"]);
    assert_eq!(stage.indexes(), "by_note+");
}

/// Nothing that a tool does with its own tables is held back or refused, whatever is in force.
#[test]
fn books_are_kept_in_peak_hours() {
    let peak = "[[peak]]\nfrom = \"00:00\"\nto = \"24:00\"\nstrong = \"refuse\"\nbulk = \"refuse\"\ndestructive = \"refuse\"";
    let stage = Stage::with(peak);
    let mut tool = stage.through();
    assert_eq!(tool.query("ALTER TABLE orders ADD COLUMN a int").failure(), "55000");
    tool.all(&[
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean)",
        "CREATE SCHEMA app",
        "CREATE TABLE app.\"__EFMigrationsHistory\" (\"MigrationId\" text)",
        "INSERT INTO schema_migrations SELECT n, false FROM generate_series(1, 20000) n",
        "TRUNCATE \"public\".\"schema_migrations\"",
        "ALTER TABLE schema_migrations ALTER COLUMN version TYPE text",
        "CREATE INDEX by_dirty ON schema_migrations (dirty)",
        "UPDATE schema_migrations SET dirty = true",
        "BEGIN",
        "LOCK TABLE schema_migrations IN SHARE UPDATE EXCLUSIVE MODE",
        "LOCK TABLE app.\"__EFMigrationsHistory\" IN ACCESS EXCLUSIVE MODE",
        "DELETE FROM app.\"__EFMigrationsHistory\"",
        "COMMIT",
    ]);
}

/// What keeps work back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InForce {
    Peak(&'static str),
    Freeze(&'static str),
}

impl InForce {
    const ALL: [Self; 4] =
        [Self::Peak("hold"), Self::Peak("refuse"), Self::Freeze("hold"), Self::Freeze("refuse")];

    /// A proxy for which nothing is in force yet, and its configuration.
    fn stage(self) -> Operated {
        match self {
            Self::Peak(_) => Operated::new(),
            Self::Freeze(how) => Operated::with(&format!("frozen_work = \"{how}\""), ""),
        }
    }

    fn begins(self, operated: &Operated) {
        let Self::Peak(how) = self else {
            operated.tell(&["freeze", "incident 7"]);
            return;
        };
        let stage = &operated.stage;
        stage.proxy.write_config(&format!(
            "[[peak]]\nfrom = \"00:00\"\nto = \"24:00\"\nstrong = {how:?}\nbulk = {how:?}\ndestructive = {how:?}\n\
             [operator]\nsocket_directory = {:?}\n[control]\nurl = {:?}\n",
            operated.folder.path().display().to_string(),
            stage.cluster.url("postgres")
        ));
        stage.proxy.signal(Signal::HUP);
        eventually("the reload", || stage.proxy.log().contains("configuration reloaded").then_some(()));
    }

    /// Neither schema changes nor writes to other tables have their way.
    fn is_felt(self, operated: &Operated, sql: &str) {
        let mut other = operated.stage.through();
        other.all(&["SET lockkeeper.bulk_rows = 1"]);
        if let Self::Peak("refuse") | Self::Freeze("refuse") = self {
            assert_eq!(other.query(sql).failure(), "55000", "{self:?}: {sql}");
            return;
        }
        other.send(Way::Simple, sql);
        eventually("the word that it is held", || {
            let frame = other.raw.frame();
            assert!(frame.tag == b'N', "{self:?}: {sql}: {frame:?}");
            frame.message().contains(" is held: ").then_some(())
        });
        other.cancel();
        assert_eq!(other.answer().failure(), "57014", "{self:?}: {sql}");
    }
}

/// Keeps books in every table of the tools, by both protocols: each statement is run as it is, and nothing is said of it.
#[track_caller]
fn keeps_books(tool: &mut Person, tables: &[String], when: &str) {
    for (at, table) in tables.iter().enumerate() {
        let way = Way::BOTH[at % 2];
        for (sql, tag) in [
            (format!("INSERT INTO {table} SELECT n, 0 FROM generate_series(1, 300) n"), "INSERT 0 300"),
            (format!("UPDATE {table} SET n = n + 1"), "UPDATE 300"),
            (format!("DELETE FROM {table}"), "DELETE 300"),
        ] {
            let answer = tool.ask(way, &sql);
            assert_eq!(
                (answer.tag().as_str(), answer.notices().len()),
                (tag, 0),
                "{when}: {sql}: {answer:?}"
            );
        }
        if at % 8 > 0 {
            continue;
        }
        // As when a tool is brought up to date.
        for (sql, tag) in [
            (format!("ALTER TABLE {table} ADD COLUMN more int"), "ALTER TABLE"),
            (format!("CREATE INDEX ON {table} (more)"), "CREATE INDEX"),
            (format!("TRUNCATE {table}"), "TRUNCATE TABLE"),
        ] {
            let answer = tool.ask(way, &sql);
            assert!(answer.error().is_none() && answer.tag() == tag, "{when}: {sql}: {answer:?}");
        }
    }
}

#[test]
fn books_of_every_tool_are_kept_whatever_is_in_force() {
    let named = |(schema, table): (Option<&str>, &str)| format!("{}.\"{table}\"", schema.unwrap_or("public"));
    let tables: Vec<String> = bookkeeping::tables().map(named).collect();
    for table in [
        "alembic_version",
        "django_migrations",
        "schema_migrations",
        "flyway_schema_history",
        "databasechangelog",
        "databasechangeloglock",
        "_prisma_migrations",
        "__EFMigrationsHistory",
    ] {
        assert!(tables.contains(&format!("public.\"{table}\"")), "{table}: {tables:?}");
    }
    let made: Vec<String> =
        tables.iter().map(|table| format!("CREATE TABLE {table} (id int PRIMARY KEY, n int)")).collect();
    for in_force in InForce::ALL {
        let operated = in_force.stage();
        let mut straight = operated.stage.straight();
        straight.all(&["CREATE SCHEMA sqitch", "CREATE SCHEMA graphile_migrate", "CREATE SCHEMA pgroll"]);
        straight.all(&made.iter().map(String::as_str).collect::<Vec<_>>());
        let mut tool = operated.stage.through();
        tool.all(&["SET lockkeeper.bulk_rows = 1"]);
        // So few rows are many in other tables.
        let batched = tool.query("UPDATE orders SET note = 'm'").notices();
        assert!(batched.iter().any(|notice| notice.contains("in batches")), "{batched:?}");
        tool.all(&["BEGIN"]);
        let queued = tool.query("CREATE INDEX by_note ON orders (note)").notices();
        assert!(queued.iter().any(|notice| notice.contains(" is deferred: ")), "{queued:?}");
        in_force.begins(&operated);
        keeps_books(&mut tool, &tables, &format!("{in_force:?}, behind queued work"));
        tool.all(&["ROLLBACK"]);
        keeps_books(&mut tool, &tables, &format!("{in_force:?}"));
        in_force.is_felt(&operated, "ALTER TABLE orders ADD COLUMN a int");
        in_force.is_felt(&operated, "UPDATE orders SET note = 'x'");
        assert_eq!(operated.stage.now("SELECT count(*) FROM orders WHERE note = 'x'"), "0");
    }
}
