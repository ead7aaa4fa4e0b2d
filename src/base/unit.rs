//! Amounts with a unit, written as in `postgresql.conf`: `100ms`, `10min`, `64kB`.
//!
//! A bare number is refused, since nobody can tell what `5` means; only `0` needs no unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time, exact to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period {
    micros: u64,
}

/// A number of bytes; the units are Postgres's, 1024 apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size {
    bytes: u64,
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAmount {
    /// No whole number in front.
    #[error("expected a whole number and a unit ({allowed}), such as {example:?}")]
    Number {
        /// The units, separated by commas.
        allowed: &'static str,
        /// A good value.
        example: &'static str,
    },
    /// The number is fine, the unit is missing or not known.
    #[error("unit {found:?} is not known, allowed are {allowed}")]
    Unit {
        /// What stands behind the number, empty when nothing does.
        found: String,
        /// The units, separated by commas.
        allowed: &'static str,
    },
    /// More than 64 bits hold.
    #[error("the amount is too large")]
    TooLarge,
}

/// One kind of amount: its units, smallest first, each a multiple of the one before it.
struct Scale {
    units: &'static [(&'static str, u64)],
    allowed: &'static str,
    example: &'static str,
}

const TIME: Scale = Scale {
    units: &[
        ("us", 1),
        ("ms", 1_000),
        ("s", 1_000_000),
        ("min", 60_000_000),
        ("h", 3_600_000_000),
        ("d", 86_400_000_000),
    ],
    allowed: "us, ms, s, min, h, d",
    example: "100ms",
};

const BYTES: Scale = Scale {
    units: &[("B", 1), ("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)],
    allowed: "B, kB, MB, GB, TB",
    example: "64kB",
};

impl Scale {
    fn parse(&self, text: &str) -> Result<u64, NotAnAmount> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
        let unit = unit.trim_start();
        if number.is_empty() || unit.starts_with(['.', ',', '_']) {
            return Err(NotAnAmount::Number { allowed: self.allowed, example: self.example });
        }
        let number: u64 = number.parse().map_err(|_| NotAnAmount::TooLarge)?;
        if number == 0 && unit.is_empty() {
            return Ok(0);
        }
        let known = self.units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let Some((_, factor)) = known else {
            return Err(NotAnAmount::Unit { found: unit.to_owned(), allowed: self.allowed });
        };
        number.checked_mul(*factor).ok_or(NotAnAmount::TooLarge)
    }

    /// The largest unit that divides the amount, so that nothing is lost.
    fn write(&self, amount: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, u64)| amount.is_multiple_of(*factor);
        match self.units.iter().rev().find(fits) {
            Some((name, factor)) if amount > 0 => f.pad(&format!("{}{name}", amount / factor)),
            _ => f.pad("0"),
        }
    }
}

impl Period {
    /// From microseconds.
    pub const fn micros(micros: u64) -> Self {
        Self { micros }
    }

    /// From milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self { micros: millis.saturating_mul(1_000) }
    }

    /// From seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self { micros: seconds.saturating_mul(1_000_000) }
    }

    /// From minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    /// From hours.
    pub const fn hours(hours: u64) -> Self {
        Self::minutes(hours.saturating_mul(60))
    }

    /// As the standard library counts time.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.micros)
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.micros == 0
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Self {
        Self { micros: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX) }
    }
}

impl FromStr for Period {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        TIME.parse(text).map(Self::micros)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TIME.write(self.micros, f)
    }
}

impl Size {
    /// From bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// From kilobytes of 1024 bytes.
    pub const fn kilobytes(kilobytes: u64) -> Self {
        Self { bytes: kilobytes.saturating_mul(1 << 10) }
    }

    /// From megabytes of 1024 kilobytes.
    pub const fn megabytes(megabytes: u64) -> Self {
        Self::kilobytes(megabytes.saturating_mul(1 << 10))
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.bytes
    }

    /// The number of bytes, as far as this machine can address them.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        BYTES.parse(text).map(Self::bytes)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BYTES.write(self.bytes, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn period(text: &str) -> String {
        text.parse::<Period>().map_or_else(|error| error.to_string(), |period| period.to_string())
    }

    fn size(text: &str) -> String {
        text.parse::<Size>().map_or_else(|error| error.to_string(), |size| size.to_string())
    }

    #[test]
    fn units_are_those_of_postgres_in_any_case() {
        for (text, shown) in [
            ("100ms", "100ms"),
            ("2s", "2s"),
            ("10 min", "10min"),
            ("1H", "1h"),
            ("24h", "1d"),
            ("90s", "90s"),
            ("1500us", "1500us"),
            (" 0 ", "0"),
        ] {
            assert_eq!(period(text), shown, "{text}");
        }
        for (text, shown) in [("64kB", "64kB"), ("1mb", "1MB"), ("2048 KB", "2MB"), ("7B", "7B")] {
            assert_eq!(size(text), shown, "{text}");
        }
    }

    #[test]
    fn errors_say_what_is_allowed() {
        let said = [
            period("5"),
            period("5m"),
            period("1.5s"),
            period("-1s"),
            period(""),
            period("99999999999999d"),
            size("64k"),
            size("lots"),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        unit "" is not known, allowed are us, ms, s, min, h, d
        unit "m" is not known, allowed are us, ms, s, min, h, d
        expected a whole number and a unit (us, ms, s, min, h, d), such as "100ms"
        expected a whole number and a unit (us, ms, s, min, h, d), such as "100ms"
        expected a whole number and a unit (us, ms, s, min, h, d), such as "100ms"
        the amount is too large
        unit "k" is not known, allowed are B, kB, MB, GB, TB
        expected a whole number and a unit (B, kB, MB, GB, TB), such as "64kB"
        "#);
    }

    proptest! {
        #[test]
        fn shown_is_read_again(amount: u64) {
            prop_assert_eq!(Period::micros(amount).to_string().parse(), Ok(Period::micros(amount)));
            prop_assert_eq!(Size::bytes(amount).to_string().parse(), Ok(Size::bytes(amount)));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = (text.parse::<Period>(), text.parse::<Size>());
        }
    }
}
