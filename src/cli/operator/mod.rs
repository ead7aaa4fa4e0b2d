//! `lockkeeper status`, `freeze`, `thaw`, `bulk` and `cancel`: words to the proxies of this machine, by their control sockets.

mod orders;
mod status;
mod watch;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::base::Period;
use crate::config;
use crate::event::Clean;

use super::sources::SourceArgs;

pub(super) use orders::{BulkArgs, CancelArgs, bulk, cancel};
pub(super) use status::{StatusArgs, status};

/// Cancel requests are sent before a freeze is answered.
const WITHIN: Duration = Duration::from_secs(30);

/// A longer answer is not a proxy's.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Which proxies are meant.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    #[command(flatten)]
    sources: SourceArgs,
    /// The control socket, or a directory of them; without it that of `operator.socket_directory`.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Arguments of `lockkeeper freeze`.
#[derive(Debug, clap::Args)]
pub(super) struct FreezeArgs {
    /// Why; everybody whose work is held is told.
    reason: String,
    /// How long, such as 2h; without it until somebody thaws.
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Period>,
    /// Cancel what is being carried out, instead of letting it end the step it is at.
    #[arg(long)]
    cancel_running: bool,
    #[command(flatten)]
    which: Which,
}

/// Arguments of `lockkeeper thaw`.
#[derive(Debug, clap::Args)]
pub(super) struct ThawArgs {
    #[command(flatten)]
    which: Which,
}

/// Freezes each proxy.
pub(super) fn freeze(args: &FreezeArgs) -> anyhow::Result<ExitCode> {
    let time = args.time.map(|time| u64::try_from(time.duration().as_millis()).unwrap_or(u64::MAX));
    let question = json!({
        "ask": "freeze",
        "reason": args.reason,
        "for_ms": time,
        "cancel_running": args.cancel_running,
        "by": somebody(),
    });
    each(&args.which, &question, |socket, answer| {
        let until = at(answer, "/frozen/until").as_str();
        let end = until.map_or_else(
            || "until somebody thaws it".to_owned(),
            |until| format!("until {}", seconds(until)),
        );
        let running = if args.cancel_running {
            format!("{} running, all cancelled", at(answer, "/cancelled"))
        } else {
            format!("{} running, each ends with the step that it is at", at(answer, "/running"))
        };
        format!("{}: frozen {end}; {running}\n", socket.display())
    })
}

/// Ends the freeze of each proxy.
pub(super) fn thaw(args: &ThawArgs) -> anyhow::Result<ExitCode> {
    let question = json!({ "ask": "thaw", "by": somebody() });
    each(&args.which, &question, |socket, answer| {
        let done = match word(at(answer, "/thawed/reason")).as_str() {
            "" => "was not frozen".to_owned(),
            reason => format!("thawed; it was frozen by {}: {reason}", word(at(answer, "/thawed/by"))),
        };
        format!("{}: {done}\n", socket.display())
    })
}

/// Who types, as far as the machine knows.
fn somebody() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let mut named = named.filter(|name| !name.is_empty());
    let uid = rustix::process::getuid().as_raw();
    named.next().or_else(|| account(uid)).unwrap_or_else(|| format!("user {uid}"))
}

/// The name of an account of this machine (passwd(5)).
fn account(uid: u32) -> Option<String> {
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines
        .find(|fields| fields.get(2) == Some(&uid.to_string().as_str()))?
        .first()
        .map(|name| (*name).to_owned())
}

/// Asks every proxy that is meant; each answer is printed as it comes. Fails where one did not answer.
fn each(which: &Which, question: &Value, tell: impl Fn(&Path, &Value) -> String) -> anyhow::Result<ExitCode> {
    let mut failed = Vec::new();
    for socket in sockets(which)? {
        match ask(&socket, question) {
            Ok(answer) => std::io::stdout().lock().write_all(tell(&socket, &answer).as_bytes())?,
            Err(error) => failed.push(format!("{}: {error:#}", socket.display())),
        }
    }
    if failed.is_empty() { Ok(ExitCode::SUCCESS) } else { bail!(failed.join("; ")) }
}

fn sockets(which: &Which) -> anyhow::Result<Vec<PathBuf>> {
    let place = match &which.socket {
        Some(path) => path.clone(),
        None => config::load(&which.sources.sources())?
            .settings
            .socket_directory
            .context("there is no control socket: set operator.socket_directory, or name it by --socket")?,
    };
    if !place.is_dir() {
        return Ok(vec![place]);
    }
    let entries = std::fs::read_dir(&place).with_context(|| format!("cannot read {}", place.display()))?;
    let is_ours = |path: &PathBuf| {
        let named = path.file_name().and_then(std::ffi::OsStr::to_str);
        named.is_some_and(|name| name.starts_with("lockkeeper."))
            && path.extension().is_some_and(|it| it == "sock")
    };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect();
    found.sort();
    // What nobody serves was left by a process that was killed.
    let refused = |path: &PathBuf| {
        UnixStream::connect(path).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    found.retain(|path| !refused(path));
    if found.is_empty() {
        bail!("no proxy serves a control socket in {}", place.display());
    }
    Ok(found)
}

fn ask(socket: &Path, question: &Value) -> anyhow::Result<Value> {
    let mut stream =
        UnixStream::connect(socket).context("cannot connect (is a proxy running that has this socket?)")?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut line = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut line).context("no answer")?;
    let mut answer: Value = serde_json::from_str(&line).context("the answer is none of a proxy's")?;
    match answer.get("error").and_then(Value::as_str) {
        Some(why) => bail!("{why}"),
        None => Ok(answer.pointer_mut("/ok").map(Value::take).unwrap_or_default()),
    }
}

/// What stands at a place; null where nothing does.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

/// A text from outside, made safe for a terminal.
fn word(value: &Value) -> String {
    Clean(value.as_str().unwrap_or_default()).to_string()
}

/// A moment without what is less than a second.
fn seconds(moment: &str) -> String {
    let whole = moment.split('.').next().unwrap_or(moment).trim_end_matches('Z');
    format!("{} UTC", whole.replace('T', " "))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
