//! The control socket: people of this machine ask what is going on, freeze and thaw, and order what runs. One JSON object a line, each way.
//!
//! Only the owner of the process and root get in: by the mode of the file, and by what the kernel says of the peer.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket as Raw, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::event::{Frozen, Thawed, clock};
use crate::live::gate::Freeze;

use super::orders;
use super::settings::Serving;
use super::status::{self, Process};
use super::unix_socket::{SocketFile, Taken};

/// A longer question is none.
const REQUEST_BYTES_MAX: u64 = 16 << 10;

/// A longer reason tells nothing more.
const REASON_BYTES_MAX: usize = 500;

/// So many may ask at once; whoever comes then is not heard.
const ASKING_MAX: usize = 16;

/// Who asks does so at once.
const WITHIN: Duration = Duration::from_secs(5);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum NoSocket {
    /// The name is taken, or cannot be made.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// The socket cannot be bound.
    #[error("cannot listen on {path}")]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The control socket while it is served; dropping it takes the file away.
#[derive(Debug)]
pub struct Operating {
    file: SocketFile,
    task: JoinHandle<()>,
}

impl Operating {
    /// Serves the control socket with this path.
    pub fn start(path: PathBuf, process: Process, serving: &Arc<Serving>) -> Result<Self, NoSocket> {
        let file = SocketFile::claim_path(path, 0)?;
        let listener =
            bind(file.path()).map_err(|source| NoSocket::Bind { path: file.path().to_owned(), source })?;
        let desk = Rc::new(Desk { serving: Arc::clone(serving), process });
        let task = tokio::task::spawn_local(serve(listener, desk));
        Ok(Self { file, task })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Drop for Operating {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Nobody can connect before the mode is set.
fn bind(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

/// What questions are answered from.
pub(super) struct Desk {
    pub(super) serving: Arc<Serving>,
    pub(super) process: Process,
}

async fn serve(listener: UnixListener, desk: Rc<Desk>) {
    let room = Arc::new(Semaphore::new(ASKING_MAX));
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Too many open files, most likely.
            clock::pause(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else { continue };
        let desk = Rc::clone(&desk);
        tokio::task::spawn_local(async move {
            if clock::within(WITHIN, converse(client, &desk)).await.is_none() {
                tracing::debug!("whoever connected to the control socket asked nothing");
            }
            drop(seat);
        });
    }
}

async fn converse(mut client: UnixStream, desk: &Desk) {
    if !is_trusted(&client) {
        return;
    }
    let answer = match question(&mut client).await {
        Ok(question) => desk.answer(&question).await.unwrap_or_else(|why| json!({ "error": why })),
        Err(why) => json!({ "error": why }),
    };
    let mut line = answer.to_string();
    line.push('\n');
    if let Err(error) = client.write_all(line.as_bytes()).await {
        tracing::debug!(%error, "whoever asked did not wait for the answer");
    }
}

fn is_trusted(client: &UnixStream) -> bool {
    client.peer_cred().is_ok_and(|peer| [0, rustix::process::geteuid().as_raw()].contains(&peer.uid()))
}

async fn question(client: &mut UnixStream) -> Result<Value, String> {
    let mut line = Vec::new();
    let mut limited = client.take(REQUEST_BYTES_MAX);
    loop {
        let read = limited.read_buf(&mut line).await.map_err(|error| error.to_string())?;
        if read == 0 || line.contains(&b'\n') {
            break;
        }
    }
    if !line.ends_with(b"\n") {
        return Err(format!("expected one line of JSON, at most {REQUEST_BYTES_MAX} bytes"));
    }
    serde_json::from_slice(&line).map_err(|error| format!("expected one line of JSON: {error}"))
}

impl Desk {
    /// Answers a question.
    pub(super) async fn answer(&self, question: &Value) -> Result<Value, String> {
        let now = clock::wall();
        match text(question, "ask").as_str() {
            "status" => Ok(json!({ "ok": status::report(&self.serving.live, &self.process, now) })),
            "freeze" => self.freeze(question, now).await,
            "thaw" => Ok(self.thaw(&text(question, "by"), now)),
            "order" => orders::order(question, &text(question, "by"), &self.serving),
            "cancel" => orders::cancel(question, &text(question, "by"), &self.serving).await,
            other => Err(format!(
                "there is nothing to ask by {other:?}: expected status, freeze, thaw, order or cancel"
            )),
        }
    }

    async fn freeze(&self, question: &Value, now: Timestamp) -> Result<Value, String> {
        let (reason, by) = (text(question, "reason"), text(question, "by"));
        if reason.is_empty() || by.is_empty() {
            return Err("a freeze needs a reason, and somebody who does it".to_owned());
        }
        let until = match question.get("for_ms").and_then(Value::as_u64) {
            Some(time) => Some(
                now.checked_add(Duration::from_millis(time))
                    .map_err(|_| "nobody waits for so long".to_owned())?,
            ),
            None => None,
        };
        let live = &self.serving.live;
        let before = live.gate().frozen(now);
        live.gate().freeze(Freeze { reason: reason.clone(), by: by.clone(), since: now, until });
        let cancelled = if question.get("cancel_running") == Some(&Value::Bool(true)) {
            cancel_running(&self.serving).await
        } else {
            0
        };
        Frozen { reason: &reason, by: &by, until, cancelled }.emit();
        Ok(json!({ "ok": {
            "frozen": status::freeze(live.gate().frozen(now).as_ref()),
            "instead_of": status::freeze(before.as_ref()),
            "cancelled": cancelled,
            "running": status::running(live),
        } }))
    }

    fn thaw(&self, by: &str, now: Timestamp) -> Value {
        let freeze = self.serving.live.gate().thaw(now);
        if let Some(freeze) = &freeze {
            Thawed { reason: &freeze.reason, by }.emit();
        }
        json!({ "ok": { "thawed": status::freeze(freeze.as_ref()) } })
    }
}

/// Cancels all that is being carried out; how many that are.
pub(super) async fn cancel_running(serving: &Serving) -> usize {
    let ready = serving.now();
    let running = serving.live.ledger().stop_running();
    for (host, packet) in running.iter().filter(|(_, packet)| !packet.is_empty()) {
        if let Err(error) = ready.upstream.cancel(Some(*host), packet).await {
            tracing::debug!(%error, "cancel request did not reach the server");
        }
    }
    running.len()
}

/// A text of the question, as one line that may go into a message of the protocol.
fn text(question: &Value, name: &str) -> String {
    let given = question.get(name).and_then(Value::as_str).unwrap_or_default();
    let line: String = given.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = line.len().min(REASON_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default().trim().to_owned()
}
