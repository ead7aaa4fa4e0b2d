//! The server goes away, or was never there: the client hears it in plain words and never hangs.

use lockkeeper::cluster::Stop;

use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{PROTOCOL_3_0, Raw, bind, execute, flush, parse, query, startup};
use crate::support::{cluster, eventually};
use crate::wire::{Pair, errors};

fn login(proxy: &Proxy) -> Raw {
    let mut client = Raw::connect(proxy.addr());
    client.send(&startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]));
    client
}

#[test]
fn a_server_that_dies_is_told_of_in_every_state() {
    let mut pair = Pair::new();
    let mut idle = pair.through();
    let mut blocked = pair.through();
    blocked.rows("BEGIN; CREATE TABLE unfinished (a int)");
    let mut busy = pair.through();
    busy.send(&query("SELECT pg_sleep(600)"));
    let mut batch = pair.through();
    batch.send(&[parse("", "SELECT pg_sleep(600)"), bind("", "", &[]), execute("", 0), flush()].concat());
    let mut holder = pair.straight();
    holder.rows("CREATE TABLE t (a int)");
    holder.rows("BEGIN; LOCK TABLE t");
    let mut waiting = pair.through();
    waiting.send(&query("ALTER TABLE t ADD b int"));
    waiting.until(b'N');
    pair.cluster.stop(Stop::Immediate).expect("stopped");
    for (what, client) in [
        ("idle", &mut idle),
        ("in a block", &mut blocked),
        ("busy", &mut busy),
        ("batch", &mut batch),
        ("waiting", &mut waiting),
    ] {
        let codes = errors(&client.until_end());
        // Postgres' own words, where it had the time for them.
        assert!(codes == ["57P02"] || codes == ["08006"], "{what}: {codes:?}");
    }
    assert_eq!(errors(&login(&pair.proxy).until_end()).len(), 1);
    pair.cluster.start_again().expect("started");
    assert!(pair.through().rows("SELECT 1 FROM pg_class WHERE relname = 'unfinished'").is_empty());
}

#[test]
fn a_server_that_shuts_down_has_the_last_word() {
    let mut pair = Pair::new();
    let mut idle = pair.through();
    let mut busy = pair.through();
    busy.send(&query("SELECT pg_sleep(600)"));
    pair.cluster.stop(Stop::Fast).expect("stopped");
    assert_eq!(errors(&idle.until_end()), ["57P01"]);
    assert_eq!(errors(&busy.until_end()), ["57P01"]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let mut cluster = cluster();
    cluster.stop(Stop::Fast).expect("stopped");
    let proxy = Setup::new(&cluster.addr()).start();
    let heard = login(&proxy).until_end();
    assert_eq!(errors(&heard).len(), 1, "{heard:?}");
    assert!(["08001", "08006"].contains(&heard[0].sqlstate().as_str()), "{heard:?}");
    assert_eq!(heard[0].field(b'S').as_deref(), Some("FATAL"));
    let told = format!("{heard:?}");
    assert!(told.contains(&cluster.port().to_string()), "{told}");
    cluster.start_again().expect("started");
    assert!(!Raw::session(proxy.addr()).rows("SELECT 1").is_empty());
}

#[test]
fn idle_sessions_end_where_that_is_configured() {
    let pair = Pair::configured(&["[limits]", "idle_timeout = \"1s\""]);
    let mut idle = pair.through();
    let mut in_a_block = pair.through();
    in_a_block.rows("BEGIN");
    let mut busy = pair.through();
    busy.send(&query("SELECT pg_sleep(1.5)"));
    assert_eq!(errors(&idle.until_end()), ["57P05"]);
    assert_eq!(errors(&busy.until_ready()), Vec::<String>::new());
    assert_eq!(in_a_block.rows("SELECT 1").len(), 1);
    let mut other = pair.straight();
    eventually("its backend is gone", || {
        let rows = other.rows("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
        (rows[0][0].as_deref().is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count <= 3)))
            .then_some(())
    });
}
