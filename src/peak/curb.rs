//! What is in force at a moment, and what it does to which work.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What becomes of work, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// Done, with a WARNING.
    Warn,
    /// It waits until nothing is in force that holds it.
    Hold,
    /// An error.
    Refuse,
}

impl Treatment {
    /// The word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Hold => "hold",
            Self::Refuse => "refuse",
        }
    }
}

/// What a statement lays on the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// A lock that stops reads or writes of others.
    Strong,
    /// Whole tables are read or written, though under weak locks.
    Bulk,
    /// Something is lost for good.
    Destructive,
}

impl Load {
    /// Every one, the gravest first.
    pub const ALL: [Self; 3] = [Self::Destructive, Self::Strong, Self::Bulk];

    const fn bit(self) -> u8 {
        match self {
            Self::Strong => 1,
            Self::Bulk => 2,
            Self::Destructive => 4,
        }
    }

    /// What people are told of it: a sentence about the statement.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Strong => "It locks out reads or writes.",
            Self::Bulk => "It reads or writes a whole table.",
            Self::Destructive => "It destroys data.",
        }
    }
}

/// All that a statement lays on the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loads(u8);

impl Loads {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub const fn add(&mut self, load: Load) {
        self.0 |= load.bit();
    }

    /// Whether it is among them.
    pub const fn hold(self, load: Load) -> bool {
        self.0 & load.bit() != 0
    }

    /// The gravest.
    pub fn gravest(self) -> Option<Load> {
        Load::ALL.into_iter().find(|load| self.hold(*load))
    }
}

/// What becomes of each kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Treatments {
    /// Of locks that stop others.
    pub strong: Treatment,
    /// Of whole tables read or written.
    pub bulk: Treatment,
    /// Of what destroys data.
    pub destructive: Treatment,
}

impl Treatments {
    /// The same for all.
    pub const fn all(treatment: Treatment) -> Self {
        Self { strong: treatment, bulk: treatment, destructive: treatment }
    }

    /// The gravest for what is laid on the database; `None` for nothing.
    pub fn of(&self, loads: Loads) -> Option<Treatment> {
        let each =
            [(Load::Strong, self.strong), (Load::Bulk, self.bulk), (Load::Destructive, self.destructive)];
        each.into_iter().filter(|(load, _)| loads.hold(*load)).map(|(_, treatment)| treatment).max()
    }
}

impl Default for Treatments {
    fn default() -> Self {
        Self::all(Treatment::Hold)
    }
}

/// Why something is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A window of the configuration is open.
    Peak {
        /// `mon-fri 08:00-20:00 Europe/Berlin`
        window: String,
    },
    /// Somebody has frozen the proxy.
    Freeze {
        /// In that person's words.
        reason: String,
        /// Who.
        by: String,
    },
}

/// Whether what is in force binds, or is only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It does.
    Binding,
    /// The session is one that is only observed.
    Told,
}

/// One thing that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curb {
    /// Why.
    pub cause: Cause,
    /// What becomes of work.
    pub treatments: Treatments,
    /// How long a statement may be held; `None` has no bound.
    pub hold_for: Option<Duration>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Whose clock that is told by.
    pub zone: TimeZone,
    /// Whether it binds.
    pub force: Force,
}

impl Curb {
    /// When it ends, for people.
    pub fn end(&self) -> Option<String> {
        self.until.map(|until| when(until, &self.zone))
    }
}

/// All that is in force at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InForce(pub Vec<Curb>);

impl InForce {
    /// The gravest treatment of a load, and what asks for it. `waits`: the statement is to wait for whatever is in force.
    pub fn verdict(&self, loads: Loads, waits: bool) -> Option<(Treatment, &Curb)> {
        let of = |curb: &Curb| {
            let least = waits.then_some(Treatment::Hold);
            curb.treatments.of(loads).max(least)
        };
        let each = self.0.iter().filter_map(|curb| Some((of(curb)?, curb)));
        // The first of equals.
        each.fold(None, |best, next| match best {
            Some((treatment, _)) if treatment >= next.0 => best,
            _ => Some(next),
        })
    }
}

/// A moment by a clock that people know: `2026-11-23 20:00 Europe/Berlin`.
pub fn when(moment: Timestamp, zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    let clock = zone.to_datetime(moment);
    let format = if clock.second() == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    format!("{} {name}", clock.strftime(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curb(treatments: Treatments) -> Curb {
        Curb {
            cause: Cause::Peak { window: "w".into() },
            treatments,
            hold_for: None,
            until: None,
            zone: TimeZone::UTC,
            force: Force::Binding,
        }
    }

    #[test]
    fn the_gravest_wins() {
        let mild =
            Treatments { strong: Treatment::Hold, bulk: Treatment::Warn, destructive: Treatment::Warn };
        let grave = Treatments { destructive: Treatment::Refuse, ..mild };
        let in_force = InForce(vec![curb(mild), curb(grave)]);
        let verdict = |loads: &[Load], waits| {
            let mut all = Loads::NONE;
            for load in loads {
                all.add(*load);
            }
            in_force.verdict(all, waits).map(|(treatment, curb)| (treatment, curb.treatments == grave))
        };
        assert_eq!(verdict(&[], false), None);
        assert_eq!(verdict(&[], true), Some((Treatment::Hold, false)));
        assert_eq!(verdict(&[Load::Bulk], false), Some((Treatment::Warn, false)));
        assert_eq!(verdict(&[Load::Bulk], true), Some((Treatment::Hold, false)));
        assert_eq!(verdict(&[Load::Strong, Load::Bulk], false), Some((Treatment::Hold, false)));
        assert_eq!(verdict(&[Load::Strong, Load::Destructive], false), Some((Treatment::Refuse, true)));
        assert_eq!(InForce::default().verdict(Loads::NONE, true), None);
    }
}
