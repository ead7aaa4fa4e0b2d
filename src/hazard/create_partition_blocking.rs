#![doc = include_str!("create_partition_blocking.md")]

use super::new_column::joined;
use super::{Finding, HazardSetting, Subject};
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{Relation, RelationKind, Seen};
use crate::plan::by_hand::{alter, spelled};
use crate::plan::{HandStep, Plan, Target, attach};
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
    let rest = match subject.facts.table(parent) {
        Some(facts) if facts.default_partition().is_none() => "",
        _ => ", and a default partition is read for rows that belong to the new one",
    };
    let why = format!("The parent {parent} is locked with an AccessExclusiveLock{rest}.");
    let told = in_steps(subject, table, parent);
    let (steps, plan) = told.unwrap_or_else(|| (in_words(table, parent), None));
    Some(
        Finding::warning(
            ID,
            "a partition that is made in one step stops all reads and writes of its parent",
            why,
        )
        .about(parent)
        .by_hand(steps)
        .online(plan, "CREATE TABLE and ATTACH PARTITION"),
    )
}

fn in_words(table: &CreateTable, parent: &RelationName) -> Vec<HandStep> {
    let (own, parent) = (spelled(&table.name), spelled(parent));
    let bound = if table.default_partition { "DEFAULT" } else { "FOR VALUES .." };
    vec![
        HandStep::anywhere(format!("CREATE TABLE {own} (LIKE {parent} INCLUDING ALL)")),
        HandStep::words(&format!(
            "ALTER TABLE {parent} ATTACH PARTITION {own} {bound}, which locks the parent only against other DDL"
        )),
    ]
}

/// The steps where they are known beyond doubt, and the plan where it may run.
fn in_steps(
    subject: &Subject<'_>,
    table: &CreateTable,
    parent: &RelationName,
) -> Option<(Vec<HandStep>, Option<Plan>)> {
    let relation = subject.facts.relation(parent)?;
    let facts = relation.table.as_deref()?;
    let same = facts.partitionable
        && relation.kind == RelationKind::PartitionedTable
        && !relation.system
        && facts.default_partition().is_none();
    let bare = table.columns.is_empty() && table.constraints.is_empty() && !table.partitioned;
    if !same || !bare || table.temporary || table.default_partition {
        return None;
    }
    let words = words(subject)?;
    let compression =
        if subject.facts.may_be_older_than(VERSION_COMPRESSION) { "" } else { " INCLUDING COMPRESSION" };
    let (own, like) = (spelled(&table.name), spelled(parent));
    let create = format!(
        "CREATE {}TABLE {own} (LIKE {like} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING \
         STORAGE{compression}){}",
        words.kind, words.options
    );
    let attach = alter(parent, &format!("ATTACH PARTITION {own} {}", words.bound));
    let steps = vec![HandStep::anywhere(create), attach];
    // Where the name means something already, it would mean that in the second step, too.
    let free = matches!(subject.facts.see(&table.name), Seen::Absent) && subject.is_readable_alone();
    let plan = free.then(|| attach::made(ID, &table.name, &locks(parent, relation), &steps)).flatten();
    Some((steps, plan))
}

/// The parent, and the tables at the other ends of its foreign keys.
fn locks(parent: &RelationName, relation: &Relation) -> Vec<Target> {
    let at = |name: &RelationName, oid, mode| Target { name: name.clone(), oid, mode };
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

/// The words of the statement that stay as they are.
struct Words {
    /// `UNLOGGED `, or nothing.
    kind: &'static str,
    /// `FOR VALUES ..`
    bound: String,
    /// `WITH (..)`, `TABLESPACE ..`, with a blank before it; or nothing.
    options: String,
}

fn words(subject: &Subject<'_>) -> Option<Words> {
    let text = subject.text(&subject.statement.span);
    let tokens = subject.tokens(&text);
    let is = |token: &Token, word: &str| token.is_word(&text, word);
    let first = tokens.iter().position(|token| is(token, "table"))?;
    let kind = match tokens.get(..first)? {
        [_] => "",
        [_, unlogged] if is(unlogged, "unlogged") => "UNLOGGED ",
        _ => return None,
    };
    let start =
        tokens.windows(2).position(|pair| matches!(pair, [a, b] if is(a, "for") && is(b, "values")))?;
    // `FROM (..) TO (..)` has two pairs of parentheses, any other one.
    let mut pairs = if is(tokens.get(start + 2)?, "from") { 2_usize } else { 1 };
    let mut depth = 0_usize;
    let length = tokens.get(start..)?.iter().position(|token| {
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
    let (bound, rest) = tokens.get(start..)?.split_at_checked(length + 1)?;
    let rest: Vec<Token> = rest.iter().filter(|token| token.text(&text) != ";").copied().collect();
    let known = |token: &Token| ["with", "tablespace", "using"].iter().any(|word| is(token, word));
    if rest.iter().any(|token| is(token, "commit")) || rest.first().is_some_and(|token| !known(token)) {
        return None;
    }
    let options = if rest.is_empty() { String::new() } else { format!(" {}", joined(&text, &rest)) };
    Some(Words { kind, bound: joined(&text, bound), options })
}
