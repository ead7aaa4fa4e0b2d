//! One run: calm, a report that holds a table, the migration, calm again.

use std::ops::Range;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

use super::Way;
use super::screen::{RENEW_EVERY, Screen};
use super::stage::Stage;
use crate::traffic::connection::{ask, closed, connect};
use crate::traffic::figures::Sample;
use crate::traffic::proxy::Proxy;
use crate::traffic::{Script, Traffic};

/// The queries, in turn; `$1` is a random number below the number of applications.
const QUERIES: [&str; 6] = [
    "SELECT company, position, status FROM applications WHERE id = $1",
    "UPDATE applications SET status = 'sent', updated_at = now() WHERE id = $1",
    "SELECT channel, sent_at FROM outreach WHERE application_id = $1",
    "INSERT INTO outreach (application_id, channel, message) VALUES ($1, 'mail', 'hello again')",
    "UPDATE users SET last_seen = now() WHERE id = $1 / 2",
    "UPDATE jobs SET state = 'done' WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND id > $1 / 2 \
     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)",
];

/// Asks for everything that the migration was to reach, as one text that both ways must give.
const SCHEMA: &str = "
SELECT concat_ws(', ',
    (SELECT version_num FROM alembic_version),
    (SELECT CASE WHEN indisvalid THEN 'index valid' ELSE 'index INVALID' END
       FROM pg_index WHERE indexrelid = to_regclass('ix_outreach_message')),
    (SELECT count(*) || ' columns' FROM information_schema.columns
      WHERE (table_name, column_name) IN (('applications', 'priority'), ('users', 'locale'))))";

/// What came of one run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) way: Way,
    pub(super) samples: Vec<Sample>,
    pub(super) failures: u64,
    /// From the start of Alembic to its end, in the time of the samples.
    pub(super) migration: Range<Duration>,
    /// What Alembic was told beside its results.
    pub(super) notices: Vec<String>,
    /// What the database holds afterwards.
    pub(super) schema: String,
}

/// Runs one way from beginning to end.
pub(super) async fn tell(way: Way, stage: &Stage, screen: &mut Screen) -> anyhow::Result<Outcome> {
    let direct = stage.open(way).await?;
    let proxy = match way {
        Way::Straight => None,
        Way::Through => {
            let program = std::env::current_exe().context("cannot find this program")?;
            Some(Proxy::start(&program, &stage.cluster, &direct).await?)
        }
    };
    let url = proxy.as_ref().map_or_else(|| direct.clone(), |proxy| proxy.url(way.database()));
    screen.line(&format!("\n== {} ==", way.name()));
    let mut outcome = play(way, &url, stage, screen).await.map_err(|trouble| match &proxy {
        Some(proxy) => trouble.context(proxy.last_words()),
        None => trouble,
    })?;
    // Asked directly: what counts is what the database holds.
    outcome.schema = ask(&direct, SCHEMA).await?;
    Ok(outcome)
}

async fn play(way: Way, url: &str, stage: &Stage, screen: &mut Screen) -> anyhow::Result<Outcome> {
    let mut traffic =
        Traffic::start(&[url], stage.clients, Script { queries: &QUERIES, keys: stage.rows }).await?;
    let (told, mut lines) = mpsc::unbounded_channel();
    let mut notices = Vec::new();
    let acts = acts(url, stage, &told);
    tokio::pin!(acts);
    let mut renew = tokio::time::interval(RENEW_EVERY);
    let began = traffic.elapsed();
    let migration = loop {
        tokio::select! {
            ended = &mut acts => break ended?,
            Some(line) = lines.recv() => note(line, began, &mut notices, screen),
            trouble = traffic.broken() => return Err(trouble),
            _ = renew.tick() => screen.status(&traffic.status()),
        }
    };
    while let Ok(line) = lines.try_recv() {
        note(line, began, &mut notices, screen);
    }
    let (samples, failures) = traffic.stop().await;
    let migration = began + migration.start..began + migration.end;
    Ok(Outcome { way, samples, failures, migration, notices, schema: String::new() })
}

/// Something that happened, and when.
#[derive(Debug)]
pub(super) struct Line {
    after: Duration,
    text: String,
}

/// Where the acts say what happens.
pub(super) struct Teller<'a> {
    began: tokio::time::Instant,
    told: &'a mpsc::UnboundedSender<Line>,
}

impl Teller<'_> {
    pub(super) fn say(&self, text: impl Into<String>) {
        // The other end is gone only when nobody wants to know any more.
        let _ = self.told.send(Line { after: self.began.elapsed(), text: text.into() });
    }
}

/// Shows a line, and keeps it when it is the server's or the proxy's word.
fn note(line: Line, began: Duration, notices: &mut Vec<String>, screen: &mut Screen) {
    screen.line(&format!("{:7.2} s  {}", (began + line.after).as_secs_f64(), line.text));
    if line.text.starts_with("NOTICE") || line.text.starts_with("WARNING") {
        notices.push(line.text);
    }
}

/// The play itself; when the migration ran.
async fn acts(
    url: &str,
    stage: &Stage,
    told: &mpsc::UnboundedSender<Line>,
) -> anyhow::Result<Range<Duration>> {
    let teller = Teller { began: tokio::time::Instant::now(), told };
    teller.say(format!("the application works with {} clients", stage.clients));
    tokio::time::sleep(stage.calm).await;
    let (holding, held) = oneshot::channel();
    let report = report(url, stage.report, holding, &teller);
    let migration = async {
        // Where the report fails, its own error says why.
        let _ = held.await;
        let start = teller.began.elapsed();
        teller.say("alembic upgrade head");
        stage.project.upgrade(url, &teller).await?;
        let end = teller.began.elapsed();
        teller.say("the migration is done");
        anyhow::Ok(start..end)
    };
    let (migration, ()) = tokio::try_join!(migration, report)?;
    tokio::time::sleep(stage.calm).await;
    Ok(migration)
}

/// Somebody in accounting reads `applications` in a transaction, and takes their time.
async fn report(
    url: &str,
    length: Duration,
    holding: oneshot::Sender<()>,
    teller: &Teller<'_>,
) -> anyhow::Result<()> {
    let (client, connection) = connect(url).await?;
    let reads = async {
        client.batch_execute("BEGIN; SELECT status, count(*) FROM applications GROUP BY status").await?;
        teller.say(format!("a report reads applications, for {} s", length.as_secs()));
        let _ = holding.send(());
        client.execute("/* monthly report */ SELECT pg_sleep($1)", &[&length.as_secs_f64()]).await?;
        client.batch_execute("COMMIT").await?;
        teller.say("the report is done");
        anyhow::Ok(())
    };
    tokio::select! {
        done = reads => done,
        ended = connection => Err(closed(ended)),
    }
}
