//! One measurement: calm, somebody who reads, the statement, and what everybody waited.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use lockkeeper::traffic::connection::{closed, connect, execute};
use lockkeeper::traffic::figures::{Sample, almost_all, longest};
use lockkeeper::traffic::proxy::Proxy;
use lockkeeper::traffic::{Script, Traffic};
use tokio::sync::{oneshot, watch};

use crate::ground::Ground;
use crate::operations::Operation;
use crate::queue::{self, APPLICATION};
use crate::results::{Case, Measured, Way};

/// How long the application is watched before the statement comes.
const CALM: Duration = Duration::from_millis(700);

/// After the statement whoever waited gets an answer.
const AFTER: Duration = Duration::from_millis(200);

/// Short reads, updates of one row and inserts, on all tables.
const QUERIES: [&str; 8] = [
    "SELECT total, state FROM orders WHERE id = $1",
    "UPDATE orders SET state = 'sent' WHERE id = $1",
    "SELECT name FROM customers WHERE id = $1 / 10 + 1",
    "INSERT INTO orders (customer, code, total, note, state) \
     VALUES ($1 / 10 + 1, gen_random_uuid()::text, $1 % 1000, 'of the benchmark', 'new')",
    "UPDATE events SET what = 'was seen' WHERE id = $1 / 2",
    "SELECT total FROM turnover WHERE customer = $1 / 10 + 1",
    "UPDATE customers SET seen = seen + 1 WHERE id = $1 / 10 + 1",
    "SELECT what FROM events WHERE id = $1 / 2",
];

/// What the same objects look like in the catalogue, whatever their numbers are.
const STATE: &str = include_str!("../../tests/it/support/state.sql");

/// Somebody who reads for long keeps a lock on each of these, and a snapshot.
const READ: &str = "BEGIN; SELECT FROM orders LIMIT 1; SELECT FROM customers LIMIT 1; SELECT FROM events LIMIT 1; \
     SELECT FROM events_next LIMIT 1; SELECT FROM turnover LIMIT 1";

/// Measures one operation in one way, in a copy of the tables.
pub(crate) async fn measure(
    ground: &Ground<'_>,
    operation: &Operation,
    case: Case,
) -> anyhow::Result<Measured> {
    let direct = ground.open(case.database()).await?;
    if !operation.setup.is_empty() {
        execute(&direct, operation.setup).await.with_context(|| format!("setup of {}", operation.id))?;
    }
    // Nobody is disturbed by what was written before.
    execute(&direct, "CHECKPOINT").await?;
    let proxy = match case.way {
        Way::Straight => None,
        Way::Through => {
            let program = Path::new(env!("CARGO_BIN_EXE_lockkeeper"));
            Some(Proxy::start(program, &ground.cluster, &direct).await?)
        }
    };
    let url = proxy.as_ref().map_or_else(|| direct.clone(), |proxy| proxy.url(case.database()));
    let (over, looks) = watch::channel(false);
    let acts = async {
        let acted = act(ground, (&direct, &url), operation, case).await;
        // Nobody listens only when the looking has failed, which says so itself.
        let _ = over.send(true);
        acted
    };
    let (mut measured, queued) = tokio::try_join!(acts, queue::longest(&direct, looks))?;
    measured.queued = queued;
    if measured.end.is_ok() {
        measured.end = Ok(state(&direct).await?);
    }
    drop(proxy);
    ground.close(case.database()).await?;
    Ok(measured)
}

async fn act(
    ground: &Ground<'_>,
    (direct, url): (&str, &str),
    operation: &Operation,
    case: Case,
) -> anyhow::Result<Measured> {
    // Half of the application comes as the statement does, and half past the proxy: both must not wait.
    let named = [direct, url].map(|url| format!("{url}?application_name={APPLICATION}"));
    let [direct_named, url_named] = &named;
    let script = Script { queries: &QUERIES, keys: ground.options.rows };
    let mut traffic = Traffic::start(&[direct_named, url_named], ground.options.clients, script).await?;
    tokio::time::sleep(CALM).await;
    let calm = traffic.elapsed();
    let (holding, held) = oneshot::channel();
    let reader = async {
        if case.reader {
            read(direct, ground.options.reading(), holding).await
        } else {
            let _ = holding.send(());
            Ok(())
        }
    };
    let statement = async {
        // Where the reader fails, its own error says why.
        let _ = held.await;
        let began = traffic.elapsed();
        let done = tell(url, operation.sql).await;
        anyhow::Ok((began, traffic.elapsed(), done))
    };
    let ((began, ended, done), ()) = tokio::try_join!(statement, reader)?;
    tokio::time::sleep(AFTER).await;
    let broken = tokio::time::timeout(Duration::ZERO, traffic.broken()).await;
    if let Ok(trouble) = broken {
        return Err(trouble);
    }
    let (samples, failures) = traffic.stop().await;
    let took = |part: &[Sample]| longest(part).map(|sample| sample.took).unwrap_or_default();
    let (before, meanwhile): (Vec<Sample>, Vec<Sample>) = (
        samples.iter().copied().filter(|sample| sample.at + sample.took < calm).collect(),
        samples.iter().copied().filter(|one| one.at < ended && one.at + one.took > began).collect(),
    );
    Ok(Measured {
        calm: took(&before),
        longest: took(&meanwhile),
        almost_all: almost_all(&meanwhile),
        queued: Duration::ZERO,
        took: ended.saturating_sub(began),
        failures,
        end: done.map(|()| String::new()),
    })
}

/// Runs the statement; why it failed, if it did.
async fn tell(url: &str, sql: &str) -> Result<(), String> {
    execute(url, sql).await.map_err(|trouble| format!("{trouble:#}"))
}

/// Reads for long.
async fn read(url: &str, length: Duration, holding: oneshot::Sender<()>) -> anyhow::Result<()> {
    let (client, connection) = connect(url).await?;
    let reads = async {
        client.batch_execute(READ).await?;
        let _ = holding.send(());
        client.execute("/* monthly report */ SELECT pg_sleep($1)", &[&length.as_secs_f64()]).await?;
        client.batch_execute("COMMIT").await?;
        anyhow::Ok(())
    };
    tokio::select! {
        done = reads => done,
        ended = connection => Err(closed(ended)),
    }
}

/// Everything that the catalogue says of the tables, one object a line.
async fn state(url: &str) -> anyhow::Result<String> {
    let (client, connection) = connect(url).await?;
    let asks = async {
        let mut lines = Vec::new();
        for message in client.simple_query(STATE).await? {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                let cells: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect();
                lines.push(cells.join("|"));
            }
        }
        anyhow::Ok(lines.join("\n"))
    };
    tokio::select! {
        done = asks => done,
        ended = connection => Err(closed(ended)),
    }
}
