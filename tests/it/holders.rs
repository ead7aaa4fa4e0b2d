//! Who holds a concurrent build up is named, and what the proxy itself can free is freed unseen.

use crate::support::each_major;
use crate::support::eventually;
use crate::support::raw::{self, tags};
use crate::support::stage::{Person, Stage, Way};

const INDEX: &str = "CREATE INDEX by_note ON orders (note)";
const OFTEN: &str = "[guard]\nprogress_interval = \"100ms\"";

/// A session that has begun a transaction by the extended protocol, and idles in it.
fn idler(person: &mut Person, sql: &str, limit: i32) -> Vec<raw::Frame> {
    person.all(&["BEGIN"]);
    let steps = [
        raw::parse("kept", "SELECT id FROM orders WHERE id > $1::int ORDER BY id"),
        raw::parse("", sql),
        raw::bind("", "", &[]),
        raw::describe(b'P', ""),
        raw::execute("", limit),
        raw::sync(),
    ];
    person.raw.send(&steps.concat());
    person.answer().0
}

/// What the session says when it goes on: its statement, its transaction and a new portal are there as ever.
fn go_on(person: &mut Person) -> Vec<raw::Frame> {
    let steps = [raw::bind("", "kept", &[Some("98")]), raw::execute("", 1), raw::sync()];
    person.raw.send(&steps.concat());
    let mut frames = person.answer().0;
    person.raw.send(&[raw::execute("", 0), raw::close(b'P', ""), raw::sync()].concat());
    frames.extend(person.answer().0);
    frames.extend(person.query("UPDATE orders SET note = 'kept' WHERE id = 1").0);
    frames.extend(person.query("COMMIT").0);
    frames
}

#[test]
fn a_finished_portal_is_closed_unseen() {
    for installation in each_major() {
        let stage = Stage::on_with(installation, OFTEN);
        for sql in ["SELECT id FROM orders WHERE id < 3", "INSERT INTO orders VALUES (1000) RETURNING id"] {
            let (mut idle, mut straight) = (stage.through(), stage.straight());
            straight.all(&["CREATE TABLE other (a int)"]);
            let before = idler(&mut idle, sql, 0);
            let mut client = stage.through();
            // Another table: its snapshot holds up builds on any.
            client.send(Way::Simple, "CREATE INDEX ON other (a)");
            assert_eq!(client.answer().tag(), "CREATE INDEX", "{sql}");
            let frames = go_on(&mut idle);
            straight.all(&["DELETE FROM orders WHERE id = 1000"]);
            assert_eq!(before, idler(&mut straight, sql, 0), "{sql}");
            assert_eq!(frames, go_on(&mut straight), "{sql}");
            straight.all(&["DELETE FROM orders WHERE id = 1000", "DROP TABLE other"]);
        }
        assert!(stage.proxy.log().contains("finished portal of an idle session closed"));
    }
}

/// Rows are still to come from it, or it has not been run: only its client can end it.
#[test]
fn a_portal_that_is_needed_stays() {
    let stage = Stage::with(OFTEN);
    let mut suspended = stage.through();
    assert!(tags(&idler(&mut suspended, "SELECT id FROM orders ORDER BY id", 2)).contains('s'));
    let mut client = stage.through();
    client.send(Way::Simple, INDEX);
    let notice = eventually("it is named", || {
        let frame = client.raw.frame();
        let detail = frame.field(b'D').unwrap_or_default();
        let named = frame.tag == b'N' && detail.contains(&format!("process {} (user", suspended.pid()));
        named.then_some(detail)
    });
    assert!(notice.contains("It waits for process"), "{notice}");
    stage.until("SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots')");
    suspended.raw.send(&[raw::execute("", 2), raw::sync()].concat());
    let rows = suspended.answer().0;
    assert_eq!(tags(&rows), "DDsZ", "{rows:?}");
    suspended.raw.send(&[raw::bind("", "kept", &[Some("99")]), raw::sync()].concat());
    assert_eq!(tags(&suspended.answer().0), "2Z");
    suspended.raw.send(&[raw::execute("", 0), raw::sync()].concat());
    assert_eq!(tags(&suspended.answer().0), "DCZ");
    // The build waits for the transaction by now, so that its end alone helps.
    suspended.all(&["COMMIT"]);
    assert_eq!(client.answer().tag(), "CREATE INDEX");
}

#[test]
fn a_prepared_transaction_is_named_before_and_meanwhile() {
    use crate::support::{cluster_with, proxy::Setup};
    use lockkeeper::cluster::Options;
    for installation in each_major() {
        let cluster =
            cluster_with(&Options::new().installation(installation).conf("max_prepared_transactions = 5"));
        let setup =
            Setup::new(&cluster.addr()).config(&format!("[control]\nurl = \"{}\"", cluster.url("postgres")));
        let proxy = setup.config(OFTEN).start();
        let mut straight = Person::called(cluster.addr(), &[]);
        straight.all(&[
            "CREATE TABLE orders (id int, note text)",
            "BEGIN",
            "INSERT INTO orders VALUES (1)",
            "PREPARE TRANSACTION 'transfer 7'",
        ]);
        eventually("it is old enough", || {
            let age = "SELECT clock_timestamp() - prepared > '600ms' FROM pg_prepared_xacts";
            (straight.table(age) == "t").then_some(())
        });
        let mut client = Person::called(proxy.addr(), &[]);
        client.send(Way::Simple, INDEX);
        for begins in ["transactions are open", "CREATE INDEX CONCURRENTLY: waiting for writers before build"]
        {
            let detail = eventually(begins, || {
                let frame = client.raw.frame();
                (frame.tag == b'N' && frame.message().starts_with(begins))
                    .then(|| frame.field(b'D').expect("a detail"))
            });
            assert!(
                detail.starts_with("It waits for prepared transaction \"transfer 7\" of user \"postgres\" ("),
                "{detail}"
            );
        }
        straight.all(&["COMMIT PREPARED 'transfer 7'"]);
        assert_eq!(client.answer().tag(), "CREATE INDEX");
    }
}
