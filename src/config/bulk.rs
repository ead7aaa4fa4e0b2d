//! `[bulk]` as what the pace of bulk statements goes by, and the list of names in it.

use std::ops::RangeInclusive;

use toml_edit::Value;

use crate::base::{Period, Size};
use crate::pace::bulk;

use super::file::File;
use super::value::{Setting, quoted};
use super::word::{AloneWord, MissingWord};

/// Names as they are; there may be none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Names(pub Vec<String>);

impl Setting for Names {
    type Scalar = Self;

    fn allowed() -> String {
        "a list of names".into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let wrong = || format!("expected {}", Self::allowed());
        let name =
            |item: &Value| item.as_str().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let names = value.as_array().ok_or_else(wrong)?.iter().map(name).collect::<Option<Vec<_>>>();
        names.map(Self).ok_or_else(wrong)
    }

    fn text(&self) -> String {
        self.0.join(",")
    }

    fn toml(&self) -> String {
        format!("[{}]", self.0.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "))
    }

    fn within(&self, range: &RangeInclusive<Self>) -> bool {
        range.contains(self)
    }
}

/// The section as the pace knows it.
pub(super) fn settings(file: &File) -> bulk::Settings {
    let bulk = &file.bulk;
    bulk::Settings {
        rows: (*bulk.rows).into(),
        batch_time: bulk.batch_time.duration(),
        batch_rows_min: (*bulk.batch_rows_min).into(),
        batch_rows_max: (*bulk.batch_rows_max).into(),
        rows_per_second: bulk.rows_per_second.map(u64::from),
        replay_lag_max: bulk.replay_lag_max.map(Period::duration),
        replay_bytes_max: bulk.replay_bytes_max.map(Size::as_u64),
        standbys: bulk.standbys.0.clone(),
        missing_standby: match *bulk.missing_standby {
            MissingWord::Hold => bulk::Missing::Hold,
            MissingWord::Ignore => bulk::Missing::Ignore,
        },
        waiting_max: bulk.waiting_max.map(Period::duration),
        cores: *bulk.cores,
        active_per_core: *bulk.active_per_core,
        wal_per_second: bulk.wal_per_second.map(Size::as_u64),
        checkpoints: *bulk.checkpoints,
        dead_rows_max: bulk.dead_rows_max.map(u64::from),
        vacuum_every: bulk.vacuum_every.map(u64::from),
        old_snapshot: bulk.old_snapshot.map(Period::duration),
        copy: *bulk.copy,
        copy_bytes_per_second: bulk.copy_bytes_per_second.map(Size::as_u64),
        without_client: match *bulk.without_client {
            AloneWord::GoOn => bulk::Alone::GoesOn,
            AloneWord::Stop => bulk::Alone::Stops,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_pace() {
        assert_eq!(settings(&File::default()), bulk::Settings::default());
    }

    #[test]
    fn names_are_read_and_written() {
        let read = |toml: &str| Names::from_toml(&toml.parse().expect("valid TOML"));
        let both = Names(vec!["replica1".into(), "replica 2".into()]);
        assert_eq!(read("['replica1', ' replica 2 ']"), Ok(both.clone()));
        assert_eq!(read(&both.toml()), Ok(both.clone()));
        assert_eq!(Names::from_text(&both.text()), Ok(both));
        assert_eq!(read("[]"), Ok(Names::default()));
        for wrong in ["'replica1'", "[1]", "['']"] {
            assert_eq!(read(wrong), Err("expected a list of names".into()));
        }
    }
}
