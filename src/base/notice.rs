//! What is told to a client beside the server's own words: notices and errors of ours.

use super::SqlState;

/// How grave a message is, as the `S` and `V` fields write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something was done differently, or is under way.
    Notice,
    /// Something that will hurt.
    Warning,
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    /// The word on the wire; never translated, as the `V` field demands.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// One message of ours in Postgres' style: what happened, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How grave it is.
    pub severity: Severity,
    /// The SQLSTATE.
    pub code: SqlState,
    /// Primary message: lower case, no full stop.
    pub message: String,
    /// DETAIL: sentences.
    pub detail: Option<String>,
    /// HINT: sentences that say what to do next.
    pub hint: Option<String>,
}

impl Notice {
    /// A message without DETAIL and HINT.
    pub fn new(severity: Severity, code: SqlState, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), detail: None, hint: None }
    }

    /// An informational notice.
    pub fn info(message: impl Into<String>) -> Self {
        Self::new(Severity::Notice, SqlState::SUCCESS, message)
    }

    /// An error that ends the statement.
    pub fn error(code: SqlState, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// An error that ends the session.
    pub fn fatal(code: SqlState, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, code, message)
    }

    /// Adds the DETAIL.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        self.detail = Some(text.into());
        self
    }

    /// Adds the HINT.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}
