//! Assembles the server and hears signals.

use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, Loaded, Sources};
use crate::event::{
    Accepting as AcceptingEvent, ConfigurationRefused, ConfigurationReloaded, ControlSocket, LoginAdvice,
    NeedsRestart, Started, Stopped, Stopping, Uncontrolled,
};
use crate::serve::accept::Accepting;
use crate::serve::listener::{Accepted, Listener};
use crate::serve::operate::Operating;
use crate::serve::settings::{Ready, Serving};
use crate::serve::status::Process;
use crate::serve::task;
use crate::serve::worker::Workers;
use crate::serve::worker_state::WorkerState;
use crate::serve::{drain, left_overs, lockers, tasks};

use super::log::LogLevel;

/// The running server.
#[derive(Debug)]
pub(super) struct App {
    sources: Sources,
    /// What the process started with: keys that only a restart takes up still have these values.
    started: Loaded,
    loaded: Loaded,
    log: LogLevel,
    signals: Signals,
    serving: Arc<Serving>,
    workers: Arc<Workers>,
    accepting: Option<Accepting>,
    /// The control socket, as long as the process lives.
    _operating: Option<Operating>,
}

/// The signals that mean something.
#[derive(Debug)]
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Reload,
    StopGracefully,
    StopNow,
}

impl App {
    /// Binds, starts the workers, accepts, and says where.
    pub(super) fn start(sources: Sources, loaded: Loaded, log: LogLevel) -> anyhow::Result<Self> {
        let ready = loaded.ready(&sources)?;
        let signals = Signals::new().context("cannot hear signals")?;
        let listeners = Listener::bind_all(&loaded.settings.listen)?;
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.address().to_owned()).collect();
        let port = listeners.first().map_or(0, Listener::port);
        advise(&ready);
        let serving = Arc::new(Serving::new(ready));
        tokio::task::spawn_local(left_overs::keep(Arc::clone(&serving)));
        tokio::task::spawn_local(lockers::keep(Arc::clone(&serving)));
        let operating = operate(&loaded, (port, &addresses), &serving)?;
        let count = worker_count(loaded.settings.workers);
        let workers = Workers::start(count, &session_maker(&serving)).context("cannot start the workers")?;
        let workers = Arc::new(workers);
        tokio::task::spawn_local(tasks::keep(Arc::clone(&serving), Arc::clone(&workers)));
        let accepting = Accepting::start(listeners, &workers);
        Started { file: sources.file.as_deref(), workers: count }.emit();
        announce(&addresses)?;
        Ok(Self {
            sources,
            started: loaded.clone(),
            loaded,
            log,
            signals,
            serving,
            workers,
            accepting: Some(accepting),
            _operating: operating,
        })
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(mut self) -> anyhow::Result<ExitCode> {
        let ask = loop {
            match self.signals.next().await {
                Ask::Reload => self.reload(),
                ask => break ask,
            }
        };
        Ok(Box::pin(self.stop(ask)).await)
    }

    /// Takes a new configuration up, or says why not and keeps the old one.
    fn reload(&mut self) {
        let loaded = config::load(&self.sources);
        let (next, ready) = match loaded.and_then(|next| next.ready(&self.sources).map(|ready| (next, ready)))
        {
            Ok(good) => good,
            Err(problems) => {
                for problem in problems.lines() {
                    ConfigurationRefused { problem: &problem }.emit();
                }
                return;
            }
        };
        let changed = self.loaded.changes(&next).taken_up.len();
        if let Err(error) = self.log.set(&next.settings.log.level) {
            return ConfigurationRefused { problem: &format!("{error:#}") }.emit();
        }
        for key in &self.started.changes(&next).needs_restart {
            NeedsRestart { key }.emit();
        }
        advise(&ready);
        self.serving.replace(ready);
        self.loaded = next;
        ConfigurationReloaded { changed }.emit();
    }

    /// Ends all sessions; a second signal ends the process at once.
    async fn stop(mut self, ask: Ask) -> ExitCode {
        let deadline = match ask {
            Ask::StopNow => std::time::Duration::ZERO,
            Ask::Reload | Ask::StopGracefully => self.loaded.settings.stop_deadline,
        };
        Stopping { sessions: self.workers.sockets(), deadline }.emit();
        // Where another process listens too, new connections shall reach that one. Otherwise the listeners stay for cancel
        // requests, and clients are told why they are not served.
        let shared = self.loaded.settings.listen.reuse_port;
        if let Some(accepting) = self.accepting.take_if(|_| shared) {
            accepting.close().await;
        }
        let ended = async {
            if ask == Ask::StopNow {
                drain::at_once(&self.serving, &self.workers).await;
            } else {
                drain::gracefully(&self.serving, &self.workers, deadline).await;
            }
        };
        let code = tokio::select! {
            () = ended => ExitCode::SUCCESS,
            () = self.signals.stop_again() => ExitCode::FAILURE,
        };
        // Unix-domain sockets are taken away.
        drop(self.accepting.take());
        Stopped { left: self.workers.sockets() }.emit();
        code
    }
}

/// The control socket, where one is configured. Processes that share a port must not share it.
fn operate(
    loaded: &Loaded,
    (port, addresses): (u16, &[String]),
    serving: &Arc<Serving>,
) -> anyhow::Result<Option<Operating>> {
    let Some(directory) = &loaded.settings.socket_directory else { return Ok(None) };
    let of_its_own = loaded.settings.listen.reuse_port.then(|| format!(".{}", std::process::id()));
    let name = format!("lockkeeper.{port}{}.sock", of_its_own.unwrap_or_default());
    let process = Process { addresses: addresses.to_vec() };
    let operating = Operating::start(directory.join(name), process, serving)?;
    ControlSocket { path: operating.path() }.emit();
    Ok(Some(operating))
}

/// Says what will keep some logins from passing although the settings are right by themselves.
fn advise(ready: &Ready) {
    for advice in ready.advice() {
        LoginAdvice { advice: &advice }.emit();
    }
    if ready.settings.upstream.control.is_none() {
        Uncontrolled.emit();
    }
}

/// What each worker makes of an accepted connection.
fn session_maker(serving: &Arc<Serving>) -> impl Fn() -> SessionStart + Clone + Send + 'static {
    let serving = Arc::clone(serving);
    move || {
        let state = Rc::new(WorkerState::new(&serving));
        Box::new(move |accepted| Box::pin(task::session(accepted, Rc::clone(&state))))
    }
}

type SessionStart = Box<dyn Fn(Accepted) -> std::pin::Pin<Box<dyn Future<Output = ()>>>>;

fn worker_count(configured: Option<u32>) -> usize {
    match configured {
        Some(count) => usize::try_from(count).unwrap_or(1),
        None => thread::available_parallelism().map_or(1, usize::from),
    }
}

/// One line for each address on standard output, for people and for programs that start the proxy.
fn announce(addresses: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for address in addresses {
        AcceptingEvent { address }.emit();
        writeln!(out, "listening on {address}")?;
    }
    out.flush()
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Ask {
        tokio::select! {
            _ = self.hangup.recv() => Ask::Reload,
            _ = self.terminate.recv() => Ask::StopGracefully,
            _ = self.interrupt.recv() => Ask::StopNow,
        }
    }

    /// A signal to stop that comes while stopping.
    async fn stop_again(&mut self) {
        while self.next().await == Ask::Reload {}
    }
}
