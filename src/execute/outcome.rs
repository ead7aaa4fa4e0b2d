//! How a statement that was looked after ended.

use crate::base::{Notice, SqlState};
use crate::upstream::call::Failed;
use crate::wire::fields;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::kind::server as kind;
use crate::wire::notice;

/// How a statement ended, as the client is to hear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The body of the `CommandComplete`.
    Complete(Vec<u8>),
    /// A whole `ErrorResponse`.
    Failed(Vec<u8>),
    /// Everything has been passed to the client already, up to and without `ReadyForQuery`.
    Answered,
    /// Nothing was done, since what it must not meet has come.
    Overtaken,
}

impl Outcome {
    /// It is done; without a tag the answer has been passed to the client already.
    pub fn complete(tag: Vec<u8>) -> Self {
        if tag.is_empty() { Self::Answered } else { Self::Complete(tag) }
    }

    /// The server's own error, with a DETAIL and a HINT of ours behind it.
    pub fn server_error(failed: &Failed, detail: Option<&str>, hint: Option<&str>) -> Self {
        let mut out = Vec::new();
        fields::amend(&mut out, kind::ERROR, &failed.body, detail, hint);
        Self::Failed(out)
    }

    /// The same failure with a DETAIL and a HINT of ours behind it.
    #[must_use]
    pub fn amended(self, detail: Option<&str>, hint: Option<&str>) -> Self {
        match self {
            Self::Failed(frame) => {
                let mut out = Vec::new();
                let body = frame.get(HEADER_BYTES..).unwrap_or_default();
                fields::amend(&mut out, kind::ERROR, body, detail, hint);
                Self::Failed(out)
            }
            other => other,
        }
    }

    /// The SQLSTATE of a failure.
    pub fn sqlstate(&self) -> Option<SqlState> {
        match self {
            Self::Failed(frame) => Some(fields::sqlstate(frame.get(HEADER_BYTES..)?)),
            Self::Complete(_) | Self::Answered | Self::Overtaken => None,
        }
    }

    /// The primary message of a failure.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Failed(frame) => Some(fields::message(frame.get(HEADER_BYTES..)?)),
            Self::Complete(_) | Self::Answered | Self::Overtaken => None,
        }
    }

    /// Whether a failure says what to do.
    pub fn has_hint(&self) -> bool {
        match self {
            Self::Failed(frame) => {
                fields::field(frame.get(HEADER_BYTES..).unwrap_or_default(), b'H').is_some()
            }
            Self::Complete(_) | Self::Answered | Self::Overtaken => false,
        }
    }

    /// An error of ours.
    pub fn own_error(error: &Notice) -> Self {
        let mut out = Vec::new();
        notice::encode(error, &mut out);
        Self::Failed(out)
    }
}
