//! What sessions go by, replaced as a whole at a reload, and what they have in common.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::control::Install;
use crate::judge::Policy;
use crate::live::gate::Hours;
use crate::live::{Limits, Live, Rules};
use crate::pace::bulk;
use crate::pace::ladder::LadderSettings;
use crate::upstream::{Upstream, UpstreamSettings, scram};

use super::console::CONSOLES_MAX;
use super::login::{VerifierSource, Verifiers, Way, binding_warning};
use super::tls::{ClientTls, ClientTlsSettings};

/// What sessions go by. A session takes it anew for each statement that it judges, so that a reload is felt at once.
#[derive(Clone)]
pub struct Settings {
    /// How many sessions there may be.
    pub limits: Limits,
    /// How long a client may take until its login is sent on.
    pub startup_timeout: Duration,
    /// Idle time outside a transaction after which a session is ended.
    pub idle_timeout: Option<Duration>,
    /// The longest statement that is read.
    pub inspect_bytes_max: usize,
    /// What becomes of a longer one.
    pub oversize: Oversize,
    /// Which policy holds for whom.
    pub rules: Rules,
    /// Peak hours, and what a freeze does.
    pub hours: Hours,
    /// How to wait for locks.
    pub waiting: Waiting,
    /// What statements go by that are carried out in batches.
    pub bulk: bulk::Settings,
    /// The way to Postgres, and the proxy's own login.
    pub upstream: UpstreamSettings,
    /// TLS towards clients.
    pub client_tls: ClientTlsSettings,
    /// The database in which it is looked at the start for what is unfinished.
    pub look_at: Option<String>,
    /// Whether schema `lockkeeper` is installed at need.
    pub install: Install,
    /// Passwords of roles as which the proxy may log in to run what they have queued.
    pub passwords: Passwords,
    /// Where verifiers come from, when logins cannot pass through.
    pub verifiers: Verifiers,
    /// Those of the console's users.
    pub console_users: Verifiers,
}

/// What all sessions of the process have in common.
#[derive(Debug)]
pub struct Serving {
    /// What runs now.
    pub live: Live,
    /// Room for clients of the console.
    pub(super) consoles: Semaphore,
    /// What the salts of users are made of who do not exist.
    pub(super) console_secret: String,
    ready: ArcSwap<Ready>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The way to Postgres holds the proxy's own password.
        f.debug_struct("Settings")
            .field("limits", &self.limits)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Settings with all that is made of them: certificates read, TLS ready.
pub struct Ready {
    /// The settings.
    pub settings: Settings,
    /// The servers.
    pub upstream: Arc<Upstream>,
    /// TLS towards clients.
    pub client_tls: Arc<ClientTls>,
    /// Where verifiers come from.
    pub verifiers: VerifierSource,
    /// Those of the console's users; there is none without.
    pub console_users: VerifierSource,
}

impl Ready {
    /// What an operator should know about logins under these settings.
    pub fn advice(&self) -> Vec<String> {
        let way = Way { upstream: &self.upstream, verifiers: &self.verifiers };
        let mut advice = self.verifiers.warnings();
        advice.extend(binding_warning(&self.client_tls, way));
        advice
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Serving {
    /// Nobody is served yet.
    pub fn new(ready: Ready) -> Self {
        let live = Live::new();
        live.gate().set(ready.settings.hours.clone());
        Self {
            live,
            consoles: Semaphore::new(CONSOLES_MAX),
            console_secret: scram::nonce().unwrap_or_default(),
            ready: ArcSwap::from_pointee(ready),
        }
    }

    /// What holds now.
    pub fn now(&self) -> Arc<Ready> {
        self.ready.load_full()
    }

    /// What holds from now on.
    pub fn replace(&self, ready: Ready) {
        self.live.gate().set(ready.settings.hours.clone());
        self.ready.store(Arc::new(ready));
    }
}

/// Passwords by database and role, from a place that its owner has put them in for this process.
#[derive(Clone)]
pub struct Passwords(Arc<Find>);

type Find = dyn Fn(&str, &str) -> Option<String> + Send + Sync;

impl Passwords {
    /// Those that `find` finds, by database and role.
    pub fn new(find: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// That of a role in a database, if there is one.
    pub(super) fn of(&self, database: &str, role: &str) -> Option<String> {
        (self.0)(database, role)
    }
}

/// What becomes of statements that are too long to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// They are refused.
    Refuse,
    /// They are sent on unread.
    Pass,
}

/// How to wait for locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// How long each attempt may stand in a queue, rising; the last one is kept.
    pub patience: Vec<Duration>,
    /// The shortest pause between attempts.
    pub backoff_min: Duration,
    /// The longest pause between attempts.
    pub backoff_max: Duration,
    /// Time between two notices of progress.
    pub progress_interval: Duration,
}

impl Waiting {
    /// The ladder under a session's policy.
    pub fn ladder(&self, policy: &Policy) -> LadderSettings {
        LadderSettings {
            rungs: self.patience.clone(),
            max_stall: policy.max_stall,
            backoff_min: self.backoff_min,
            backoff_max: self.backoff_max,
            retry_for: policy.retry_for,
        }
    }
}
