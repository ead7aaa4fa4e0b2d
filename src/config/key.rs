//! What is known of a key, where its value came from, and the macro that declares both.

use std::fmt;

/// One key of the configuration, as the reference shows it.
#[derive(Debug, Clone)]
pub struct Key {
    /// `listen.tls`; empty in a rule.
    pub section: &'static str,
    /// `sslmode`
    pub name: &'static str,
    /// What it is for, in Markdown.
    pub doc: &'static str,
    /// What may be written.
    pub allowed: String,
    /// `1ms to 1h`
    pub range: Option<String>,
    /// The default as TOML.
    pub default: String,
    /// A value for the example file where the default is "nothing".
    pub example: Option<&'static str>,
    /// When a change is taken up.
    pub applies: Applies,
}

/// When a changed value is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// At a reload.
    Reload,
    /// Only when the process starts anew.
    Restart,
}

impl Key {
    /// `listen.tls.sslmode`
    pub fn path(&self) -> String {
        path(self.section, self.name)
    }

    /// `LOCKKEEPER_LISTEN_TLS_SSLMODE`
    pub fn variable(&self) -> String {
        format!("LOCKKEEPER_{}", self.path().replace('.', "_").to_ascii_uppercase())
    }
}

/// `section.name`
pub(super) fn path(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// Where a value came from; later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file, counted from one.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// A command line flag.
    Flag(&'static str),
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Entry<T> {
    /// A value that nobody set.
    pub const fn default(value: T) -> Self {
        Self { value, source: Source::Default }
    }
}

impl<T> std::ops::Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A key with its present value, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `listen.tls.sslmode`
    pub path: String,
    /// As TOML; secrets are masked.
    pub value: String,
    /// Where it came from.
    pub source: Source,
    /// When a change is taken up.
    pub applies: Applies,
}

/// A value as it arrives, before its type is known.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    /// From the file.
    Toml(&'a toml_edit::Value),
    /// From a variable or a flag.
    Text(&'a str),
}

/// A section whose keys are known.
pub trait Section {
    /// Its keys in the order of the reference.
    fn keys() -> Vec<Key>
    where
        Self: Sized;

    /// Sets one of its keys; the error says why not.
    fn assign(&mut self, name: &str, raw: Raw<'_>, source: Source) -> Result<(), String>;

    /// Every key with its value.
    fn shown(&self) -> Vec<Shown>;
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Variable(name) => write!(f, "env {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Declares a section: its struct, its keys for the reference, its defaults, and how to set and show each.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        [$section:literal] $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $type:ty = $default:expr
                $(, in $range:expr)?
                $(, example $example:literal)?
                $(=> $applies:ident)?
            ;)+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $crate::config::key::Entry<$type>,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $crate::config::key::Entry::default($default),)+ }
            }
        }

        impl $name {
            /// What the section is for.
            pub const DOC: &'static str = concat!($($section_doc, "\n"),+);
        }

        impl $crate::config::key::Section for $name {
            fn keys() -> Vec<$crate::config::key::Key> {
                let defaults = Self::default();
                vec![$(
                    $crate::config::key::Key {
                        section: $section,
                        name: stringify!($key),
                        doc: concat!($($doc, "\n"),+),
                        allowed: <$type as $crate::config::value::Setting>::allowed(),
                        range: section!(@range $type $(, $range)?),
                        default: $crate::config::value::Setting::toml(&defaults.$key.value),
                        example: section!(@example $($example)?),
                        applies: section!(@applies $($applies)?),
                    },
                )+]
            }

            fn assign(
                &mut self,
                name: &str,
                raw: $crate::config::key::Raw<'_>,
                source: $crate::config::key::Source,
            ) -> Result<(), String> {
                match name {
                    $(stringify!($key) => {
                        let value: $type = $crate::config::key::read(raw)?;
                        $($crate::config::key::in_range(&value, &$range)?;)?
                        self.$key = $crate::config::key::Entry { value, source };
                        Ok(())
                    })+
                    _ => Err("unknown key".to_owned()),
                }
            }

            fn shown(&self) -> Vec<$crate::config::key::Shown> {
                vec![$(
                    $crate::config::key::Shown {
                        path: $crate::config::key::path($section, stringify!($key)),
                        value: $crate::config::value::Setting::toml(&self.$key.value),
                        source: self.$key.source.clone(),
                        applies: section!(@applies $($applies)?),
                    },
                )+]
            }
        }
    };
    (@range $type:ty) => { None };
    (@range $type:ty, $range:expr) => { Some($crate::config::key::range_of::<$type>(&$range)) };
    (@example) => { None };
    (@example $example:literal) => { Some($example) };
    (@applies) => { $crate::config::key::Applies::Reload };
    (@applies restart) => { $crate::config::key::Applies::Restart };
}
pub(super) use section;

use super::value::{Setting, range_text};

/// Reads a value of the key's type.
pub(super) fn read<T: Setting>(raw: Raw<'_>) -> Result<T, String> {
    match raw {
        Raw::Toml(value) => T::from_toml(value),
        Raw::Text(text) => T::from_text(text),
    }
}

/// The range of a key's scalars as text.
pub(super) fn range_of<T: Setting>(range: &std::ops::RangeInclusive<T::Scalar>) -> String {
    range_text(range)
}

/// Refuses a value outside the key's range.
pub(super) fn in_range<T: Setting>(
    value: &T,
    range: &std::ops::RangeInclusive<T::Scalar>,
) -> Result<(), String> {
    if value.within(range) {
        Ok(())
    } else {
        Err(format!("{} is out of range: allowed is {}", value.text(), range_text(range)))
    }
}
