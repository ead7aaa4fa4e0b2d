//! Questions of ours that the server keeps while a transaction of the client's is open: planning one takes far longer than running it,
//! and meanwhile others may wait for the transaction's locks.
//!
//! Invariant: the server is told to forget them when the session first rests outside a transaction.
//! Invariant: in a transaction they are asked behind a savepoint, so that it does no harm where the client has closed them (`DEALLOCATE
//! ALL`).

use crate::wire::client;

use super::call::until_ready;
use super::link::{Batch, Link, Lost};

/// What a question is about that the server is to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// `lockkeeper.relations`
    Relations,
    /// `lockkeeper.types`
    Types,
    /// `lockkeeper.functions`
    Functions,
    /// `lockkeeper.names`
    Names,
}

impl Topic {
    const ALL: [Self; 4] = [Self::Relations, Self::Types, Self::Functions, Self::Names];

    /// The name of its prepared statement.
    pub(super) const fn statement(self) -> &'static [u8] {
        match self {
            Self::Relations => b"lockkeeper.relations",
            Self::Types => b"lockkeeper.types",
            Self::Functions => b"lockkeeper.functions",
            Self::Names => b"lockkeeper.names",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What the server keeps for a session: small, since every idle session has room for it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Kept {
    /// What may be there, a bit each.
    maybe: u8,
    /// What is there.
    there: u8,
}

impl Kept {
    /// Whether it is there.
    pub const fn has(self, topic: Topic) -> bool {
        self.there & topic.bit() > 0
    }

    /// It is there from now on.
    pub(super) const fn put(&mut self, topic: Topic) {
        self.there |= topic.bit();
        self.maybe |= topic.bit();
    }

    /// Something has failed that was sent when there was what there was `before`: with it may have failed what was to be kept, or it
    /// has failed since the client has closed what was (`is_gone`).
    pub(super) const fn doubt(&mut self, before: Self, is_gone: bool) {
        self.there = if is_gone { 0 } else { before.there };
    }

    /// Whether nothing is there.
    pub const fn is_empty(self) -> bool {
        self.there == 0
    }
}

impl Link {
    /// Whether questions are kept for nothing any more.
    #[inline]
    pub fn keeps_in_vain(&self) -> bool {
        self.kept.maybe > 0 && self.tracker.is_at_rest()
    }

    /// Has the server forget what it keeps. The session must be at rest.
    pub async fn forget_kept(&mut self) -> Result<(), Lost> {
        self.kept = Kept::default();
        self.batch = Batch::None;
        let mut out = Vec::new();
        for topic in Topic::ALL {
            client::close(&mut out, b'S', topic.statement());
        }
        client::sync(&mut out);
        self.send(&out).await;
        until_ready(self).await
    }
}
