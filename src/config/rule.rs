//! `[[rule]]`: what holds for a database, a user or an application instead of `[guard]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use toml_edit::Value;

use crate::base::{Period, Size};
use crate::live::rules::Pattern;

use super::hazards::Hazards;
use super::key::{Section as _, Source, section};
use super::value::{Setting, plain_setting, quoted};
use super::word::{DeferredWord, InTransactionWord, ModeWord};

section! {
    /// What holds for a database, a user or an application instead of `[guard]`. The first rule that matches wins; what it
    /// does not say comes from `[guard]`. In names `*` stands for any text.
    [""] Rule {
        /// The database, for sessions of which the rule holds; without it every database.
        database: Own<Pattern> = Own(None), example "shop_*";
        /// The user.
        user: Own<Pattern> = Own(None), example "reporting";
        /// The `application_name` that the client sends when it connects.
        application_name: Own<Pattern> = Own(None), example "pgroll";
        /// As `guard.mode`.
        mode: Own<ModeWord> = Own(None), example "observe";
        /// As `guard.max_stall`.
        max_stall: Own<Period> = Own(None), in Period::millis(1)..=Period::minutes(10), example "50ms";
        /// As `guard.retry_for`.
        retry_for: Own<Period> = Own(None), in Period::millis(0)..=Period::hours(168), example "1h";
        /// As `guard.in_transaction`.
        in_transaction: Own<InTransactionWord> = Own(None), example "refuse";
        /// As `guard.deferred`.
        deferred: Own<DeferredWord> = Own(None), example "background";
        /// As `guard.hazards`; what it does not name comes from there.
        hazards: Hazards = Hazards::default(), example "{ drop-table = \"refuse\" }";
        /// As `guard.small_table`.
        small_table: Own<Size> = Own(None), in Size::bytes(0)..=Size::megabytes(1 << 20), example "64MB";
        /// Hazards that are let pass, each with the reason: `{ create-index-blocking = "the tables are small" }`.
        allow: Reasons = Reasons::default(), example "{ create-index-blocking = \"the tables are small\" }";
    }
}

plain_setting!(Pattern, "a name, in which \"*\" stands for any text", |why| why);

impl Rule {
    /// Where the rule is written: its first key.
    pub(super) fn source(&self) -> Source {
        let lines = self.shown().into_iter().filter_map(|shown| match shown.source {
            Source::Line(line) => Some(line),
            _ => None,
        });
        lines.min().map_or(Source::Default, Source::Line)
    }
}

/// What a rule says itself, or leaves to `[guard]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own<T>(pub Option<T>);

impl<T: Setting> Setting for Own<T> {
    type Scalar = T::Scalar;

    fn allowed() -> String {
        T::allowed()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(|value| Self(Some(value)))
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        T::from_toml(value).map(|value| Self(Some(value)))
    }

    fn text(&self) -> String {
        self.0.as_ref().map(T::text).unwrap_or_default()
    }

    fn within(&self, range: &RangeInclusive<T::Scalar>) -> bool {
        self.0.as_ref().is_none_or(|value| value.within(range))
    }
}

/// Hazards with the reason why each is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Reasons(pub BTreeMap<String, String>);

impl Setting for Reasons {
    type Scalar = Self;

    fn allowed() -> String {
        "a table of hazards, each with a reason".into()
    }

    fn from_text(_: &str) -> Result<Self, String> {
        Err(format!("expected {}", Self::allowed()))
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let table = value.as_inline_table().ok_or_else(|| format!("expected {}", Self::allowed()))?;
        let reason = |(hazard, reason): (&str, &Value)| match reason.as_str().map(str::trim) {
            Some(reason) if !reason.is_empty() => Ok((hazard.to_owned(), reason.to_owned())),
            _ => Err(format!("{hazard}: expected a reason between quotes")),
        };
        table.iter().map(reason).collect::<Result<_, _>>().map(Self)
    }

    fn text(&self) -> String {
        self.toml()
    }

    fn toml(&self) -> String {
        let pairs: Vec<_> =
            self.0.iter().map(|(hazard, why)| format!("{hazard} = {}", quoted(why))).collect();
        if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) }
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}
