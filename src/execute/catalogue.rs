//! What the client's own connection can tell about its settings and about the relations that a statement names.
//!
//! Asked on the client's connection on purpose: its role, search path, temporary tables and open transaction decide
//! what a name means. Every function and operator is schema-qualified, since that search path is not ours.

use crate::base::relation::quote_literal;
use crate::base::{RelationName, Severity, SqlState};
use crate::effects::Need;
use crate::effects::facts::{Facts, Oid, Texts, answer};
use crate::plan::task::{MEANT, Meaning, Named};
use crate::upstream::call::{Call, Failed, Item, Row};
use crate::upstream::link::Batch;
use crate::upstream::{Link, Lost};
use crate::wire::fields;
use crate::wire::kind::server as kind;
use crate::wire::server::Status;

use super::attempt::{UNDO, restore};
use super::outbox;
use super::question::{AS_BEFORE, Asked, IN_HASTE};

/// The column behind those of `SET lockkeeper.<name>`.
const BEHIND: usize = 3 + crate::judge::setting::NAMES.len();

/// The session's own settings, as the server spells them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionSettings {
    /// `lock_timeout`, to be put back as it was.
    pub lock_timeout: String,
    /// `statement_timeout`, likewise.
    pub statement_timeout: String,
    /// `transaction_timeout`, likewise; there is none up to 16.
    pub transaction_timeout: Option<String>,
    /// Those of them that the session has set for itself; the others follow the configuration.
    pub own: Vec<String>,
    /// `SET lockkeeper.<name>`: those that are set.
    pub directives: Vec<(&'static str, String)>,
}

impl SessionSettings {
    /// Outside a transaction: the statement that gives a setting back, so that it comes from where it came before.
    pub fn back(&self, name: &str, value: &str) -> String {
        if self.own.iter().any(|own| own == name) {
            format!("SET SESSION {name} = {}", quote_literal(value))
        } else {
            format!("RESET {name}")
        }
    }
}

/// What a look at the catalogue brought.
#[expect(clippy::large_enum_variant, reason = "made once for a statement, and taken apart at once")]
#[derive(Debug)]
pub enum Looked {
    /// Everything.
    Known(SessionSettings, Facts),
    /// The client cancelled, or a time-out of its own struck: the server's words are the statement's outcome.
    Stopped(Failed),
}

/// Asks for settings and relations in one round trip; in a transaction block behind a savepoint, so that no error of ours can hurt it.
///
/// Where the names cannot be looked up (a schema without USAGE, say) the settings alone are known.
pub async fn look_up(link: &mut Link, need: &Need) -> Result<Looked, Lost> {
    look(link, need, Asked::Everything).await
}

/// The same for a statement that may write many rows, which is most likely an ordinary one: no more than tells whether it can.
///
/// With what this brings nothing can be judged, and no settings are put back.
pub async fn targets(link: &mut Link, need: &Need) -> Result<Looked, Lost> {
    look(link, need, Asked::Targets).await
}

async fn look(link: &mut Link, need: &Need, asked: Asked) -> Result<Looked, Lost> {
    let nothing = Need::default();
    let (mut wanted, mut once_more) = (need, true);
    loop {
        let failed = match ask(link, wanted, asked).await? {
            Ok((settings, facts)) => return Ok(Looked::Known(settings, facts)),
            Err(failed) => failed,
        };
        let code = fields::sqlstate(&failed.body);
        if wanted.is_empty() || code == SqlState::QUERY_CANCELED || link.tracker.expected.is_skipping() {
            return Ok(Looked::Stopped(failed));
        }
        tracing::debug!(error = fields::message(&failed.body), "relations could not be looked up");
        if link.tracker.status() == Status::Failed {
            restore(link, &UNDO).await?;
        }
        // Where the client has closed what was kept (DEALLOCATE ALL), it is prepared anew.
        if code != SqlState::INVALID_STATEMENT_NAME || !std::mem::take(&mut once_more) {
            wanted = &nothing;
        }
    }
}

/// Asks for the settings of what runs under them as they are.
pub async fn settings(link: &mut Link) -> Result<Looked, Lost> {
    Ok(match ask(link, &Need::default(), Asked::Targets).await? {
        Ok((settings, facts)) => Looked::Known(settings, facts),
        Err(failed) => Looked::Stopped(failed),
    })
}

async fn ask(
    link: &mut Link,
    need: &Need,
    asked: Asked,
) -> Result<Result<(SessionSettings, Facts), Failed>, Lost> {
    let questions = asked.questions(need);
    let in_block = link.tracker.status() == Status::InTransaction;
    let mut items = vec![Item::ours(asked.settings())];
    if !need.is_empty() {
        items.push(Item::ours(IN_HASTE));
        items.extend(questions.iter().map(|question| question.item(in_block && asked == Asked::Everything)));
        items.push(Item::ours(AS_BEFORE));
    }
    if in_block {
        items.insert(0, Item::ours("SAVEPOINT lockkeeper"));
        items.push(Item::ours("RELEASE SAVEPOINT lockkeeper"));
    }
    let first = usize::from(in_block);
    let answer = Call::run(link, &items).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    link.least = match answer.row(first).and_then(|row| text(row, BEHIND + 1)) {
        Some("warning") => Severity::Warning,
        Some("error") => Severity::Error,
        Some(_) | None => Severity::Notice,
    };
    let (settings, mut facts) = session_settings(answer.row(first));
    for (at, question) in questions.iter().enumerate() {
        let objects: Vec<&str> = answer.rows_of(first + 2 + at).filter_map(|row| text(row, 0)).collect();
        if objects.iter().copied().any(is_garbled) {
            facts.texts = Texts::Garbled;
        }
        question.learn(&objects, need, &mut facts);
    }
    Ok(Ok((settings, facts)))
}

/// The names of the prepared statements that the server has now; `None` when it would not say.
pub async fn prepared_statements(link: &mut Link) -> Result<Option<Vec<String>>, Lost> {
    const NAMES: &str = "SELECT name FROM pg_catalog.pg_prepared_statements \
         WHERE name OPERATOR(pg_catalog.!~) '^lockkeeper([.].*)?$'";
    let answer = Call::run(link, &[Item::ours(NAMES)]).await?;
    let names = answer.rows_of(0).filter_map(|row| text(row, 0).map(str::to_owned)).collect();
    Ok(answer.failed.is_none().then_some(names))
}

/// The statements that the client has prepared, by name, with their texts; `None` when the server would not say.
pub async fn prepared_texts(link: &mut Link) -> Result<Option<Vec<(String, String)>>, Lost> {
    const TEXTS: &str = "SELECT name, statement FROM pg_catalog.pg_prepared_statements \
         WHERE NOT from_sql AND name OPERATOR(pg_catalog.!~) '^lockkeeper([.].*)?$'";
    let answer = Call::run(link, &[Item::ours(TEXTS)]).await?;
    let both = |row: &Row| Some((text(row, 0)?.to_owned(), text(row, 1)?.to_owned()));
    Ok(answer.failed.is_none().then(|| answer.rows_of(0).filter_map(both).collect()))
}

/// Brings up to date how the client's texts are to be read, in an open batch: the server tells of a change at its end only.
pub async fn refresh_reading(link: &mut Link) -> Result<(), Lost> {
    if link.tracker.status() == Status::Idle {
        link.batch = Batch::Clients;
    }
    let names = ["client_encoding", "standard_conforming_strings"];
    let items = names.map(|name| Item::ours("SELECT pg_catalog.current_setting($1)").with(vec![name]));
    let answer = Call::run(link, &items).await?;
    for (at, name) in names.into_iter().enumerate() {
        if let Some(value) = answer.row(at).and_then(|row| text(row, 0)) {
            link.tracker.received(kind::PARAMETER_STATUS, format!("{name}\0{value}\0").as_bytes());
        }
    }
    link.batch = Batch::None;
    Ok(())
}

/// Whether a text has lost what it was when it was decoded.
pub fn is_garbled(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

/// A partition that has come while a plan ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// Its name with its schema.
    pub name: RelationName,
    /// Its oid.
    pub oid: Oid,
    /// It has already what it is to get, or something that would be mistaken for that.
    pub ready: bool,
}

/// The partitions that a question of ours brings; an error of the server is given as it came.
pub async fn newcomers(link: &mut Link, question: &str) -> Result<Result<Vec<Newcomer>, Failed>, Lost> {
    let answer = Call::run(link, &[Item::ours(question)]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    let newcomer = |row: &Row| {
        let name = RelationName::qualified(text(row, 1)?, text(row, 2)?);
        Some(Newcomer { name, oid: number(row, 0)?, ready: text(row, 3)? == "t" })
    };
    Ok(Ok(answer.rows_of(0).filter_map(newcomer).collect()))
}

/// Whether an index is there and valid.
pub async fn is_valid(link: &mut Link, index: &RelationName) -> Result<bool, Lost> {
    const VALID: &str = "SELECT 1 FROM pg_catalog.pg_index i \
         WHERE i.indisvalid AND i.indexrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid";
    let name = index.to_string();
    let answer = Call::run(link, &[Item::ours(VALID).with(vec![&name])]).await?;
    Ok(answer.rows_of(0).next().is_some())
}

/// Whether a table has a valid index of that name.
pub async fn has_index(link: &mut Link, table: &RelationName, name: &str) -> Result<bool, Lost> {
    const THERE: &str = "SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
         WHERE i.indrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid \
         AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.name AND i.indisvalid";
    let table = table.to_string();
    let answer = Call::run(link, &[Item::ours(THERE).with(vec![&table, name])]).await?;
    // Where that cannot be asked, the server's word counts.
    Ok(answer.failed.is_some() || answer.rows_of(0).next().is_some())
}

/// The relations that these names mean now; those that mean nothing are left out, an error of the server is given as it came.
pub async fn named(link: &mut Link, names: &[RelationName]) -> Result<Result<Vec<Named>, Failed>, Lost> {
    const NUMBER: &str = "SELECT coalesce(i.indrelid, c.oid) FROM pg_catalog.pg_class c \
         LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid \
         WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid";
    let written: Vec<String> = names.iter().map(ToString::to_string).collect();
    let items: Vec<Item<'_>> = written.iter().map(|name| Item::ours(NUMBER).with(vec![name])).collect();
    if items.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let answer = Call::run(link, &items).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    let named = |(at, name): (usize, &RelationName)| {
        Some(Named { name: name.clone(), oid: answer.row(at).and_then(|row| number(row, 0))? })
    };
    Ok(Ok(names.iter().enumerate().filter_map(named).collect()))
}

/// Whether a queued statement still means what it meant.
pub async fn meaning(link: &mut Link, about: &[Named]) -> Result<Meaning, Lost> {
    if about.is_empty() {
        return Ok(Meaning::Same);
    }
    meaning_of(link, &outbox::about_text(about)).await
}

/// The same for names and oids as a task keeps them.
pub async fn meaning_of(link: &mut Link, about: &str) -> Result<Meaning, Lost> {
    let answer = Call::run(link, &[Item::ours(MEANT).with(vec![about])]).await?;
    let rows = answer.rows_of(0).filter_map(|row| <[_; 4]>::try_from(row.clone()).ok());
    Ok(Meaning::of(&rows.collect::<Vec<_>>()))
}

/// Whether a relation is there.
pub async fn is_there(link: &mut Link, relation: Oid) -> Result<bool, Lost> {
    const THERE: &str =
        "SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid";
    let oid = relation.to_string();
    let answer = Call::run(link, &[Item::ours(THERE).with(vec![&oid])]).await?;
    // Where that cannot be asked, the step itself will tell.
    Ok(answer.failed.is_some() || answer.rows_of(0).next().is_some())
}

fn session_settings(row: Option<&Row>) -> (SessionSettings, Facts) {
    let Some(row) = row else { return Default::default() };
    let directives = crate::judge::setting::NAMES
        .into_iter()
        .zip(3..)
        .filter_map(|(name, at)| {
            text(row, at).filter(|value| !value.is_empty()).map(|value| (name, value.to_owned()))
        })
        .collect();
    let own = |at| text(row, at).unwrap_or("0").to_owned();
    (
        SessionSettings {
            lock_timeout: own(1),
            statement_timeout: own(2),
            transaction_timeout: text(row, BEHIND + 2).map(str::to_owned),
            own: text(row, BEHIND + 4)
                .into_iter()
                .flat_map(|names| names.split(','))
                .map(str::to_owned)
                .collect(),
            directives,
        },
        Facts {
            server_version: number(row, 0).unwrap_or(0),
            utc: text(row, BEHIND).map(answer::is_utc),
            isolation: text(row, BEHIND + 3).filter(|level| *level != "read committed").map(str::to_owned),
            ..Facts::default()
        },
    )
}

fn text(row: &Row, at: usize) -> Option<&str> {
    row.get(at)?.as_deref()
}

fn number(row: &Row, at: usize) -> Option<u32> {
    text(row, at)?.parse().ok()
}
