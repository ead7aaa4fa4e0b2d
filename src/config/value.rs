//! How one value is written: in TOML, in an environment variable, and when it is shown.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use toml_edit::Value;

use crate::base::{Period, Size};

/// A value that a key can hold.
pub trait Setting: Sized {
    /// What a range speaks of: the value itself, or what is inside a list or an option.
    type Scalar: Setting + PartialOrd;

    /// What may be written, for the reference and for errors: `a duration such as "100ms"`.
    fn allowed() -> String;

    /// Reads the text of an environment variable or a flag.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads a TOML value; most are strings.
    fn from_toml(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some(text) => Self::from_text(text),
            None => Err(expected(&Self::allowed(), value)),
        }
    }

    /// The value as an environment variable would have it.
    fn text(&self) -> String;

    /// The value as a TOML file would have it.
    fn toml(&self) -> String {
        quoted(&self.text())
    }

    /// Whether every scalar inside lies in the range.
    fn within(&self, range: &RangeInclusive<Self::Scalar>) -> bool;
}

/// A value that is absent in a way of its own: a duration is "off", a path is empty.
pub trait Absent {
    /// The word for absence.
    const WORD: &'static str;
}

/// A list that holds at least one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

/// A value that the program finds by itself when it is "auto".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auto<T>(pub Option<T>);

/// A number of things.
pub type Count = u32;

/// "expected .., found ..": the value itself is not repeated, since it may be a password in the wrong place.
fn expected(allowed: &str, found: &Value) -> String {
    // The parser calls a table by how it is written.
    let noun = found.type_name().trim_start_matches("inline ");
    format!("expected {allowed}, found {}", article(noun))
}

fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The items of an environment variable's list.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Values that are read by `FromStr`, shown by `Display` and compared as they are.
macro_rules! plain_setting {
    ($type:ty, $allowed:expr, $why:expr) => {
        impl Setting for $type {
            type Scalar = Self;

            fn allowed() -> String {
                $allowed.into()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err($why)
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn within(&self, range: &std::ops::RangeInclusive<Self>) -> bool {
                range.contains(self)
            }
        }
    };
}
pub(super) use plain_setting;

plain_setting!(Period, "a duration such as \"100ms\" (us, ms, s, min, h, d)", |why| format!("{why}"));
plain_setting!(Size, "a size such as \"64kB\" (B, kB, MB, GB, TB)", |why| format!("{why}"));

impl Absent for Period {
    const WORD: &'static str = "off";
}

impl Absent for Size {
    const WORD: &'static str = "off";
}

impl Absent for Count {
    const WORD: &'static str = "off";
}

impl Absent for PathBuf {
    const WORD: &'static str = "";
}

impl Absent for String {
    const WORD: &'static str = "";
}

impl Absent for SecretString {
    const WORD: &'static str = "";
}

/// Whole numbers, which TOML writes without quotes.
macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            type Scalar = Self;

            fn allowed() -> String {
                "a whole number".into()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| format!("expected a whole number up to {}", Self::MAX))
            }

            fn from_toml(value: &Value) -> Result<Self, String> {
                let number = value.as_integer().ok_or_else(|| expected("a whole number", value))?;
                Self::try_from(number).map_err(|_| format!("expected a whole number from 0 to {}", Self::MAX))
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn toml(&self) -> String {
                self.to_string()
            }

            fn within(&self, range: &RangeInclusive<Self>) -> bool {
                range.contains(self)
            }
        }
    )+};
}
whole_number!(u16, u32);

impl Setting for bool {
    type Scalar = Self;

    fn allowed() -> String {
        "true or false".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err("expected true or false".into()),
        }
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| expected("true or false", value))
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn toml(&self) -> String {
        self.to_string()
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}

plain_setting!(String, "a text", |never: std::convert::Infallible| match never {});

impl Setting for PathBuf {
    type Scalar = Self;

    fn allowed() -> String {
        "a path".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected a path, found nothing".into()) } else { Ok(Self::from(text)) }
    }

    fn text(&self) -> String {
        self.display().to_string()
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}

impl Setting for SecretString {
    type Scalar = String;

    fn allowed() -> String {
        "a text".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    /// Never the secret, only that there is one.
    fn text(&self) -> String {
        if self.expose_secret().is_empty() { String::new() } else { "(secret)".into() }
    }

    fn within(&self, _: &RangeInclusive<String>) -> bool {
        true
    }
}

impl<T: Setting + Absent> Setting for Option<T> {
    type Scalar = T::Scalar;

    fn allowed() -> String {
        if T::WORD.is_empty() { T::allowed() } else { format!("{}, or \"{}\"", T::allowed(), T::WORD) }
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case(T::WORD) {
            Ok(None)
        } else {
            T::from_text(text).map(Some).map_err(or_absent::<T>)
        }
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some(text) if text.trim().eq_ignore_ascii_case(T::WORD) => Ok(None),
            _ => T::from_toml(value).map(Some).map_err(or_absent::<T>),
        }
    }

    fn text(&self) -> String {
        self.as_ref().map_or_else(|| T::WORD.into(), T::text)
    }

    fn toml(&self) -> String {
        self.as_ref().map_or_else(|| quoted(T::WORD), T::toml)
    }

    fn within(&self, range: &RangeInclusive<T::Scalar>) -> bool {
        self.as_ref().is_none_or(|value| value.within(range))
    }
}

const AUTO: &str = "auto";

impl<T: Setting> Setting for Auto<T> {
    type Scalar = T::Scalar;

    fn allowed() -> String {
        format!("{}, or {AUTO:?}", T::allowed())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case(AUTO) {
            Ok(Self(None))
        } else {
            T::from_text(text).map(|own| Self(Some(own)))
        }
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some(text) => Self::from_text(text),
            None => T::from_toml(value).map(|own| Self(Some(own))),
        }
    }

    fn text(&self) -> String {
        self.0.as_ref().map_or_else(|| AUTO.into(), T::text)
    }

    fn toml(&self) -> String {
        self.0.as_ref().map_or_else(|| quoted(AUTO), T::toml)
    }

    fn within(&self, range: &RangeInclusive<T::Scalar>) -> bool {
        self.0.as_ref().is_none_or(|value| value.within(range))
    }
}

/// The complaint about a value that could also have been absent.
fn or_absent<T: Absent>(why: String) -> String {
    if T::WORD.is_empty() { why } else { format!("{why} ({:?} is allowed too)", T::WORD) }
}

impl<T: Setting> Setting for List<T> {
    type Scalar = T::Scalar;

    fn allowed() -> String {
        format!("a list, each item {}", T::allowed())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        items(text).map(T::from_text).collect::<Result<_, _>>().and_then(not_empty)
    }

    /// A single value stands for a list of one.
    fn from_toml(value: &Value) -> Result<Self, String> {
        match value.as_array() {
            Some(array) => array.iter().map(T::from_toml).collect::<Result<_, _>>().and_then(not_empty),
            None if value.is_str() => T::from_toml(value).map(|item| Self(vec![item])),
            None => Err(expected(&Self::allowed(), value)),
        }
    }

    fn text(&self) -> String {
        self.0.iter().map(T::text).collect::<Vec<_>>().join(",")
    }

    fn toml(&self) -> String {
        format!("[{}]", self.0.iter().map(T::toml).collect::<Vec<_>>().join(", "))
    }

    fn within(&self, range: &RangeInclusive<T::Scalar>) -> bool {
        self.0.iter().all(|item| item.within(range))
    }
}

fn not_empty<T>(items: Vec<T>) -> Result<List<T>, String> {
    if items.is_empty() { Err("expected at least one item".into()) } else { Ok(List(items)) }
}

/// A range as text, `1ms to 1h`.
pub(super) fn range_text<T: Setting>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start().text(), range.end().text())
}

/// An octal number such as the mode of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileMode(pub u32);

impl std::str::FromStr for FileMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => Err("expected an octal mode from \"0000\" to \"0777\"".into()),
        }
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

plain_setting!(FileMode, "an octal mode such as \"0770\"", |why| why);

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Setting>(toml: &str) -> String {
        let value: Value = toml.parse().expect("valid TOML");
        T::from_toml(&value).map_or_else(|why| why, |value| format!("{} = {}", value.text(), value.toml()))
    }

    #[test]
    fn values_of_every_kind() {
        let said = [
            read::<Period>("\"2S\""),
            read::<Period>("2"),
            read::<Option<Period>>("\"off\""),
            read::<Option<Period>>("\"soon\""),
            read::<Size>("\"1MB\""),
            read::<u16>("70000"),
            read::<Option<Count>>("3"),
            read::<Option<Count>>("\"off\""),
            read::<Auto<Count>>("\"auto\""),
            read::<Auto<Count>>("2"),
            read::<bool>("\"yes\""),
            read::<List<Period>>("[\"1s\", \"2s\"]"),
            read::<List<Period>>("\"1s\""),
            read::<List<Period>>("[]"),
            read::<List<Period>>("[1]"),
            read::<FileMode>("\"770\""),
            read::<FileMode>("\"999\""),
            read::<Option<SecretString>>("\"postgres://u:hunter2@h/d\""),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        2s = "2s"
        expected a duration such as "100ms" (us, ms, s, min, h, d), found an integer
        off = "off"
        expected a whole number and a unit (us, ms, s, min, h, d), such as "100ms" ("off" is allowed too)
        1MB = "1MB"
        expected a whole number from 0 to 65535
        3 = 3
        off = "off"
        auto = "auto"
        2 = 2
        expected true or false, found a string
        1s,2s = ["1s", "2s"]
        1s = ["1s"]
        expected at least one item
        expected a duration such as "100ms" (us, ms, s, min, h, d), found an integer
        0770 = "0770"
        expected an octal mode from "0000" to "0777"
        (secret) = "(secret)"
        "#);
    }
}
