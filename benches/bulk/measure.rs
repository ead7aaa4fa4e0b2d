//! One measurement: calm, the statement, and what everybody felt of it.

use std::path::Path;
use std::time::Duration;

use lockkeeper::traffic::connection::{ask, closed, connect};
use lockkeeper::traffic::figures::{Sample, almost_all, longest};
use lockkeeper::traffic::proxy::Proxy;
use lockkeeper::traffic::{Script, Traffic};
use tokio::sync::watch;

use crate::ground::Ground;
use crate::watch::{Behind, furthest};

/// How long the application is watched before the statement comes, and after it.
const CALM: Duration = Duration::from_secs(2);

/// Rows of a batch of the loop that people write.
const LOOP_ROWS: u32 = 10_000;

/// Reads and writes of single rows, of both tables.
const QUERIES: [&str; 5] = [
    "SELECT total, state FROM orders WHERE id = $1",
    "UPDATE orders SET state = 'sent' WHERE id = $1",
    "SELECT what FROM events WHERE id = $1",
    "UPDATE events SET customer = customer + 1 WHERE id = $1",
    "UPDATE orders SET total = total + 1 WHERE id = $1 / 2 + 1",
];

/// What is told by the catalogue: WAL in all, and bytes of both tables with their indexes.
const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8::text";
const SIZE: &str = "SELECT (pg_total_relation_size('orders') + pg_total_relation_size('events'))::text";

/// A statement, and what is left for it to do.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) tag: &'static str,
    pub(crate) sql: &'static str,
    /// The same for a range of keys `$from` to `$to`.
    part: &'static str,
    /// Rows that are not done; none in the end.
    left: &'static str,
}

/// `$rows` is the number of rows.
pub(crate) const STATEMENTS: [Statement; 2] = [
    Statement {
        tag: "UPDATE",
        sql: "UPDATE orders SET currency = 'EUR' WHERE currency = 'DEM'",
        part: "UPDATE orders SET currency = 'EUR' WHERE currency = 'DEM' AND id > $from AND id <= $to",
        left: "SELECT count(*)::text FROM orders WHERE currency <> 'EUR'",
    },
    Statement {
        tag: "DELETE",
        sql: "DELETE FROM events WHERE what = 'happened'",
        part: "DELETE FROM events WHERE what = 'happened' AND id > $from AND id <= $to",
        left: "SELECT count(*)::text FROM events WHERE what = 'happened'",
    },
];

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As one statement, straight.
    Plain,
    /// Straight in a loop over the key, each part committed.
    Loop,
    /// As one statement, through the proxy.
    Through,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Loop, Self::Through];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Loop => "loop by hand",
            Self::Through => "lockkeeper",
        }
    }
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) tag: &'static str,
    pub(crate) way: Way,
    /// The longest answer just before.
    pub(crate) calm: Duration,
    pub(crate) longest: Duration,
    pub(crate) almost_all: Duration,
    pub(crate) behind: Behind,
    /// Bytes of WAL in all, the application's among them.
    pub(crate) wal: u64,
    pub(crate) took: Duration,
    /// Bytes of both tables and their indexes before and after.
    pub(crate) size: (u64, u64),
    pub(crate) failures: u64,
}

/// Measures one statement in one way.
pub(crate) async fn measure(
    ground: &Ground<'_>,
    statement: &Statement,
    way: Way,
) -> anyhow::Result<Measured> {
    ground.fill().await?;
    let direct = ground.url();
    let program = Path::new(env!("CARGO_BIN_EXE_lockkeeper"));
    let proxy = match way {
        Way::Plain | Way::Loop => None,
        Way::Through => Some(Proxy::start(program, &ground.cluster, &direct).await?),
    };
    let url = proxy.as_ref().map_or_else(|| direct.clone(), |proxy| proxy.url("postgres"));
    let before = (number(&direct, WAL).await?, number(&direct, SIZE).await?);
    let (over, looks) = watch::channel(false);
    let acts = async {
        let acted = act(ground, (&direct, &url), statement, way).await;
        // Nobody listens only when the looking has failed, which says so itself.
        let _ = over.send(true);
        acted
    };
    let (mut measured, behind) = tokio::try_join!(acts, furthest(&direct, looks))?;
    measured.behind = behind;
    measured.wal = number(&direct, WAL).await?.saturating_sub(before.0);
    measured.size = (before.1, number(&direct, SIZE).await?);
    let left = number(&direct, statement.left).await?;
    anyhow::ensure!(left == 0, "{} {}: {left} rows are left", statement.tag, way.name());
    Ok(measured)
}

async fn act(
    ground: &Ground<'_>,
    (direct, url): (&str, &str),
    statement: &Statement,
    way: Way,
) -> anyhow::Result<Measured> {
    // Half of the application comes as the statement does, and half past the proxy.
    let script = Script { queries: &QUERIES, keys: ground.options.rows };
    let mut traffic = Traffic::start(&[direct, url], ground.options.clients, script).await?;
    tokio::time::sleep(CALM).await;
    let began = traffic.elapsed();
    let done = tokio::select! {
        done = carry_out(url, statement, (way, ground.options.rows)) => done,
        trouble = traffic.broken() => Err(trouble),
    };
    let ended = traffic.elapsed();
    done?;
    tokio::time::sleep(CALM).await;
    let (samples, failures) = traffic.stop().await;
    let part =
        |is: &dyn Fn(&Sample) -> bool| samples.iter().copied().filter(|one| is(one)).collect::<Vec<_>>();
    let before = part(&|one| one.at + one.took < began);
    let meanwhile = part(&|one| one.at < ended && one.at + one.took > began);
    let most = |part: &[Sample]| longest(part).map(|sample| sample.took).unwrap_or_default();
    Ok(Measured {
        tag: statement.tag,
        way,
        calm: most(&before),
        longest: most(&meanwhile),
        almost_all: almost_all(&meanwhile),
        behind: Behind::default(),
        wal: 0,
        took: ended.saturating_sub(began),
        size: (0, 0),
        failures,
    })
}

async fn carry_out(url: &str, statement: &Statement, (way, rows): (Way, u32)) -> anyhow::Result<()> {
    let (client, connection) = connect(url).await?;
    let work = async {
        match way {
            Way::Plain | Way::Through => client.batch_execute(statement.sql).await?,
            Way::Loop => {
                for from in (0..rows).step_by(usize::try_from(LOOP_ROWS)?) {
                    let part = statement.part.replace("$from", &from.to_string());
                    client.batch_execute(&part.replace("$to", &(from + LOOP_ROWS).to_string())).await?;
                }
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = work => done,
        ended = connection => Err(closed(ended)),
    }
}

async fn number(url: &str, question: &str) -> anyhow::Result<u64> {
    Ok(ask(url, question).await?.parse()?)
}
