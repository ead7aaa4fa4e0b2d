//! What tools do in one transaction behind work that is only queued.

use lockkeeper::cluster::Installation;

use crate::support::stage::{Stage, Way};
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
