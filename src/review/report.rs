//! What a review found, as data.

use std::ops::Range;

use super::estimate::Estimate;
use super::lint;
use super::place::Place;
use crate::base::{LockMode, RelationName};
use crate::hazard::HazardSetting;

/// The review of several files.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was known.
    pub basis: Basis,
    /// In the order in which they were named.
    pub files: Vec<FileReport>,
}

/// What the review rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// `server_version_num`
    pub server_version: u32,
    /// A server was asked for sizes and definitions.
    pub live: bool,
}

/// The review of one file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// As it was named; `-` for standard input.
    pub name: String,
    /// What was found, in the order of the text.
    pub findings: Vec<Found>,
    /// The statements that lock something.
    pub statements: Vec<Told>,
    /// How many statements there are.
    pub count: usize,
}

/// One finding.
#[expect(clippy::struct_excessive_bools, reason = "independent of each other, as a report has them")]
#[derive(Debug, Clone)]
pub struct Found {
    /// The hazard's id, or that of a flaw of the file.
    pub id: &'static str,
    /// How grave it is.
    pub level: HazardSetting,
    /// Whether it makes the review fail.
    pub denied: bool,
    /// Why it is let pass, in the user's words.
    pub allowed: Option<String>,
    /// The words that it is about.
    pub at: At,
    /// What is found: lower case, no full stop.
    pub what: String,
    /// Why it hurts: sentences.
    pub why: String,
    /// What the statement locks.
    pub locks: Vec<LockTold>,
    /// So many more locks of a long statement are not repeated here.
    pub locks_left_out: usize,
    /// It locks relations strongly that only a server can name.
    pub locks_beyond: bool,
    /// What it does meanwhile.
    pub work: Vec<Estimate>,
    /// Whether the statement stands in a transaction.
    pub in_transaction: bool,
    /// What lockkeeper runs instead; `None` where it runs the statement as sent or refuses it.
    pub online: Option<Vec<StepTold>>,
    /// What a person can do instead.
    pub by_hand: Vec<StepTold>,
}

impl Found {
    /// Whether people are told without asking for more.
    pub fn is_shown(&self) -> bool {
        self.allowed.is_none() && (self.level >= HazardSetting::Warn || self.denied)
    }
}

/// A place in a file, with the lines around it.
#[derive(Debug, Clone)]
pub struct At {
    /// The first character.
    pub start: Place,
    /// Behind the last one.
    pub end: Place,
    /// The whole lines.
    pub lines: String,
    /// The place in `lines`, in bytes.
    pub span: Range<usize>,
    /// The lines are too long: only what is near the place is in `lines`.
    pub cut: bool,
}

/// A statement and its locks.
#[derive(Debug, Clone)]
pub struct Told {
    /// The command, `ALTER TABLE`.
    pub tag: &'static str,
    /// Its first word.
    pub start: Place,
    /// Each relation once.
    pub locks: Vec<LockTold>,
    /// What it does meanwhile.
    pub work: Vec<Estimate>,
}

/// A lock on a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockTold {
    /// The relation.
    pub relation: RelationName,
    /// The strongest mode.
    pub mode: LockMode,
}

impl LockTold {
    /// Who waits while it is held.
    pub const fn blocks(&self) -> &'static str {
        blocks(self.mode)
    }
}

/// Who waits while a lock is held.
pub const fn blocks(mode: LockMode) -> &'static str {
    if mode.conflicts_with(LockMode::AccessShare) {
        "reads and writes wait"
    } else if mode.conflicts_with(LockMode::RowExclusive) {
        "writes wait, reads go on"
    } else if mode.conflicts_with(LockMode::ShareUpdateExclusive) {
        "reads and writes go on, other DDL and VACUUM wait"
    } else {
        "reads and writes go on, only DDL waits"
    }
}

/// One step of a plan or of the way by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTold {
    /// A statement; words where it begins with `--`.
    pub sql: String,
    /// It must run outside a transaction block.
    pub outside: bool,
    /// What it locks.
    pub locks: Vec<LockTold>,
}

impl StepTold {
    /// Whether it is words rather than a statement.
    pub fn is_words(&self) -> bool {
        self.sql.starts_with("--")
    }

    /// The strongest lock.
    pub fn lock(&self) -> Option<&LockTold> {
        self.locks.iter().max_by_key(|lock| lock.mode)
    }
}

impl Report {
    /// Every finding with its file.
    pub fn findings(&self) -> impl Iterator<Item = (&FileReport, &Found)> {
        self.files.iter().flat_map(|file| file.findings.iter().map(move |found| (file, found)))
    }

    /// Those that people are told without asking for more.
    pub fn shown(&self) -> impl Iterator<Item = (&FileReport, &Found)> {
        self.findings().filter(|(_, found)| found.is_shown())
    }

    /// Whether something was found that must not be.
    pub fn is_denied(&self) -> bool {
        self.findings().any(|(_, found)| found.denied)
    }

    /// Whether a statement could not be read, and nobody has allowed that.
    pub fn is_unread(&self) -> bool {
        self.findings().any(|(_, found)| found.id == lint::UNREADABLE.id && found.allowed.is_none())
    }
}
