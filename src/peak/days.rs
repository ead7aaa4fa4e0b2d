//! Days of the week, as people write them.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Weekday;

const NAMES: [(&str, &str); 7] = [
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
    ("sun", "sunday"),
];

/// A set of days of the week, never empty: one bit each, Monday the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0x7f);

    /// Whether a day is among them.
    pub fn hold(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }

    /// The days of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `mon`, `Monday`, `mon-fri`, `fri-mon`, several separated by commas, or `daily`.
impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let days = parts.map(range).try_fold(None, |all: Option<Self>, days| {
            days.map(|days| Some(all.map_or(days, |all| all.and(days))))
        })?;
        days.ok_or_else(|| "expected at least one day".to_owned())
    }
}

fn range(text: &str) -> Result<Days, String> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok(Days::ALL);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let mut bits = 1 << last;
    let mut at = first;
    while at != last {
        bits |= 1 << at;
        at = (at + 1) % 7;
    }
    Ok(Days(bits))
}

fn day(text: &str) -> Result<u8, String> {
    let lower = text.trim().to_ascii_lowercase();
    let found = (0_u8..).zip(NAMES).find(|(_, (short, long))| lower == *short || lower == *long);
    found.map(|(at, _)| at).ok_or_else(|| {
        format!(
            "{:?} is no day: expected mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily",
            text.trim()
        )
    })
}

/// Runs of three and more as ranges: `mon-fri`, `sat,sun`.
impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("daily");
        }
        let mut runs: Vec<(&str, &str, u8)> = Vec::new();
        let mut before = false;
        for (at, (name, _)) in (0_u8..).zip(NAMES) {
            let here = self.0 & (1 << at) != 0;
            match runs.last_mut() {
                Some((_, last, count)) if here && before => (*last, *count) = (name, *count + 1),
                _ if here => runs.push((name, name, 1)),
                _ => {}
            }
            before = here;
        }
        for (at, (first, last, count)) in runs.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match count {
                1 => write!(f, "{comma}{first}")?,
                2 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_as_people_write_them() {
        let shown = |text: &str| text.parse::<Days>().map_or_else(|why| why, |days| days.to_string());
        for (text, days) in [
            ("mon-fri", "mon-fri"),
            ("Monday", "mon"),
            ("sat, sun", "sat,sun"),
            ("fri-mon", "mon,fri-sun"),
            ("mon-sun", "daily"),
            ("daily", "daily"),
            ("tue,thu,sat", "tue,thu,sat"),
            ("", "expected at least one day"),
        ] {
            assert_eq!(shown(text), days, "{text}");
        }
        assert!(shown("mon-funday").starts_with("\"funday\" is no day"));
    }
}
