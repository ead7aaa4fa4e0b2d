//! What the configuration says of single hazards and tables.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use toml_edit::Value;

use super::value::{Setting, quoted};
use crate::hazard::HazardSetting;

/// Hazards with what is to become of each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Hazards(pub BTreeMap<String, HazardSetting>);

impl Setting for Hazards {
    type Scalar = Self;

    fn allowed() -> String {
        "a table of hazards, each \"pass\", \"warn\", \"plan\", \"hold\" or \"refuse\"".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let pair = |item: &str| {
            let (hazard, word) =
                item.split_once('=').ok_or_else(|| "expected hazard=setting, ..".to_owned())?;
            setting(hazard.trim(), word.trim())
        };
        text.split(',').filter(|item| !item.trim().is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let table = value.as_inline_table().ok_or_else(|| format!("expected {}", Self::allowed()))?;
        let pair = |(hazard, word): (&str, &Value)| setting(hazard, word.as_str().unwrap_or_default());
        table.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn text(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(hazard, setting)| format!("{hazard}={setting}")).collect();
        pairs.join(",")
    }

    fn toml(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(hazard, setting)| format!("{hazard} = {}", quoted(setting.word()))).collect();
        if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) }
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}

fn setting(hazard: &str, word: &str) -> Result<(String, HazardSetting), String> {
    let setting = word.parse().map_err(|()| {
        format!("{hazard}: expected one of \"pass\", \"warn\", \"plan\", \"hold\", \"refuse\"")
    })?;
    Ok((hazard.to_owned(), setting))
}

/// Names of tables; there may be none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tables(pub Vec<String>);

impl Setting for Tables {
    type Scalar = Self;

    fn allowed() -> String {
        "a list of names, each with its schema or without".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()))
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let array = value.as_array().ok_or_else(|| format!("expected {}", Self::allowed()))?;
        let name = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| "expected names".to_owned());
        array.iter().map(name).collect::<Result<_, _>>().map(Self)
    }

    fn text(&self) -> String {
        self.0.join(",")
    }

    fn toml(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|name| quoted(name)).collect();
        format!("[{}]", names.join(", "))
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}
