//! `[[peak]]`: hours in which work that others would feel is held back. And the words and lists that speak of it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::tz::{TimeZone, db};
use toml_edit::Value;

use crate::base::Period;
use crate::live::rules::Pattern;
use crate::peak::{Clock, Days, Treatment, Treatments, Window};

use super::key::{Section as _, Source, section};
use super::rule::Own;
use super::suggest;
use super::value::{Setting, plain_setting};
use super::word::TreatmentWord;

section! {
    /// Peak hours: a window in which work that others would feel is held back until it closes. There may be several; of those
    /// that are open the gravest wins.
    [""] Peak {
        /// The days on which it opens: `mon` to `sun`, ranges such as `mon-fri`, several with commas between them, or `daily`.
        days: Days = Days::ALL, example "mon-fri";
        /// When it opens, by the clock of `time_zone`.
        from: Own<Clock> = Own(None), example "08:00";
        /// When it closes: on the day after, where that is earlier than `from`. Where clocks are put back, an hour that comes
        /// twice belongs to the window both times; one that is left out begins and ends at the change.
        to: Own<Clock> = Own(None), example "20:00";
        /// The time zone, by its name in the IANA database.
        time_zone: ZoneName = ZoneName("UTC".into()), example "Europe/Berlin";
        /// What becomes of statements whose locks stop reads or writes of others: `hold` (they wait until the window closes),
        /// `refuse`, `warn`.
        strong: TreatmentWord = TreatmentWord::Hold;
        /// What becomes of statements that read or write whole tables under weak locks, such as concurrent builds of indexes and
        /// `VALIDATE`, and `UPDATE` and `DELETE` in batches.
        bulk: TreatmentWord = TreatmentWord::Hold;
        /// What becomes of statements that destroy data: `DROP TABLE`, `DROP COLUMN`, `TRUNCATE`, ..
        destructive: TreatmentWord = TreatmentWord::Hold;
        /// How long a statement may be held; then it fails with SQLSTATE 55000.
        hold_for: Option<Period> = Some(Period::hours(12)), in Period::millis(1)..=Period::hours(168);
    }
}

impl Setting for Days {
    type Scalar = Self;

    fn allowed() -> String {
        "days such as \"mon-fri\"".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    /// A list is taken too.
    fn from_toml(value: &Value) -> Result<Self, String> {
        let one = |item: &Value| item.as_str().map(str::to_owned);
        let all = value.as_array().map(|items| items.iter().map(one).collect::<Option<Vec<String>>>());
        let text = all.unwrap_or_else(|| one(value).map(|text| vec![text]));
        text.ok_or_else(|| format!("expected {}", Self::allowed()))?.join(",").parse()
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}

plain_setting!(Clock, "a time of day from \"00:00\" to \"24:00\"", |why| why);
plain_setting!(ZoneName, "a time zone such as \"Europe/Berlin\"", |why| why);

/// The name of a time zone that there is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneName(pub String);

impl FromStr for ZoneName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(zone) = TimeZone::get(text) {
            return Ok(Self(zone.iana_name().unwrap_or(text).to_owned()));
        }
        let names: Vec<String> = db().available().map(|name| name.as_str().to_ascii_lowercase()).collect();
        let near = suggest::nearest(text, names.iter().map(String::as_str));
        // As the database spells it.
        let near = near.and_then(|near| TimeZone::get(near).ok());
        let hint = near.as_ref().and_then(TimeZone::iana_name);
        let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
        Err(format!("there is no time zone {text:?}{hint}"))
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Peak {
    /// Where the window is written: its first key.
    pub(super) fn source(&self) -> Source {
        let lines = self.shown().into_iter().filter_map(|shown| match shown.source {
            Source::Line(line) => Some(line),
            _ => None,
        });
        lines.min().map_or(Source::Default, Source::Line)
    }

    /// The window; `None` where a time is missing, which has been told.
    pub(super) fn window(&self) -> Option<Window> {
        Some(Window {
            days: *self.days,
            from: self.from.0?,
            to: self.to.0?,
            zone: TimeZone::get(&self.time_zone.0).ok()?,
            treatments: Treatments {
                strong: treatment(*self.strong),
                bulk: treatment(*self.bulk),
                destructive: treatment(*self.destructive),
            },
            hold_for: self.hold_for.value.map(Period::duration),
        })
    }
}

/// The word as the rest of the program knows it.
pub(super) const fn treatment(word: TreatmentWord) -> Treatment {
    match word {
        TreatmentWord::Hold => Treatment::Hold,
        TreatmentWord::Refuse => Treatment::Refuse,
        TreatmentWord::Warn => Treatment::Warn,
    }
}

/// Names of roles, in which `*` stands for any text; there may be none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Roles(pub Vec<Pattern>);

impl Setting for Roles {
    type Scalar = Self;

    fn allowed() -> String {
        "a list of names, in which \"*\" stands for any text".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::parse).collect::<Result<_, _>>().map(Self)
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let array = value.as_array().ok_or_else(|| format!("expected {}", Self::allowed()))?;
        let name = |item: &Value| item.as_str().unwrap_or_default().parse();
        array.iter().map(name).collect::<Result<_, _>>().map(Self)
    }

    fn text(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    fn toml(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|name| super::value::quoted(&name.to_string())).collect();
        format!("[{}]", names.join(", "))
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}
