//! The proxy as a child process.

use std::collections::VecDeque;
use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::AbortHandle;

use crate::cluster::{Cluster, SUPERUSER};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lines of its log that are kept, for the case that it fails.
const KEPT: usize = 20;

/// A running `lockkeeper serve`; ended when dropped.
#[derive(Debug)]
pub struct Proxy {
    _child: Child,
    addr: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
    readers: [AbortHandle; 2],
}

impl Proxy {
    /// Starts this program before a cluster; `control` is the URL that its own connection uses.
    pub async fn start(program: &Path, cluster: &Cluster, control: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--upstream", &cluster.addr().to_string()]);
        without_variables(&mut command);
        command.env("LOCKKEEPER_CONTROL_URL", control);
        // The tables here stand for bigger ones.
        command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start the proxy")?;
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let stderr = child.stderr.take().context("the proxy has no standard error")?;
        let kept = Arc::clone(&log);
        let reading_log = tokio::spawn(async move { keep(stderr, &kept).await }).abort_handle();
        let stdout = child.stdout.take().context("the proxy has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let listening = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(addr) = listening_on(&line) {
                    return Ok(addr);
                }
            }
            anyhow::bail!("the proxy ended")
        });
        let addr = listening.await.context("the proxy does not listen").and_then(|addr| addr);
        let addr = addr.with_context(|| end_of(&log))?;
        let rest = Arc::clone(&log);
        let reading_rest = tokio::spawn(async move { keep(lines.into_inner(), &rest).await }).abort_handle();
        Ok(Self { _child: child, addr, log, readers: [reading_log, reading_rest] })
    }

    /// The end of its log, for error messages.
    pub fn last_words(&self) -> String {
        end_of(&self.log)
    }

    /// The URL of a database through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}@{}/{database}", self.addr)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

/// Removes what would change where a child connects to, or how it is configured.
pub fn without_variables(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PG") || text.starts_with("LOCKKEEPER_") {
            command.env_remove(&name);
        }
    }
}

fn end_of(log: &Mutex<VecDeque<String>>) -> String {
    let lines = log.lock().unwrap_or_else(PoisonError::into_inner);
    format!("the end of the proxy's log:\n{}\n", Vec::from(lines.clone()).join("\n"))
}

/// Reads a pipe, so that it never fills, and keeps the last lines.
async fn keep(pipe: impl AsyncRead + Unpin, kept: &Mutex<VecDeque<String>>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once("listening on ")?;
    after.split_whitespace().next()?.trim_end_matches([',', '.']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_address() {
        assert_eq!(
            listening_on("listening on 127.0.0.1:5433"),
            Some(SocketAddr::from(([127, 0, 0, 1], 5433)))
        );
        assert_eq!(listening_on("listening on /run/lockkeeper"), None);
        assert_eq!(listening_on("starting"), None);
    }
}
