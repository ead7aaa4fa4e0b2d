//! Work that peak hours hold back: what is held, refused or warned of, who is told what, and how every wait can end.

use lockkeeper::cluster::Stop;
use rustix::process::Signal;

use crate::support::raw::{self, Frame};
use crate::support::stage::{Answer, Person, Stage, Way};
use crate::support::{each_major, eventually};

/// Peak hours that do not end.
fn always(more: &str) -> String {
    format!("[[peak]]\nfrom = \"00:00\"\nto = \"24:00\"\n{more}\n")
}

/// The same configuration as `Stage` has written, without peak hours.
fn reload(stage: &Stage, more: &str) {
    let control = format!("[control]\nurl = \"{}\"\n{more}", stage.cluster.url("postgres"));
    stage.proxy.write_config(&control);
    let before = stage.proxy.log().matches("configuration reloaded").count();
    stage.proxy.signal(Signal::HUP);
    eventually("the reload", || {
        (stage.proxy.log().matches("configuration reloaded").count() > before).then_some(())
    });
}

/// Reads up to the word that the statement is held.
fn until_held(client: &mut Person) -> Frame {
    eventually("the word that it is held", || {
        let frame = client.raw.frame();
        (frame.tag == b'N' && frame.message().contains(" is held: ")).then_some(frame)
    })
}

fn column(stage: &Stage, name: &str) -> bool {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = '{name}')"
    );
    stage.now(&sql) == "t"
}

/// Whether a session of the proxy sleeps inside the server.
fn sleeps(client: &Person) -> String {
    format!("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {}", client.pid())
}

#[test]
fn strong_work_waits_until_the_window_is_gone() {
    for way in Way::BOTH {
        let stage = Stage::with(&always(""));
        let mut client = stage.through();
        client.send(way, "ALTER TABLE orders ADD c int");
        let told = until_held(&mut client);
        assert!(
            told.message().starts_with("ALTER TABLE is held: peak hours are in force until "),
            "{told:?}"
        );
        assert!(
            told.field(b'D')
                .expect("a detail")
                .contains("It locks out reads or writes. The window is daily 00:00-24:00 UTC."),
            "{told:?}"
        );
        stage.until(&sleeps(&client));
        // Nobody waits behind it, and what locks nobody out passes.
        let mut application = stage.through();
        application.query("UPDATE orders SET note = 'x' WHERE id = 1").tag();
        assert!(!column(&stage, "c"));
        reload(&stage, "");
        assert_eq!(client.answer().tag(), "ALTER TABLE", "{way:?}");
        assert!(column(&stage, "c"));
    }
}

#[test]
fn what_counts_as_what() {
    let stage = Stage::with(&always("strong = \"refuse\"\nbulk = \"warn\"\ndestructive = \"refuse\""));
    let mut client = stage.through();
    for (sql, fails) in [
        ("ALTER TABLE orders ADD c int", true),
        ("DROP TABLE orders", true),
        ("TRUNCATE orders", true),
        ("DO $$ BEGIN EXECUTE 'ALTER TABLE orders ADD d int'; END $$", true),
        ("BEGIN; ALTER TABLE orders ADD e int; COMMIT", true),
        ("CREATE TABLE own (id int)", false),
        ("ALTER TABLE own ADD c int", true),
        ("CREATE TEMP TABLE mine (id int)", false),
        ("ALTER TABLE mine ADD c int", false),
        ("DROP TABLE mine", false),
        ("CREATE INDEX by_note ON orders (note)", false),
        ("DROP INDEX by_note", false),
        ("INSERT INTO orders VALUES (1000, 1, 'n')", false),
        ("SET lockkeeper.mode = 'off'", false),
        ("ALTER TABLE orders ADD c int", true),
    ] {
        let answer = client.query(sql);
        if fails {
            let error = answer.error().unwrap_or_else(|| panic!("{sql}: {answer:?}"));
            assert_eq!(error.sqlstate(), "55000", "{sql}: {answer:?}");
            assert!(error.message().contains("is refused: peak hours are in force"), "{answer:?}");
            assert!(answer.hint().contains("Try again after"), "{answer:?}");
        } else {
            assert!(answer.error().is_none(), "{sql}: {answer:?}");
        }
        assert_eq!(answer.status(), 'I', "{sql}");
    }
    // A concurrent build is bulk work, which is warned of.
    assert_eq!(client.query("SET lockkeeper.mode = 'enforce'").tag(), "SET");
    let answer = client.query("CREATE INDEX by_note ON orders (note)");
    assert_eq!(answer.tag(), "CREATE INDEX");
    assert!(
        answer.notices().iter().any(|it| it.starts_with("WARNING: CREATE INDEX runs although")),
        "{answer:?}"
    );
    // In a transaction it is built under its lock, where it is not deferred.
    client.all(&["BEGIN", "SET LOCAL lockkeeper.in_transaction = 'warn'"]);
    assert_eq!(client.query("CREATE INDEX again ON orders (note)").failure(), "55000");
    assert_eq!(client.query("ROLLBACK").status(), 'I');
    // Writes by themselves are ordinary traffic: to look each of them up would be felt.
    let answer = client.query("UPDATE orders SET note = 'y'");
    assert!(answer.notices().is_empty(), "{answer:?}");
}

#[test]
fn a_hazard_that_is_set_to_hold_waits_too() {
    let config = format!(
        "[guard]\nhazards = {{ lock-queue = \"hold\" }}\n{}",
        always("strong = \"warn\"\nbulk = \"warn\"\ndestructive = \"warn\"")
    );
    let stage = Stage::with_variables(&config, &[("LOCKKEEPER_GUARD_HAZARDS", "lock-queue=hold")]);
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD c int");
    until_held(&mut client);
    reload(&stage, "");
    assert_eq!(client.answer().tag(), "ALTER TABLE");
}

#[test]
fn it_is_held_for_so_long_and_no_longer() {
    for way in Way::BOTH {
        let stage = Stage::with(&always("hold_for = \"300ms\""));
        let mut client = stage.through();
        let answer = client.ask(way, "ALTER TABLE orders ADD c int");
        assert_eq!(answer.failure(), "55000");
        assert!(answer.detail().contains("not run"), "{answer:?}");
        assert_eq!(answer.status(), 'I');
        assert_eq!(client.ask(way, "SELECT 1").tag(), "SELECT 1");
        // The client's own time-out means its whole statement.
        client.query("SET statement_timeout = '50ms'").tag();
        let answer = client.ask(way, "ALTER TABLE orders ADD c int");
        assert_eq!(answer.failure(), "57014");
        client.query("SET statement_timeout = 0").tag();
        assert!(!column(&stage, "c"));
    }
}

#[test]
fn a_cancel_request_ends_the_wait() {
    let stage = Stage::with(&always(""));
    for way in Way::BOTH {
        let mut client = stage.through();
        client.send(way, "ALTER TABLE orders ADD c int");
        until_held(&mut client);
        client.cancel();
        assert_eq!(client.answer().failure(), "57014", "{way:?}");
        assert_eq!(client.ask(way, "SELECT 1").tag(), "SELECT 1");
        // So does one that comes past the proxy.
        client.send(way, "ALTER TABLE orders ADD c int");
        until_held(&mut client);
        stage.straight().all(&[&format!("SELECT pg_cancel_backend({})", client.pid())]);
        let answer = client.answer();
        assert_eq!(answer.failure(), "57014", "{way:?}");
        assert!(answer.detail().contains("not run"), "{answer:?}");
    }
    assert!(!column(&stage, "c"));
}

#[test]
fn a_client_that_vanishes_is_not_waited_for() {
    let stage = Stage::with(&always(""));
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD c int");
    until_held(&mut client);
    let pid = client.pid();
    drop(client);
    stage.until(&format!("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {pid})"));
    assert!(!column(&stage, "c"));
    assert!(stage.proxy.log().contains("was held and is not run"));
}

#[test]
fn a_stop_of_the_proxy_ends_the_wait() {
    let mut stage = Stage::with(&always(""));
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD c int");
    until_held(&mut client);
    stage.proxy.signal(Signal::TERM);
    let last = client.raw.until_end();
    let errors: Vec<String> = last.iter().filter(|frame| frame.tag == b'E').map(Frame::sqlstate).collect();
    assert_eq!(errors, ["57P01", "57P01"], "{last:?}");
    assert!(last.iter().any(|frame| frame.message() == "the statement was held and is not run"), "{last:?}");
    assert!(stage.proxy.wait().success());
}

#[test]
fn a_server_that_goes_away_is_heard_of() {
    let stage = Stage::with(&always(""));
    for way in Way::BOTH {
        let mut client = stage.through();
        client.send(way, "ALTER TABLE orders ADD c int");
        until_held(&mut client);
        stage.straight().all(&[&format!("SELECT pg_terminate_backend({})", client.pid())]);
        let last = client.raw.until_end();
        let error = last.last().expect("last words");
        assert_eq!((error.tag, error.sqlstate().as_str()), (b'E', "57P01"), "{last:?}");
    }
}

#[test]
fn a_server_that_restarts_ends_the_wait() {
    let mut stage = Stage::with(&always(""));
    for how in [Stop::Fast, Stop::Immediate] {
        let mut client = stage.through();
        client.send(Way::Simple, "ALTER TABLE orders ADD c int");
        until_held(&mut client);
        stage.cluster.restart(how).expect("restarted");
        let last = client.raw.until_end();
        // A server that crashes may say nothing.
        let heard = |frame: &Frame| frame.sqlstate().starts_with("57P0") || frame.sqlstate() == "08006";
        assert!(last.iter().any(|frame| frame.tag == b'E' && heard(frame)), "{last:?}");
        assert!(!column(&stage, "c"));
    }
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD c int");
    until_held(&mut client);
    reload(&stage, "");
    assert_eq!(client.answer().tag(), "ALTER TABLE");
}

#[test]
fn every_version_can_hold() {
    for installation in each_major() {
        let stage = Stage::on_with(installation, &always(""));
        let mut alone = stage.through();
        alone.send(Way::Extended, "CREATE INDEX by_note ON orders (note)");
        until_held(&mut alone);
        let mut block = stage.through();
        block.all(&["BEGIN"]);
        block.send(Way::Simple, "ALTER TABLE orders ADD c int");
        until_held(&mut block);
        let mut refused = stage.through();
        refused.all(&["BEGIN", "INSERT INTO orders VALUES (700)"]);
        assert_eq!(refused.query("ALTER TABLE orders ADD d int").failure(), "55000");
        refused.all(&["ROLLBACK"]);
        block.cancel();
        let answer = block.answer();
        assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'E'));
        reload(&stage, "");
        assert_eq!(alone.answer().tag(), "CREATE INDEX");
        assert_eq!(stage.indexes(), "by_note+");
    }
}

#[test]
fn a_transaction_that_holds_nothing_may_wait() {
    let stage = Stage::with(&always(""));
    let mut client = stage.through();
    client.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    client.send(Way::Extended, "ALTER TABLE orders ADD c int");
    until_held(&mut client);
    reload(&stage, "");
    assert_eq!(client.answer().tag(), "ALTER TABLE");
    client.all(&["COMMIT"]);
    assert!(column(&stage, "c"));
}

#[test]
fn nobody_sits_on_locks() {
    let stage = Stage::with(&always(""));
    for before in [
        &["BEGIN", "UPDATE orders SET note = 'z' WHERE id = 1"][..],
        &["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"],
        &["BEGIN", "CREATE TABLE made (id int)"],
    ] {
        for way in Way::BOTH {
            let mut client = stage.through();
            client.all(before);
            let answer = client.ask(way, "ALTER TABLE orders ADD c int");
            assert_eq!((answer.failure().as_str(), answer.status()), ("55000", 'E'), "{before:?} {answer:?}");
            let message = answer.error().expect("an error").message();
            assert!(message.contains("cannot be held in this transaction"), "{message}");
        }
    }
    // A lock that is to be taken before the first snapshot cannot be held.
    let mut client = stage.through();
    client.all(&["BEGIN ISOLATION LEVEL SERIALIZABLE"]);
    assert_eq!(client.query("LOCK TABLE orders").failure(), "55000");
}

/// Several statements in one message, and several in one batch, are one transaction: the first of them may wait.
#[test]
fn messages_and_batches_wait_as_a_whole() {
    let stage = Stage::with(&always(""));
    let mut client = stage.through();
    client.send(Way::Simple, "INSERT INTO orders VALUES (500, 1, 'n'); ALTER TABLE orders ADD c int");
    until_held(&mut client);
    assert_eq!(stage.now("SELECT count(*) FROM orders WHERE id = 500"), "0");
    let mut piped = stage.through();
    let one = |sql: &str| [raw::parse("", sql), raw::bind("", "", &[]), raw::execute("", 0)].concat();
    let insert = one("INSERT INTO orders VALUES (501, 1, 'n')");
    let alter = one("ALTER TABLE orders ADD d int");
    piped.raw.send(&[insert, alter.clone(), raw::sync()].concat());
    let answer = piped.answer();
    assert_eq!(answer.error().map(Frame::sqlstate).as_deref(), Some("55000"), "{answer:?}");
    assert_eq!(stage.now("SELECT count(*) FROM orders WHERE id = 501"), "0");
    let last = one("INSERT INTO orders (id) VALUES (502)");
    piped.raw.send(&[alter, last, raw::sync()].concat());
    until_held(&mut piped);
    reload(&stage, "");
    assert_eq!(client.answer().tags(), ["INSERT 0 1", "ALTER TABLE"]);
    assert_eq!(piped.answer().tags(), ["ALTER TABLE", "INSERT 0 1"]);
}

#[test]
fn they_go_on_in_the_order_of_arrival() {
    let stage = Stage::with(&always(""));
    let mut clients: Vec<Person> = Vec::new();
    for number in 0..6 {
        let mut client = stage.through();
        client.send(Way::BOTH[number % 2], &format!("ALTER TABLE orders ADD c{number} int"));
        until_held(&mut client);
        clients.push(client);
    }
    reload(&stage, "");
    for client in &mut clients {
        assert_eq!(client.answer().tag(), "ALTER TABLE");
    }
    let order = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute \
        WHERE attrelid = 'orders'::regclass AND attname LIKE 'c_'";
    assert_eq!(stage.now(order), "c0 c1 c2 c3 c4 c5");
}

#[test]
fn who_waits_is_told_now_and_then() {
    let config = format!("[guard]\nprogress_interval = \"100ms\"\n{}", always(""));
    let stage = Stage::with(&config);
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD c int");
    until_held(&mut client);
    let again = client.raw.frame();
    assert!(again.message().starts_with("still held after "), "{again:?}");
    client.cancel();
    assert_eq!(client.answer().failure(), "57014");
}

#[test]
fn observe_mode_only_tells() {
    let stage = Stage::with(&format!("[guard]\nmode = \"observe\"\n{}", always("")));
    let answer: Answer = stage.through().query("ALTER TABLE orders ADD c int");
    assert_eq!(answer.tag(), "ALTER TABLE");
    let told = "NOTICE: ALTER TABLE would be held: peak hours are in force";
    assert!(answer.notices().iter().any(|notice| notice.starts_with(told)), "{answer:?}");
}

#[test]
fn overrides_pass_for_those_who_may() {
    let config = format!("[operator]\noverride_roles = [\"post*\"]\n{}", always("strong = \"refuse\""));
    let stage = Stage::with(&config);
    let mut client = stage.through();
    assert_eq!(client.query("SET lockkeeper.override = 'because'").failure(), "22023");
    assert_eq!(client.query("ALTER TABLE orders ADD c int").failure(), "55000");
    client.query("SET lockkeeper.override = 'OPS-7: the disk is full'").tag();
    let answer = client.query("ALTER TABLE orders ADD c int");
    assert_eq!(answer.tag(), "ALTER TABLE");
    assert_eq!(
        answer.notice("ALTER TABLE runs by override", b'D').as_deref(),
        Some("The reason given: OPS-7: the disk is full. It is recorded.")
    );
    assert!(stage.proxy.log().contains("OPS-7: the disk is full"), "{}", stage.proxy.log());
    client.query("RESET lockkeeper.override").tag();
    assert_eq!(client.query("ALTER TABLE orders ADD d int").failure(), "55000");
    client.all(&[
        "BEGIN",
        "SET LOCAL lockkeeper.override = 'OPS-8: again'",
        "ALTER TABLE orders ADD d int",
        "COMMIT",
    ]);
    assert_eq!(client.query("ALTER TABLE orders ADD e int").failure(), "55000");
}

#[test]
fn others_may_not_override() {
    let stage = Stage::with(&always("strong = \"refuse\""));
    let mut client = stage.through();
    for sql in
        ["SET lockkeeper.override = 'OPS-7: please'", "SET LOCAL lockkeeper.override = 'OPS-7: please'"]
    {
        let answer = client.query(sql);
        assert_eq!(answer.failure(), "42501");
        assert!(answer.detail().contains("operator.override_roles"), "{answer:?}");
    }
    // Nor by a comment, by what the server was told in another way, or with the role.
    let answer = client.query("/* lockkeeper: override OPS-7: please */ ALTER TABLE orders ADD c int");
    assert_eq!(answer.failure(), "55000");
    client.query("SELECT set_config('lockkeeper.override', 'OPS-7: please', false)").tag();
    assert_eq!(client.query("ALTER TABLE orders ADD c int").failure(), "42501");
    stage.straight().all(&["ALTER ROLE postgres SET lockkeeper.override = 'OPS-7: please'"]);
    assert_eq!(stage.through().query("ALTER TABLE orders ADD c int").failure(), "42501");
}
