//! What holds work back at this moment: peak hours and the freeze, and who waits for their end.
//!
//! One for all workers. It is asked for guarded statements only, so that ordinary traffic never meets its lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::effects::facts::Oid;
use crate::judge::Mode;
use crate::peak::{Cause, Curb, Force, InForce, Load, Loads, Schedule, Treatment, Treatments};

/// The orders that hold, and those who wait.
#[derive(Debug, Default)]
pub struct Gate {
    orders: Mutex<Orders>,
    line: Mutex<Line>,
}

/// What the configuration says of peak hours and freezes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hours {
    /// The windows.
    pub schedule: Schedule,
    /// What becomes of work while frozen.
    pub frozen: Treatments,
    /// How long a freeze may hold a statement.
    pub frozen_hold_for: Option<Duration>,
}

#[derive(Debug, Default)]
struct Orders {
    hours: Hours,
    freeze: Option<Freeze>,
}

/// An emergency stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Why, in the words of whoever did it.
    pub reason: String,
    /// Who did it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// Statements that wait, in the order of their arrival.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: BTreeMap<u64, Place>,
}

/// What somebody waits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The database.
    pub database: String,
    /// What the statement locks strongly, as far as known.
    pub on: Vec<Oid>,
    /// What the statement lays on the database.
    pub loads: Loads,
    /// It waits for whatever is in force.
    pub waits: bool,
    /// How far the proxy goes with its session.
    pub mode: Mode,
}

#[derive(Debug)]
struct Place {
    waiting: Waiting,
    /// It has gone on, and is not at its end.
    gone: bool,
}

/// A place in the line, until it is dropped.
#[derive(Debug)]
pub struct Ticket<'a> {
    gate: &'a Gate,
    number: u64,
    waiting: Waiting,
}

impl Gate {
    /// Takes up what a configuration says; those who wait feel it when they look next.
    pub fn set(&self, hours: Hours) {
        locked(&self.orders).hours = hours;
    }

    /// Freezes; an earlier freeze gives way.
    pub fn freeze(&self, freeze: Freeze) {
        locked(&self.orders).freeze = Some(freeze);
    }

    /// Ends the freeze, if there is one.
    pub fn thaw(&self, now: Timestamp) -> Option<Freeze> {
        locked(&self.orders).freeze.take().filter(|freeze| freeze.holds(now))
    }

    /// The freeze that holds.
    pub fn frozen(&self, now: Timestamp) -> Option<Freeze> {
        locked(&self.orders).freeze.clone().filter(|freeze| freeze.holds(now))
    }

    /// What the configuration says.
    pub fn hours(&self) -> Hours {
        locked(&self.orders).hours.clone()
    }

    /// What is in force for sessions of a mode. In observe mode peak hours are only told; a freeze is an order of today, and
    /// binds there too.
    pub fn in_force(&self, now: Timestamp, mode: Mode) -> InForce {
        let orders = locked(&self.orders);
        if mode == Mode::Off {
            return InForce::default();
        }
        let force = if mode == Mode::Enforce { Force::Binding } else { Force::Told };
        let windows = orders.hours.schedule.open(now).map(|(window, until)| Curb {
            cause: Cause::Peak { window: window.to_string() },
            treatments: window.treatments,
            hold_for: window.hold_for,
            until: Some(until),
            zone: window.zone.clone(),
            force,
        });
        InForce(orders.freeze_curb(now).into_iter().chain(windows).collect())
    }

    /// The freeze that stops what has begun.
    pub fn stops(&self, now: Timestamp) -> Option<Curb> {
        locked(&self.orders).freeze_curb(now).filter(|curb| curb.treatments.strong >= Treatment::Hold)
    }

    /// What holds a statement back between two of its batches. It has begun, so that it waits where a new one would be refused.
    pub fn pauses(&self, now: Timestamp, mode: Mode) -> Option<Curb> {
        let mut loads = Loads::NONE;
        loads.add(Load::Bulk);
        let in_force = self.in_force(now, mode);
        let (treatment, curb) = in_force.verdict(loads, false)?;
        (treatment >= Treatment::Hold && curb.force == Force::Binding).then(|| curb.clone())
    }

    /// Goes to the end of the line.
    pub fn line_up(&self, waiting: Waiting) -> Ticket<'_> {
        let mut line = locked(&self.line);
        line.next += 1;
        let number = line.next;
        line.waiting.insert(number, Place { waiting: waiting.clone(), gone: false });
        Ticket { gate: self, number, waiting }
    }

    /// Whether somebody with this is held now.
    fn holds(&self, waiting: &Waiting, now: Timestamp) -> Option<Curb> {
        let in_force = self.in_force(now, waiting.mode);
        let (treatment, curb) = in_force.verdict(waiting.loads, waiting.waits)?;
        (treatment == Treatment::Hold && curb.force == Force::Binding).then(|| curb.clone())
    }
}

impl Orders {
    fn freeze_curb(&self, now: Timestamp) -> Option<Curb> {
        let freeze = self.freeze.as_ref().filter(|freeze| freeze.holds(now))?;
        Some(Curb {
            cause: Cause::Freeze { reason: freeze.reason.clone(), by: freeze.by.clone() },
            treatments: self.hours.frozen,
            hold_for: self.hours.frozen_hold_for,
            until: freeze.until,
            zone: TimeZone::UTC,
            force: Force::Binding,
        })
    }
}

impl Freeze {
    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Ticket<'_> {
    /// What holds it, if anything does.
    pub fn held_by(&self, now: Timestamp) -> Option<Curb> {
        self.gate.holds(&self.waiting, now)
    }

    /// How many came before and still wait.
    pub fn before(&self) -> usize {
        locked(&self.gate.line).waiting.range(..self.number).filter(|(_, place)| !place.gone).count()
    }

    /// Whether it is its turn: nobody who came before may go on and has not gone yet, or is at the same tables.
    pub fn is_next(&self, now: Timestamp) -> bool {
        let line = locked(&self.gate.line);
        !line.waiting.range(..self.number).any(|(_, Place { waiting, gone })| {
            if *gone { waiting.meets(&self.waiting) } else { self.gate.holds(waiting, now).is_none() }
        })
    }

    /// It goes on; until it is dropped, those behind it that want the same tables wait.
    pub fn go(&self) {
        if let Some(place) = locked(&self.gate.line).waiting.get_mut(&self.number) {
            place.gone = true;
        }
    }
}

impl Waiting {
    fn meets(&self, other: &Self) -> bool {
        self.database == other.database && self.on.iter().any(|table| other.on.contains(table))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        locked(&self.gate.line).waiting.remove(&self.number);
    }
}

/// A panic elsewhere leaves whole values behind: each change is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::peak::Window;

    fn monday(time: &str) -> Timestamp {
        format!("2026-11-23T{time}Z").parse().expect("a moment")
    }

    fn gate(bulk: Treatment) -> Gate {
        let window = Window {
            days: "mon".parse().expect("days"),
            from: "08:00".parse().expect("a time"),
            to: "20:00".parse().expect("a time"),
            zone: TimeZone::UTC,
            treatments: Treatments { bulk, ..Treatments::default() },
            hold_for: None,
        };
        let gate = Gate::default();
        gate.set(Hours { schedule: Schedule { windows: vec![window] }, ..Hours::default() });
        gate
    }

    fn with(load: Load, mode: Mode) -> Waiting {
        let mut loads = Loads::NONE;
        loads.add(load);
        Waiting { database: "shop".into(), on: vec![1], loads, waits: false, mode }
    }

    #[test]
    fn those_who_may_go_on_go_in_the_order_of_arrival() {
        let gate = gate(Treatment::Warn);
        let strong = with(Load::Strong, Mode::Enforce);
        let (first, second) = (gate.line_up(strong.clone()), gate.line_up(strong.clone()));
        let bulk = gate.line_up(with(Load::Bulk, Mode::Enforce));
        let noon = monday("12:00:00");
        assert!(first.held_by(noon).is_some() && second.held_by(noon).is_some());
        // Who is not held does not wait for those who are.
        assert!(bulk.held_by(noon).is_none() && bulk.is_next(noon));
        let evening = monday("20:00:00");
        assert!(first.held_by(evening).is_none() && first.is_next(evening));
        assert!(second.held_by(evening).is_none() && !second.is_next(evening));
        assert_eq!((first.before(), second.before()), (0, 1));
        let other = gate.line_up(Waiting { on: vec![2], ..strong });
        first.go();
        // It is at the table.
        assert!(!second.is_next(evening));
        assert_eq!(second.before(), 0);
        drop(first);
        second.go();
        bulk.go();
        assert!(other.is_next(evening));
        assert!(second.is_next(evening) && !bulk.is_next(evening));
    }

    #[test]
    fn a_freeze_ends_by_itself_or_by_hand() {
        let gate = Gate::default();
        let noon = monday("12:00:00");
        let freeze =
            Freeze { reason: "incident".into(), by: "ann".into(), since: noon, until: Some(noon + 1.hour()) };
        gate.freeze(freeze.clone());
        assert_eq!(gate.frozen(noon), Some(freeze.clone()));
        assert_eq!(gate.frozen(noon + 1.hour()), None);
        assert_eq!(gate.thaw(noon + 1.hour()), None);
        gate.freeze(freeze.clone());
        assert_eq!(gate.thaw(noon), Some(freeze));
        assert_eq!(gate.frozen(noon), None);
    }

    #[test]
    fn what_has_begun_waits_where_a_new_one_is_refused() {
        let (noon, evening) = (monday("12:00:00"), monday("20:00:00"));
        let pauses = |bulk, at, mode| gate(bulk).pauses(at, mode).is_some();
        for bulk in [Treatment::Hold, Treatment::Refuse] {
            assert!(pauses(bulk, noon, Mode::Enforce) && !pauses(bulk, evening, Mode::Enforce), "{bulk:?}");
            assert!(!pauses(bulk, noon, Mode::Observe), "{bulk:?}");
        }
        assert!(!pauses(Treatment::Warn, noon, Mode::Enforce));
        let frozen = Gate::default();
        frozen.freeze(Freeze { reason: "r".into(), by: "b".into(), since: noon, until: None });
        assert!(frozen.pauses(noon, Mode::Observe).is_some() && frozen.pauses(noon, Mode::Off).is_none());
    }

    #[test]
    fn what_binds_whom() {
        let gate = gate(Treatment::Hold);
        let noon = monday("12:00:00");
        let forces = |gate: &Gate, mode| {
            gate.in_force(noon, mode).0.into_iter().map(|curb| curb.force).collect::<Vec<_>>()
        };
        assert_eq!(forces(&gate, Mode::Observe), [Force::Told]);
        let freeze = Freeze { reason: "r".into(), by: "b".into(), since: noon, until: None };
        gate.freeze(freeze);
        assert_eq!(forces(&gate, Mode::Enforce), [Force::Binding, Force::Binding]);
        assert_eq!(forces(&gate, Mode::Observe), [Force::Binding, Force::Told]);
        assert_eq!(forces(&gate, Mode::Off), []);
        // The freeze binds a session that is only observed, though the window is as grave.
        assert!(gate.holds(&with(Load::Strong, Mode::Observe), noon).is_some());
    }
}
