//! What the configuration, the session and the statement's own directives ask for.

use std::time::Duration;

/// How much the proxy may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Change what is unsafe.
    #[default]
    Enforce,
    /// Change nothing; say what would have been done.
    Observe,
    /// Be a wire.
    Off,
}

/// The policy for one statement, all sources merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// enforce, observe or off.
    pub mode: Mode,
    /// The longest that an application session may wait behind one of ours.
    pub max_stall: Duration,
    /// How long a step is retried before the client gets the error.
    pub retry_for: Duration,
    /// Hazards that this session or statement allows, with the reason given.
    pub allow: Vec<Allowance>,
}

impl Policy {
    /// Why a hazard is let pass, if it is.
    pub fn allowance(&self, hazard: &str) -> Option<&Allowance> {
        self.allow.iter().find(|allowance| allowance.hazard == hazard)
    }
}

/// One hazard that is let pass, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The hazard's id.
    pub hazard: String,
    /// The reason, in the user's words.
    pub reason: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            max_stall: Duration::from_millis(100),
            retry_for: Duration::from_mins(10),
            allow: Vec::new(),
        }
    }
}
