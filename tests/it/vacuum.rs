//! Autovacuum on a table that is to be locked: cancelled where the proxy's role may, waited for outside the queue otherwise.

use lockkeeper::cluster::Options;

use crate::support::proxy::Setup;
use crate::support::stage::{Person, Stage};

/// Works on `orders` for as long as it is left alone.
const SLOW: &str = "autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, \
     autovacuum_vacuum_cost_limit = 1, autovacuum_analyze_threshold = 1000000";

const AT_WORK: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' \
     AND query LIKE 'autovacuum: VACUUM public.orders%'";

fn stage() -> Stage {
    let stage = Stage::with_options(&Options::new().conf("autovacuum_naptime = 1s"));
    stage.straight().all(&[
        "INSERT INTO orders SELECT n, 1, repeat('x', 500) FROM generate_series(101, 20000) n",
        "CREATE ROLE watcher LOGIN IN ROLE pg_monitor",
        "DELETE FROM orders WHERE id % 2 = 0",
        &format!("ALTER TABLE orders SET ({SLOW})"),
    ]);
    stage.until(AT_WORK);
    stage
}

#[test]
fn autovacuum_gives_way() {
    let stage = stage();
    let answer = stage.through().query("ALTER TABLE orders ADD COLUMN more int");
    assert_eq!(answer.tag(), "ALTER TABLE");
    let said = answer.notices().join("\n");
    assert!(said.contains("was in the way and is cancelled"), "{said}");
    assert!(stage.cluster.log().contains("canceling autovacuum task"), "by nobody else");
}

#[test]
fn where_the_role_may_not_cancel_it_is_waited_for_outside() {
    let stage = stage();
    let url = stage.cluster.url("postgres").replace("postgres@", "watcher@");
    let config = format!("[control]\nurl = \"{url}\"\n[guard]\nretry_for = \"2s\"");
    let proxy = Setup::new(&stage.cluster.addr()).config(&config).start();
    let answer = Person::called(proxy.addr(), &[]).query("ALTER TABLE orders ADD COLUMN more int");
    assert_eq!(answer.failure(), "55P03");
    assert!(answer.detail().contains("which the role of control.url may not cancel"), "{}", answer.detail());
    assert_eq!(stage.now(AT_WORK), "t", "it works on");
}
