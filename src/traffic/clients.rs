//! The application: clients that read and write in turn, and note how long each answer took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::connection::{closed, connect};
use super::figures::{self, Sample};

/// What a client does between two queries: long enough that two cores are not the bottleneck.
const THINKING: Duration = Duration::from_millis(5);

/// What the clients ask.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// The queries, in turn; `$1` is a random number from 1 to `keys`, a `bigint`.
    pub queries: &'static [&'static str],
    /// The highest number.
    pub keys: u32,
}

/// The clients; they end when this is dropped.
#[derive(Debug)]
pub struct Traffic {
    clients: JoinSet<anyhow::Result<()>>,
    log: Arc<Log>,
}

/// What the clients write down.
#[derive(Debug)]
struct Log {
    began: Instant,
    samples: Mutex<Vec<Sample>>,
    failures: AtomicU64,
    /// Per client: when the query under way was sent, in microseconds since the beginning; 0 between queries.
    under_way: Vec<AtomicU64>,
}

impl Log {
    fn now_us(&self) -> u64 {
        // Never 0, which means that nothing is under way.
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

impl Traffic {
    /// Connects the clients, in turn by each of the URLs, and lets them work.
    pub async fn start(urls: &[&str], clients: u16, script: Script) -> anyhow::Result<Self> {
        let log = Arc::new(Log {
            began: Instant::now(),
            samples: Mutex::default(),
            failures: AtomicU64::new(0),
            under_way: (0..clients).map(|_| AtomicU64::new(0)).collect(),
        });
        let mut tasks = JoinSet::new();
        for (number, url) in (0..usize::from(clients)).zip(urls.iter().cycle()) {
            let (client, connection) = connect(url).await?;
            let log = Arc::clone(&log);
            tasks.spawn(async move {
                tokio::select! {
                    ended = work(client, number, script, &log) => ended,
                    ended = connection => Err(closed(ended)),
                }
            });
        }
        Ok(Self { clients: tasks, log })
    }

    /// Time since the beginning, as the samples count it.
    pub fn elapsed(&self) -> Duration {
        self.log.began.elapsed()
    }

    /// Waits until a client cannot go on, which none should.
    pub async fn broken(&mut self) -> anyhow::Error {
        match self.clients.join_next().await {
            Some(Ok(Err(trouble))) => trouble.context("the application lost its connection"),
            Some(Err(trouble)) => anyhow::Error::new(trouble).context("a client of the application failed"),
            Some(Ok(Ok(()))) | None => std::future::pending().await,
        }
    }

    /// Ends the clients; what they wrote down, and how many queries failed.
    pub async fn stop(mut self) -> (Vec<Sample>, u64) {
        self.clients.shutdown().await;
        let samples = std::mem::take(&mut *self.log.samples.lock().unwrap_or_else(PoisonError::into_inner));
        (samples, self.log.failures.load(Ordering::Relaxed))
    }

    /// The last seconds in one line.
    pub fn status(&self) -> String {
        const SLICE: Duration = Duration::from_millis(200);
        const SLICES: usize = 40;
        let now = self.log.now_us();
        let waiting =
            self.log.under_way.iter().map(|sent| sent.load(Ordering::Relaxed)).filter(|sent| *sent > 0);
        // A query without an answer yet counts with what it has waited so far.
        let pending = waiting.map(|sent| Sample {
            at: Duration::from_micros(sent),
            took: Duration::from_micros(now.saturating_sub(sent)),
        });
        let samples = self.log.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = Duration::from_micros(now).saturating_sub(SLICE * u32::try_from(SLICES).unwrap_or(0));
        let shown: Vec<_> = samples
            .iter()
            .copied()
            .chain(pending)
            .filter(|sample| sample.at + sample.took >= recent)
            .collect();
        let total = samples.len();
        let longest = samples.iter().chain(&shown).map(|sample| sample.took).max().unwrap_or_default();
        drop(samples);
        let worst = figures::worst_per_slice(&shown, SLICE);
        let tail = worst.get(worst.len().saturating_sub(SLICES)..).unwrap_or_default();
        format!("{} {total} queries, longest {}", figures::sparkline(tail), figures::human(longest))
    }
}

/// One client, until it is ended.
async fn work(client: Client, number: usize, script: Script, log: &Log) -> anyhow::Result<()> {
    let mut statements = Vec::new();
    for query in script.queries {
        statements.push(client.prepare_typed(query, &[tokio_postgres::types::Type::INT8]).await?);
    }
    let mut turn = number;
    loop {
        turn += 1;
        let Some(statement) = statements.get(turn % statements.len()) else { continue };
        let random = getrandom::u32().map_err(|trouble| anyhow::anyhow!("no random numbers: {trouble}"))?;
        let key = i64::from(random % script.keys.max(1)) + 1;
        let sent = log.now_us();
        mark(log, number, sent);
        let answer = client.execute(statement, &[&key]).await;
        mark(log, number, 0);
        match answer {
            Ok(_) => {
                let at = Duration::from_micros(sent);
                let took = Duration::from_micros(log.now_us().saturating_sub(sent));
                log.samples.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { at, took });
            }
            // The server said no: the application would show an error and go on.
            Err(trouble) if trouble.code().is_some() && !client.is_closed() => {
                log.failures.fetch_add(1, Ordering::Relaxed);
            }
            Err(trouble) => return Err(trouble.into()),
        }
        tokio::time::sleep(THINKING).await;
    }
}

fn mark(log: &Log, number: usize, sent: u64) {
    if let Some(slot) = log.under_way.get(number) {
        slot.store(sent, Ordering::Relaxed);
    }
}
