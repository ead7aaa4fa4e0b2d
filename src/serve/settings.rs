//! What sessions go by, replaced as a whole at a reload, and what they have in common.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::SecretString;

use crate::live::{Limits, Live, Rules};

/// What sessions go by. A session takes it anew for each statement that it judges, so that a reload is felt at once.
#[derive(Debug, Clone)]
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
    /// How to wait for locks.
    pub waiting: Waiting,
    /// The proxy's own connection.
    pub control: ControlAccess,
    /// Where verifiers come from, when logins cannot pass through.
    pub verifiers: Verifiers,
}

/// What all sessions of the process have in common.
#[derive(Debug)]
pub struct Serving {
    /// What runs now.
    pub live: Live,
    settings: ArcSwap<Settings>,
}

impl Serving {
    /// Nothing runs yet.
    pub fn new(settings: Settings) -> Self {
        Self { live: Live::new(), settings: ArcSwap::from_pointee(settings) }
    }

    /// The settings that hold now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Puts others in their place.
    pub fn replace_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
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

/// Whether and how the proxy connects for itself.
#[derive(Debug, Clone)]
pub enum ControlAccess {
    /// It does not.
    Off,
    /// As libpq's variables say.
    Environment,
    /// By this URL.
    Url(SecretString),
}

/// Where verifiers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifiers {
    /// Nowhere: logins pass through or fail.
    None,
    /// A file.
    File(PathBuf),
    /// A query under the proxy's own role; the user is `$1`.
    Query(String),
}
