//! What is asked of the catalogue for a statement: of the session's settings, and of the things that it names.

use std::sync::LazyLock;

use crate::effects::Need;
use crate::effects::facts::{Facts, answer};
use crate::upstream::call::Item;
use crate::upstream::kept::{Kept, Topic};

/// Settings of the session that bear on how its statements are treated; the last column is what only those need that change one.
static SETTINGS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{DIRECTIVES}, \
         (SELECT pg_catalog.string_agg(s.name, ',') FROM pg_catalog.pg_settings s \
            WHERE s.source OPERATOR(pg_catalog.=) 'session' AND s.name OPERATOR(pg_catalog.~) '_timeout$')"
    )
});

/// The same for what runs under the client's own settings.
const DIRECTIVES: &str = "SELECT pg_catalog.current_setting('server_version_num'), \
     pg_catalog.current_setting('lock_timeout'), pg_catalog.current_setting('statement_timeout'), \
     pg_catalog.current_setting('lockkeeper.mode', true), pg_catalog.current_setting('lockkeeper.max_stall', true), \
     pg_catalog.current_setting('lockkeeper.retry_for', true), pg_catalog.current_setting('lockkeeper.allow', true), \
     pg_catalog.current_setting('lockkeeper.override', true), \
     pg_catalog.current_setting('lockkeeper.in_transaction', true), \
     pg_catalog.current_setting('lockkeeper.deferred', true), \
     pg_catalog.current_setting('lockkeeper.bulk_rows', true), \
     pg_catalog.current_setting('lockkeeper.rows_per_second', true), \
     pg_catalog.current_setting('TimeZone'), pg_catalog.current_setting('client_min_messages'), \
     pg_catalog.current_setting('transaction_timeout', true), \
     CASE WHEN pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'read committed' \
        THEN pg_catalog.current_setting('default_transaction_isolation') \
        ELSE pg_catalog.current_setting('transaction_isolation') END";

/// Before questions that are long and have few answers: compiled (`jit`), they would take seconds, and those that are kept need no plan
/// for each of their values (`plan_cache_mode`). In the transaction only, whose end takes it back.
pub(super) const IN_HASTE: &str = "SELECT pg_catalog.set_config('lockkeeper.own_jit', pg_catalog.current_setting('jit'), true), \
     pg_catalog.set_config('jit', 'off', true), \
     pg_catalog.set_config('lockkeeper.own_plans', pg_catalog.current_setting('plan_cache_mode'), true), \
     pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true)";

/// Behind them, for what comes later in the transaction.
pub(super) const AS_BEFORE: &str = "SELECT pg_catalog.set_config('jit', pg_catalog.current_setting('lockkeeper.own_jit'), true), \
     pg_catalog.set_config('plan_cache_mode', pg_catalog.current_setting('lockkeeper.own_plans'), true)";

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// All that is needed to judge any statement.
    Everything,
    /// What tells whether a write can be a big one.
    Targets,
}

impl Asked {
    /// The question about the session's settings.
    pub(super) fn settings(self) -> &'static str {
        match self {
            Self::Everything => &SETTINGS,
            Self::Targets => DIRECTIVES,
        }
    }

    fn relations(self) -> &'static str {
        match self {
            Self::Everything => &answer::RELATIONS,
            Self::Targets => &answer::TARGETS,
        }
    }

    /// The questions that the server keeps, with nothing to ask.
    pub(super) fn kept(kept: Kept) -> Vec<Question> {
        let ask = |topic, text, values: usize| {
            kept.has(topic).then(|| Question { topic, text, values: vec!["{}".to_owned(); values] })
        };
        [
            ask(Topic::Relations, &answer::RELATIONS, 1),
            ask(Topic::Types, &answer::TYPES, 1),
            ask(Topic::Functions, &answer::FUNCTIONS, 2),
            ask(Topic::Names, &answer::NAMES, 1),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The questions that have anything to ask.
    pub(super) fn questions(self, need: &Need) -> Vec<Question> {
        let mut questions = Vec::new();
        let mut ask = |topic, text, values: Vec<String>| questions.push(Question { topic, text, values });
        if !need.relations.is_empty() {
            ask(Topic::Relations, self.relations(), vec![answer::relation_names(need)]);
        }
        if self == Self::Targets {
            return questions;
        }
        if !need.types.is_empty() {
            ask(Topic::Types, &answer::TYPES, vec![answer::type_names(need)]);
        }
        if !need.functions.is_empty() {
            ask(Topic::Functions, &answer::FUNCTIONS, answer::function_names(need).into());
        }
        if !need.names_beside.is_empty() {
            ask(Topic::Names, &answer::NAMES, vec![answer::names_beside(need)]);
        }
        questions
    }
}

/// A question with its parameters.
#[derive(Debug)]
pub(super) struct Question {
    topic: Topic,
    text: &'static str,
    values: Vec<String>,
}

impl Question {
    /// It as a part of a call; the server is to keep it for the next time, or not.
    pub(super) fn item(&self, keep: bool) -> Item<'_> {
        let item = Item::ours(self.text).with(self.values.iter().map(String::as_str).collect());
        if keep { item.kept(self.topic) } else { item }
    }

    /// Takes its answers in.
    pub(super) fn learn(&self, objects: &[&str], need: &Need, facts: &mut Facts) {
        let objects = objects.iter().copied();
        match self.topic {
            Topic::Relations => {
                facts.relations = objects.filter_map(|it| answer::relation(it, need)).collect();
            }
            Topic::Types => facts.types = objects.filter_map(|it| answer::ty(it, need)).collect(),
            Topic::Functions => {
                facts.functions = objects.filter_map(|it| answer::function(it, need)).collect();
            }
            Topic::Names => facts.taken = objects.filter_map(|it| answer::names(it, need)).collect(),
        }
    }
}
