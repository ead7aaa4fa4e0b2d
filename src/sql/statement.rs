//! Statements as the rest of the core sees them: kinds, names and locks, no tree.

use std::fmt;
use std::ops::Range;

use super::directive::Directive;
use super::encoding::Dialect;
use super::form::{Form, Read, Write};
use crate::base::{LockMode, RelationName};

/// Everything that one `Query` or `Parse` message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The message's text, in the client's encoding.
    pub text: Text,
    /// How the text is to be read.
    pub dialect: Dialect,
    /// In the order of the text; empty statements left out.
    pub statements: Vec<Statement>,
    /// How much of it could be read.
    pub readable: Readable,
    /// What comments ask of lockkeeper; they hold for the whole message.
    pub directives: Vec<Directive>,
}

impl Script {
    /// Whether the message may be forwarded without asking anybody.
    pub fn is_ordinary(&self) -> bool {
        self.statements.iter().all(Statement::is_ordinary)
    }
}

/// A statement's text, kept out of logs: it may hold passwords and personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// Keeps a copy.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The text itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// How much of a text could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// All of it, by the server's own grammar.
    Whole,
    /// The grammar refuses it; the server has the last word.
    Rejected,
    /// Some of it is too deep, too long or too strange to be read: those statements are told by their first words.
    TooDeep,
}

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its place in the text, first word to last, without the semicolon.
    pub span: Range<usize>,
    /// The command as messages name it, `ALTER TABLE`.
    pub tag: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The locks on relations that it names, strongest kept per name.
    pub locks: Vec<Lock>,
    /// Whether relations that it does not name are locked too.
    pub reach: Reach,
    /// Whether it may run in a transaction block.
    pub place: Place,
    /// What it says in detail.
    pub form: Form,
    /// The rows that it writes, its own first, then those in its `WITH`.
    pub writes: Vec<Write>,
    /// The tables that it only looks at.
    pub reads: Vec<Read>,
}

impl Statement {
    /// `CREATE TABLE AS`, of a table that others see: nobody can tell from its text with how many rows.
    pub fn makes_filled_table(&self) -> bool {
        self.tag == "CREATE TABLE AS"
            && matches!(self.form, Form::CreateTableAs { temporary: false, empty: false, .. })
    }

    /// Whether running it as it is can hurt nobody, as far as its text tells.
    pub fn is_ordinary(&self) -> bool {
        if self.form.breaks_names() || self.form.validates() {
            return false;
        }
        match &self.kind {
            Kind::Ordinary
            | Kind::Transaction(_)
            | Kind::CopyIn
            | Kind::Setting(Setting::Timeout | Setting::ReadOnly) => true,
            Kind::Setting(Setting::Ours(_) | Setting::All)
            | Kind::Opaque(_)
            | Kind::CreateIndex(_)
            | Kind::DropIndex(_)
            | Kind::Reindex(_) => false,
            Kind::Lock { .. } | Kind::Locking => !self.is_strong() && !self.stands_apart(),
        }
    }

    /// Whether it may not run beside a concurrent build; VACUUM waits for one without a snapshot, so that the two do not meet.
    fn stands_apart(&self) -> bool {
        self.tag != "VACUUM" && self.locks.iter().any(|lock| lock.mode >= LockMode::ShareUpdateExclusive)
    }

    /// Whether it takes a lock that stops readers or writers, if what it names exists.
    pub fn is_strong(&self) -> bool {
        self.reach == Reach::Beyond || self.locks.iter().any(|lock| lock.mode.is_strong())
    }
}

/// A lock that a statement takes on a relation that it names.
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The relation, folded and unquoted.
    pub name: RelationName,
    /// False when the name holds characters that could not be read, so that nobody can look it up.
    pub resolvable: bool,
    /// The mode asked for.
    pub mode: LockMode,
    /// `ONLY`: its partitions and heirs are left alone.
    pub only: bool,
}

/// Whether a statement's strong locks end with the relations that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They do.
    Named,
    /// It locks relations strongly that only the catalogue can tell (`DROP SCHEMA .. CASCADE`).
    Beyond,
}

/// Whether a statement may run in a transaction block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Anywhere,
    /// Postgres answers 25001 in a block.
    OutsideOnly,
}

/// What a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Takes no lock that matters.
    Ordinary,
    /// Begins, ends or marks a transaction.
    Transaction(Transaction),
    /// Changes a setting that lockkeeper must know of.
    Setting(Setting),
    /// `COPY .. FROM STDIN`: the client's data follow.
    CopyIn,
    /// `CREATE INDEX`; its one lock is on the table.
    CreateIndex(CreateIndex),
    /// `DROP INDEX`; its locks are on the indexes, and the tables' follow from facts.
    DropIndex(DropIndex),
    /// `REINDEX`; its one lock, if any, is on the table or index.
    Reindex(Reindex),
    /// `LOCK TABLE`
    Lock {
        /// It never queues.
        nowait: bool,
    },
    /// Any other statement that locks relations.
    Locking,
    /// A statement that may do anything.
    Opaque(Opaque),
}

/// Transaction control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// `BEGIN`, `START TRANSACTION`
    Begin {
        /// With `READ ONLY`: inside a block, too, nothing may be written from here on (`utility.c`).
        read_only: bool,
    },
    /// `COMMIT`, `END`
    Commit,
    /// `COMMIT AND CHAIN`: the next transaction begins at once.
    CommitAndChain,
    /// `ROLLBACK`, `ABORT`
    Rollback,
    /// `ROLLBACK AND CHAIN`
    RollbackAndChain,
    /// `SAVEPOINT`
    Savepoint,
    /// `RELEASE`
    Release,
    /// `ROLLBACK TO`
    RollbackTo,
    /// `PREPARE TRANSACTION`
    Prepare,
    /// `COMMIT PREPARED`, `ROLLBACK PREPARED`
    FinishPrepared,
}

/// A change of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `SET lockkeeper.<name>`
    Ours(OurSetting),
    /// `lock_timeout`, `statement_timeout`
    Timeout,
    /// `SET TRANSACTION READ ONLY`, however it is written: the open transaction writes nothing from here on.
    ReadOnly,
    /// `RESET ALL`, `DISCARD ALL`
    All,
}

/// `SET lockkeeper.<name>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurSetting {
    /// The name after `lockkeeper.`
    pub name: String,
    /// `None` for RESET and DEFAULT.
    pub value: Option<String>,
    /// `SET LOCAL`: until the transaction ends.
    pub local: bool,
}

/// `CREATE INDEX`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIndex {
    /// As sent.
    pub concurrently: bool,
    /// With `IF NOT EXISTS`: the index's name, in the schema that the statement names, where it can be looked up.
    pub unless_exists: Option<RelationName>,
}

/// `DROP INDEX`
#[expect(clippy::struct_excessive_bools, reason = "two words of the statement, independent of each other")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropIndex {
    /// As sent.
    pub concurrently: bool,
    /// With `CASCADE`.
    pub cascade: bool,
}

/// `REINDEX`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reindex {
    /// What is rebuilt.
    pub object: ReindexObject,
    /// What was said about it: `None` is nothing, `Some(false)` is `(CONCURRENTLY false)`.
    pub concurrently: Option<bool>,
}

/// What `REINDEX` rebuilds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReindexObject {
    /// One index.
    Index,
    /// A table's indexes.
    Table,
    /// Those of a schema, named here.
    Schema(String),
    /// Those of the database.
    Database,
    /// Those of the system catalogues.
    System,
}

/// Why a statement cannot be seen through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opaque {
    /// A `DO` block that may hold DDL.
    Block {
        /// It does not end transactions itself, so that it can be tried again.
        repeatable: bool,
    },
    /// `CALL`: a procedure may hold anything.
    Call,
    /// An extension's script.
    Extension,
    /// What could not be read and does not begin with an ordinary word.
    Unread,
}
