//! What is to become of a hazard where it is found.

use std::fmt;
use std::str::FromStr;

/// A hazard's setting, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HazardSetting {
    /// Sent as it is, under the ladder of patience.
    Pass,
    /// The same, with a WARNING.
    Warn,
    /// Replaced by the online plan; where there is none, or it cannot run, as [`Warn`](Self::Warn).
    Plan,
    /// The same, but while peak hours or a freeze are in force it waits.
    Hold,
    /// Refused with the steps by hand.
    Refuse,
}

impl HazardSetting {
    /// Every setting, mildest first.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Warn, Self::Plan, Self::Hold, Self::Refuse];

    /// The word in the configuration and in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Plan => "plan",
            Self::Hold => "hold",
            Self::Refuse => "refuse",
        }
    }
}

impl fmt::Display for HazardSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for HazardSetting {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|setting| setting.word() == word).ok_or(())
    }
}
