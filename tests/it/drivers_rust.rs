//! tokio-postgres: pipelined futures, prepared statements, transactions and cancel tokens around guarded statements.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::support::eventually_async;
use crate::support::stage::Stage;

async fn connect(stage: &Stage) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&stage.proxy.url("postgres"), NoTls).await.expect("connect");
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn pipelined_statements_are_answered_in_order() {
    let stage = Stage::new();
    let client = connect(&stage).await;
    let one = client.query_one("SELECT 1", &[]);
    let index = client.execute("CREATE INDEX by_note ON orders (note)", &[]);
    let two = client.query_one("SELECT $1::int", &[&2]);
    let column = client.execute("ALTER TABLE orders ADD COLUMN a int", &[]);
    let three = client.query_one("SELECT count(note) FROM orders", &[]);
    let (one, index, two, column, three) = tokio::join!(one, index, two, column, three);
    assert_eq!((one.expect("one").get::<_, i32>(0), two.expect("two").get::<_, i32>(0)), (1, 2));
    assert_eq!((index.expect("index"), column.expect("column")), (0, 0));
    assert_eq!(three.expect("three").get::<_, i64>(0), 100);
    assert_eq!(stage.indexes(), "by_note+");
}

#[tokio::test]
async fn prepared_statements_are_judged_each_time_they_run() {
    let stage = Stage::new();
    let mut client = connect(&stage).await;
    let create = client.prepare("CREATE INDEX by_note ON orders (note)").await.expect("prepare");
    let drop = client.prepare("DROP INDEX by_note").await.expect("prepare");
    for _ in 0..2 {
        client.execute(&create, &[]).await.expect("create");
        assert_eq!(stage.indexes(), "by_note+");
        client.execute(&drop, &[]).await.expect("drop");
    }
    assert_eq!(stage.cluster.log().matches("CREATE INDEX CONCURRENTLY by_note").count(), 2);
    let transaction = client.transaction().await.expect("begin");
    transaction.execute(&create, &[]).await.expect("create");
    transaction.rollback().await.expect("rollback");
    assert_eq!(stage.indexes(), "");
    client.execute(&create, &[]).await.expect("create");
    let again = client.execute(&create, &[]).await.expect_err("it exists");
    assert_eq!(again.code(), Some(&SqlState::DUPLICATE_TABLE));
    client.query_one("SELECT 1", &[]).await.expect("the session goes on");
}

#[tokio::test]
async fn a_transaction_of_many_statements_commits_as_one() {
    let stage = Stage::new();
    let mut client = connect(&stage).await;
    let transaction = client.transaction().await.expect("begin");
    transaction.batch_execute("ALTER TABLE orders ADD a int; UPDATE orders SET a = id").await.expect("batch");
    let all = tokio::join!(
        transaction.execute("ALTER TABLE orders ALTER a SET NOT NULL", &[]),
        transaction.execute("CREATE INDEX by_a ON orders (a)", &[]),
        transaction.execute("DELETE FROM orders WHERE a > $1", &[&90]),
    );
    assert_eq!((all.0.expect("alter"), all.1.expect("create"), all.2.expect("delete")), (0, 0, 10));
    assert_eq!(stage.now("SELECT count(*) FROM pg_class WHERE relname = 'by_a'"), "0");
    transaction.commit().await.expect("commit");
    assert_eq!(stage.indexes(), "by_a+");
}

#[tokio::test]
async fn a_cancel_token_stops_a_build() {
    let stage = Stage::new();
    let mut other = stage.straight();
    other.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"]);
    let client = connect(&stage).await;
    let token = client.cancel_token();
    let build = client.execute("CREATE INDEX by_note ON orders (note)", &[]);
    let cancel = async {
        eventually_async("the build waits", async || {
            let waits = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'";
            (stage.now(waits) == "1").then_some(())
        })
        .await;
        token.cancel_query(NoTls).await.expect("cancel");
    };
    let (built, ()) = tokio::join!(build, cancel);
    assert_eq!(built.expect_err("cancelled").code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(stage.indexes(), "");
}
