#![doc = include_str!("create_partition_blocking.md")]

use super::attach_partition_scan::READ_IN_NO_TIME_BYTES;
use super::new_column::joined;
use super::{Finding, HazardSetting, Subject, bounds, outside};
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{Oid, PartitionFacts, Relation, RelationKind, Seen, TableFacts};
use crate::plan::attach::Way;
use crate::plan::by_hand::{alter, spelled};
use crate::plan::{HandStep, Plan, Target};
use crate::sql::form::{CreateTable, Form};
use crate::sql::lex::{Token, TokenKind};

/// The hazard's id.
pub const ID: &str = "create-partition-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Columns have a compression of their own since that version.
const VERSION_COMPRESSION: u32 = 140_000;

/// Finds a new partition that locks its parent.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::CreateTable(table) = &subject.statement.form else { return None };
    let parent = table.partition_of.as_ref().filter(|parent| subject.is_exposed(parent))?;
    let seen = subject.facts.see(&table.name);
    if table.if_not_exists && matches!(seen, Seen::Known(_)) {
        return None;
    }
    let facts = subject.facts.table(parent);
    let read = facts.is_none_or(|facts| takes_time(facts, default(table, facts)));
    let rest =
        if read { ", and a default partition is read for rows that belong to the new one" } else { "" };
    let why = format!("The parent {parent} is locked with an AccessExclusiveLock{rest}.");
    let told = in_steps(subject, table, parent);
    let (steps, plan, form) = told.unwrap_or_else(|| (in_words(table, parent), None, ""));
    Some(
        Finding::warning(
            ID,
            "a partition that is made in one step stops all reads and writes of its parent",
            why,
        )
        .about(parent)
        .by_hand(steps)
        .online(plan, form),
    )
}

/// The default partition beside the new one.
fn default<'a>(table: &CreateTable, parent: &'a TableFacts) -> Option<&'a PartitionFacts> {
    parent.default_partition().filter(|_| !table.default_partition)
}

fn takes_time(parent: &TableFacts, default: Option<&PartitionFacts>) -> bool {
    let long = |it| parent.tree_bytes(it).is_none_or(|bytes| bytes > READ_IN_NO_TIME_BYTES);
    default.is_some_and(long)
}

fn in_words(table: &CreateTable, parent: &RelationName) -> Vec<HandStep> {
    let (own, parent) = (spelled(&table.name), spelled(parent));
    let bound = if table.default_partition { "DEFAULT" } else { "FOR VALUES .." };
    let mut steps = vec![HandStep::anywhere(format!("CREATE TABLE {own} (LIKE {parent} INCLUDING ALL)"))];
    if !table.default_partition {
        steps.push(HandStep::words(
            "if there is a default partition, add a CHECK to it that says the opposite of the new one's bounds, NOT VALID, \
             and VALIDATE it; drop it in the end",
        ));
    }
    steps.push(HandStep::words(&format!(
        "ALTER TABLE {parent} ATTACH PARTITION {own} {bound}, which locks the parent only against other DDL"
    )));
    steps
}

/// The steps where they are known beyond doubt, the plan where it may run, and what that is called.
fn in_steps(
    subject: &Subject<'_>,
    table: &CreateTable,
    parent: &RelationName,
) -> Option<(Vec<HandStep>, Option<Plan>, &'static str)> {
    let relation = subject.facts.relation(parent)?;
    let facts = relation.table.as_deref()?;
    let default = default(table, facts);
    if relation.kind != RelationKind::PartitionedTable || relation.system || table.temporary {
        return None;
    }
    let mut way = Way::default();
    let apart = apart(subject, table, parent, facts);
    if let Some((create, _)) = &apart {
        way.table(&table.name, create.clone());
    }
    let mut provable = true;
    let proved = default.filter(|_| takes_time(facts, default));
    if let Some(default) = proved {
        let key = facts.partition_key.as_ref()?;
        let condition = bounds::condition(key, facts.column(&key.column)?, &table.bound)?;
        way.proof(&outside::proof(facts, default, &condition).named());
        provable = outside::is_provable(facts, default);
    }
    let form = match (&apart, proved) {
        (Some(_), None) => "CREATE TABLE and ATTACH PARTITION",
        (Some(_), Some(_)) => {
            "CREATE TABLE and ATTACH PARTITION, once it is proved that the default partition has no rows for it; until then such \
             rows are refused"
        }
        (None, Some(_)) => {
            "sent, once it is proved that the default partition has no rows for it; until then such rows are refused"
        }
        (None, None) => return None,
    };
    let mut locks = locks(parent, relation);
    locks.extend(default.into_iter().flat_map(|default| outside::locks(facts, default)));
    if let Some((_, attach)) = apart {
        way.last(attach, &locks);
    } else {
        locks.iter_mut().take(1).for_each(|parent| parent.mode = LockMode::AccessExclusive);
        way.last(HandStep::anywhere(subject.text(&subject.statement.span)), &locks);
    }
    let steps = way.by_hand();
    // Where the name means something already, it would mean that in the second step, too.
    let free = matches!(subject.facts.see(&table.name), Seen::Absent) && subject.is_readable_alone();
    Some((steps, (free && provable).then(|| way.plan(ID, "CREATE TABLE")), form))
}

/// What makes a table like its parent, and what attaches it, where that is the same as the statement itself.
fn apart(
    subject: &Subject<'_>,
    table: &CreateTable,
    parent: &RelationName,
    facts: &TableFacts,
) -> Option<(HandStep, HandStep)> {
    if !facts.partitionable || !table.columns.is_empty() || !table.constraints.is_empty() {
        return None;
    }
    let words = words(subject, table)?;
    let compression =
        if subject.facts.may_be_older_than(VERSION_COMPRESSION) { "" } else { " INCLUDING COMPRESSION" };
    let (own, like) = (spelled(&table.name), spelled(parent));
    let create = format!(
        "CREATE {}TABLE {own} (LIKE {like} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING \
         STORAGE{compression}){}",
        words.kind, words.options
    );
    Some((HandStep::anywhere(create), alter(parent, &format!("ATTACH PARTITION {own} {}", words.bound))))
}

/// The parent, and the tables at the other ends of its foreign keys.
fn locks(parent: &RelationName, relation: &Relation) -> Vec<Target> {
    let mut locks = vec![at(parent, Some(relation.oid), LockMode::ShareUpdateExclusive)];
    let Some(facts) = &relation.table else { return locks };
    for key in &facts.constraints {
        let mode = LockMode::ShareRowExclusive;
        locks.extend(key.references.iter().map(|other| at(other, key.references_oid, mode)));
        locks.extend(key.reference_partitions.iter().map(|(name, oid)| at(name, Some(*oid), mode)));
    }
    let others = facts.referenced_by.iter();
    locks.extend(others.map(|key| at(&key.table, Some(key.oid), LockMode::ShareRowExclusive)));
    locks
}

fn at(name: &RelationName, oid: Option<Oid>, mode: LockMode) -> Target {
    Target { name: name.clone(), oid, mode }
}

/// The words of the statement that stay as they are.
struct Words {
    /// `UNLOGGED `, or nothing.
    kind: &'static str,
    /// `FOR VALUES ..`
    bound: String,
    /// `WITH (..)`, `TABLESPACE ..`, with a blank before it; or nothing.
    options: String,
}

fn words(subject: &Subject<'_>, table: &CreateTable) -> Option<Words> {
    let text = subject.text(&subject.statement.span);
    let tokens = subject.tokens(&text);
    let is = |token: &Token, word: &str| token.is_word(&text, word);
    let first = tokens.iter().position(|token| is(token, "table"))?;
    let kind = match tokens.get(..first)? {
        [_] => "",
        [_, unlogged] if is(unlogged, "unlogged") => "UNLOGGED ",
        _ => return None,
    };
    let (start, length) = if table.default_partition {
        (tokens.iter().position(|token| is(token, "default"))?, 1)
    } else {
        values(&text, &tokens)?
    };
    let (bound, rest) = tokens.get(start..)?.split_at_checked(length)?;
    let rest: Vec<Token> = rest.iter().filter(|token| token.text(&text) != ";").copied().collect();
    let known =
        |token: &Token| ["partition", "with", "tablespace", "using"].iter().any(|word| is(token, word));
    if rest.iter().any(|token| is(token, "commit")) || rest.first().is_some_and(|token| !known(token)) {
        return None;
    }
    let options = if rest.is_empty() { String::new() } else { format!(" {}", joined(&text, &rest)) };
    Some(Words { kind, bound: joined(&text, bound), options })
}

/// Where `FOR VALUES ..` begins, and how many words it has.
fn values(text: &str, tokens: &[Token]) -> Option<(usize, usize)> {
    let is = |token: &Token, word: &str| token.is_word(text, word);
    let start =
        tokens.windows(2).position(|pair| matches!(pair, [a, b] if is(a, "for") && is(b, "values")))?;
    // `FROM (..) TO (..)` has two pairs of parentheses, any other one.
    let mut pairs = if is(tokens.get(start + 2)?, "from") { 2_usize } else { 1 };
    let mut depth = 0_usize;
    let last = tokens.get(start..)?.iter().position(|token| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => {
                depth = depth.saturating_sub(1);
                pairs -= usize::from(depth == 0 && pairs > 0);
            }
            _ => {}
        }
        depth == 0 && pairs == 0
    })?;
    Some((start, last + 1))
}
