//! Which statements of a message may write many rows, so that the planner is asked.

use std::ops::Range;

use super::policy::Policy;
use crate::effects::Need;
use crate::effects::facts::{Facts, RelationKind, Seen};
use crate::plan::task::GO_ON;
use crate::sql::bookkeeping;
use crate::sql::form::{Write, WriteVerb};
use crate::sql::parse::pieces;
use crate::sql::statement::{Script, Statement};

/// Whether a message is one that goes on with a statement in batches.
pub fn goes_on(script: &Script) -> bool {
    script.text.as_bytes().starts_with(GO_ON.as_bytes())
}

/// Whether any statement of a message writes rows of which its text does not tell how many.
pub fn may_write_many(script: &Script) -> bool {
    script
        .statements
        .iter()
        .any(|it| runs(it) && (it.writes.iter().any(is_unbounded) || it.makes_filled_table()))
}

/// Whether a message prepares in SQL what may write many rows when it is executed.
pub fn prepares_many(script: &Script) -> bool {
    let prepares = |statement: &&Statement| statement.tag == "PREPARE";
    script.statements.iter().filter(prepares).any(|it| it.writes.iter().any(is_unbounded))
}

/// Whether a message executes what was prepared in SQL.
pub fn executes(script: &Script) -> bool {
    script.statements.iter().any(|statement| statement.tag == "EXECUTE")
}

/// Whether it writes its rows now, and the planner can be asked about it.
fn runs(statement: &Statement) -> bool {
    !matches!(statement.tag, "PREPARE" | "COPY")
}

/// Where the statements stand whose rows are to be estimated, given what is known of their tables.
pub fn suspects(script: &Script, facts: &Facts, policy: &Policy) -> Vec<Range<usize>> {
    let goes_on = goes_on(script);
    let many = |statement: &&Statement| {
        let unbounded = statement.writes.iter().filter(|write| is_unbounded(write));
        let filled = statement.makes_filled_table();
        filled || unbounded.into_iter().any(|write| goes_on || may_be_many(write, facts, policy))
    };
    script
        .statements
        .iter()
        .filter(|statement| runs(statement))
        .filter(many)
        .map(|statement| statement.span.clone())
        .collect()
}

/// Whether a message writes no more than a row with each of its statements, whatever the values and however big the tables are.
pub fn pins_keys(script: &Script, facts: &Facts) -> bool {
    let pinned = |write: &Write| {
        let table = facts.relation(&write.table).and_then(|relation| relation.table.as_deref());
        table.is_some_and(|table| table.is_pinned(&write.pinned))
    };
    let runs = || script.statements.iter().filter(|statement| runs(statement));
    let writes = runs().flat_map(|it| &it.writes).filter(|write| is_unbounded(write));
    !runs().any(Statement::makes_filled_table) && writes.into_iter().all(pinned)
}

/// Whether a message writes tables that only its session sees, or sees yet: what is found out of it is nothing for others.
pub fn is_own(script: &Script, facts: &Facts) -> bool {
    let own =
        |write: &Write| facts.relation(&write.table).is_some_and(|it| it.temporary || it.new_in_transaction);
    script.statements.iter().flat_map(|statement| &statement.writes).any(own)
}

/// What has to be known of a statement to cut it.
pub fn need(script: &Script) -> Need {
    let mut need = crate::effects::need(script);
    let Some(pieces) = pieces(script) else { return need };
    for read in pieces.reads {
        if !need.relations.contains(&read) {
            need.relations.push(read);
        }
    }
    need.functions.extend(pieces.functions);
    need
}

fn is_unbounded(write: &Write) -> bool {
    match write.verb {
        // The books of a tool are never held, nor asked about.
        _ if bookkeeping::is_book(&write.table) => false,
        WriteVerb::Insert | WriteVerb::Copy => false,
        WriteVerb::InsertSelect | WriteVerb::Update | WriteVerb::Delete | WriteVerb::Merge => true,
    }
}

/// Whether the table is big, seen by others, and no key is pinned.
fn may_be_many(write: &Write, facts: &Facts, policy: &Policy) -> bool {
    let Seen::Known(relation) = facts.see(&write.table) else { return false };
    if relation.temporary || relation.new_in_transaction || relation.system {
        return false;
    }
    // What is put into a table says nothing of its size.
    let copies = write.verb == WriteVerb::InsertSelect;
    let has_rows = matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
    if !copies && has_rows && policy.is_small(&write.table, relation.bytes_of_all()) {
        return false;
    }
    copies || relation.table.as_deref().is_none_or(|table| !table.is_pinned(&write.pinned))
}
