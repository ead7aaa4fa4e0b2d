//! What the tree of one statement amounts to, put together piece by piece.

use std::ops::Range;

use crate::sql::form::Form;
use crate::sql::statement::{Kind, Lock, Place, Reach, Statement};

/// A statement without its place in the text.
pub(super) struct Found {
    tag: &'static str,
    kind: Kind,
    locks: Vec<Lock>,
    reach: Reach,
    place: Place,
}

impl Found {
    /// A statement of this kind that locks nothing yet.
    pub(super) fn new(tag: &'static str, kind: Kind) -> Self {
        Self { tag, kind, locks: Vec::new(), reach: Reach::Named, place: Place::Anywhere }
    }

    /// A statement that takes no lock that matters.
    pub(super) fn ordinary(tag: &'static str) -> Self {
        Self::new(tag, Kind::Ordinary)
    }

    /// A statement that locks what is added.
    pub(super) fn locking(tag: &'static str) -> Self {
        Self::new(tag, Kind::Locking)
    }

    /// Adds locks, keeping the strongest of each name.
    pub(super) fn locks(mut self, locks: impl IntoIterator<Item = Lock>) -> Self {
        for lock in locks {
            match self.locks.iter_mut().find(|known| known.name == lock.name) {
                Some(known) => known.mode = known.mode.max(lock.mode),
                None => self.locks.push(lock),
            }
        }
        self
    }

    /// Says that relations beyond those named are locked strongly.
    pub(super) fn beyond(mut self, beyond: bool) -> Self {
        if beyond {
            self.reach = Reach::Beyond;
        }
        self
    }

    /// Says that it may not run in a transaction block.
    pub(super) fn outside_only(mut self, outside_only: bool) -> Self {
        if outside_only {
            self.place = Place::OutsideOnly;
        }
        self
    }

    /// The statement at its place.
    pub(super) fn at(self, span: Range<usize>) -> Statement {
        let Self { tag, kind, locks, reach, place } = self;
        let (form, writes, reads) = (Form::Plain, Vec::new(), Vec::new());
        Statement { span, tag, kind, locks, reach, place, form, writes, reads }
    }

    /// The locks alone, for a statement that contains others.
    pub(super) fn into_locks(self) -> Vec<Lock> {
        self.locks
    }
}
