//! One window: hours of some days in a time zone.
//!
//! Where clocks are put back, an hour comes twice: a window begins at the first of the two and ends with the second. Where they
//! are put forward, an hour is missing: what should begin or end in it does so at the moment of the change. So a window is
//! never shorter than its clock says, but for hours that are not there.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use super::{Days, Treatments};

/// So far ahead it is looked for an opening: two weeks, since that of one day may have no time in it.
const LOOKED_AHEAD_DAYS: i32 = 15;

const MINUTES_OF_DAY: u16 = 24 * 60;

/// What the clock on the wall shows, in minutes after midnight; 24:00 is the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock(u16);

impl Clock {
    /// The end of a day.
    pub const MIDNIGHT: Self = Self(MINUTES_OF_DAY);

    fn on(self, date: Date) -> Option<DateTime> {
        let date = if self == Self::MIDNIGHT { date.tomorrow().ok()? } else { date };
        let minutes = self.0 % MINUTES_OF_DAY;
        let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
        Some(date.to_datetime(Time::new(hour, minute, 0, 0).ok()?))
    }
}

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two = |text: &str| {
            (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse::<u16>().ok())
                .flatten()
        };
        let time = text.trim().split_once(':').and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
        match time {
            Some((hour, minute)) if minute < 60 && hour * 60 + minute <= MINUTES_OF_DAY => {
                Ok(Self(hour * 60 + minute))
            }
            _ => Err("expected a time of day from \"00:00\" to \"24:00\"".to_owned()),
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The days on which it opens.
    pub days: Days,
    /// When it opens.
    pub from: Clock,
    /// When it closes: on the next day where that is earlier than `from`.
    pub to: Clock,
    /// Whose clock it is.
    pub zone: TimeZone,
    /// What becomes of work meanwhile.
    pub treatments: Treatments,
    /// How long a statement may be held; `None` has no bound.
    pub hold_for: Option<Duration>,
}

impl Window {
    /// When it closes, if it is open.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(now).date();
        let days = [today.yesterday().ok(), Some(today)];
        let spans = days.into_iter().flatten().filter_map(|date| self.span(date));
        spans.filter(|(start, end)| *start <= now && now < *end).map(|(_, end)| end).max()
    }

    /// When it opens next.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(now).date();
        let days = (0..LOOKED_AHEAD_DAYS).filter_map(|ahead| today.checked_add(ahead.days()).ok());
        days.filter_map(|date| self.span(date)).map(|(start, _)| start).find(|start| *start > now)
    }

    /// The window that opens on a day; `None` where it does not, or has no time in it.
    fn span(&self, date: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.hold(date.weekday()) {
            return None;
        }
        let closes = if self.to < self.from { date.tomorrow().ok()? } else { date };
        let start = self.moment(self.from.on(date)?, Reading::First)?;
        let end = self.moment(self.to.on(closes)?, Reading::Last)?;
        (start < end).then_some((start, end))
    }

    fn moment(&self, clock: DateTime, reading: Reading) -> Option<Timestamp> {
        let offset = match (self.zone.to_ambiguous_timestamp(clock).offset(), reading) {
            (AmbiguousOffset::Unambiguous { offset }, _) => offset,
            (AmbiguousOffset::Fold { before, .. }, Reading::First) => before,
            (AmbiguousOffset::Fold { after, .. }, Reading::Last) => after,
            (AmbiguousOffset::Gap { after, .. }, _) => {
                // Read by the clock that is not in force yet, it lies before the change.
                let before = after.to_timestamp(clock).ok()?;
                return self.zone.following(before).next().map(|change| change.timestamp());
            }
        };
        offset.to_timestamp(clock).ok()
    }
}

/// Which of two moments is meant that show the same time.
#[derive(Debug, Clone, Copy)]
enum Reading {
    First,
    Last,
}

/// `mon-fri 08:00-20:00 Europe/Berlin`
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{} {}-{} {zone}", self.days, self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peak::Schedule;

    fn window(text: &str) -> Window {
        let parts: Vec<&str> = text.split([' ']).collect();
        let (from, to) = parts[1].split_once('-').expect("hours");
        Window {
            days: parts[0].parse().expect("days"),
            from: from.parse().expect("from"),
            to: to.parse().expect("to"),
            zone: TimeZone::get(parts[2]).expect("zone"),
            treatments: Treatments::default(),
            hold_for: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    /// Window, moment, when it closes if it is open then, when it opens next.
    const TABLE: [(&str, &str, &str, &str); 27] = [
        // An ordinary Monday in winter; the first moment belongs to it, the last does not.
        ("mon-fri 08:00-20:00 Europe/Berlin", "2026-11-23T06:59:59Z", "-", "2026-11-23T07:00:00Z"),
        (
            "mon-fri 08:00-20:00 Europe/Berlin",
            "2026-11-23T07:00:00Z",
            "2026-11-23T19:00:00Z",
            "2026-11-24T07:00:00Z",
        ),
        (
            "mon-fri 08:00-20:00 Europe/Berlin",
            "2026-11-23T18:59:59Z",
            "2026-11-23T19:00:00Z",
            "2026-11-24T07:00:00Z",
        ),
        ("mon-fri 08:00-20:00 Europe/Berlin", "2026-11-23T19:00:00Z", "-", "2026-11-24T07:00:00Z"),
        // Over the weekend, and over the change of the clock in it: 08:00 is 06:00 UTC in summer.
        ("mon-fri 08:00-20:00 Europe/Berlin", "2026-03-27T19:00:00Z", "-", "2026-03-30T06:00:00Z"),
        // Over midnight: it belongs to the day on which it opens.
        ("fri 22:00-04:00 UTC", "2026-11-27T21:59:59Z", "-", "2026-11-27T22:00:00Z"),
        ("fri 22:00-04:00 UTC", "2026-11-28T03:59:59Z", "2026-11-28T04:00:00Z", "2026-12-04T22:00:00Z"),
        ("fri 22:00-04:00 UTC", "2026-11-27T03:00:00Z", "-", "2026-11-27T22:00:00Z"),
        // Over midnight and a clock that is put forward: an hour shorter.
        (
            "sat 22:00-04:00 Europe/Berlin",
            "2026-03-29T01:30:00Z",
            "2026-03-29T02:00:00Z",
            "2026-04-04T20:00:00Z",
        ),
        ("sat 22:00-04:00 Europe/Berlin", "2026-03-29T02:00:00Z", "-", "2026-04-04T20:00:00Z"),
        // And one that is put back: an hour longer.
        (
            "sat 22:00-04:00 Europe/Berlin",
            "2026-10-25T02:59:59Z",
            "2026-10-25T03:00:00Z",
            "2026-10-31T21:00:00Z",
        ),
        // Begins in an hour that is not there: at the change, 01:00 UTC.
        ("sun 02:30-06:00 Europe/Berlin", "2026-03-29T00:59:59Z", "-", "2026-03-29T01:00:00Z"),
        (
            "sun 02:30-06:00 Europe/Berlin",
            "2026-03-29T01:00:00Z",
            "2026-03-29T04:00:00Z",
            "2026-04-05T00:30:00Z",
        ),
        // Ends in it.
        (
            "sun 01:00-02:30 Europe/Berlin",
            "2026-03-29T00:59:59Z",
            "2026-03-29T01:00:00Z",
            "2026-04-04T23:00:00Z",
        ),
        ("sun 01:00-02:30 Europe/Berlin", "2026-03-29T01:00:00Z", "-", "2026-04-04T23:00:00Z"),
        // Lies in it: there is no such time on that day.
        ("sun 02:10-02:50 Europe/Berlin", "2026-03-29T01:00:00Z", "-", "2026-04-05T00:10:00Z"),
        // Begins in an hour that comes twice: with the first.
        ("sun 02:30-06:00 Europe/Berlin", "2026-10-25T00:29:59Z", "-", "2026-10-25T00:30:00Z"),
        (
            "sun 02:30-06:00 Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-25T05:00:00Z",
            "2026-11-01T01:30:00Z",
        ),
        // Ends in it: with the second.
        (
            "sun 01:00-02:30 Europe/Berlin",
            "2026-10-25T01:29:59Z",
            "2026-10-25T01:30:00Z",
            "2026-11-01T00:00:00Z",
        ),
        ("sun 01:00-02:30 Europe/Berlin", "2026-10-25T01:30:00Z", "-", "2026-11-01T00:00:00Z"),
        // Lies in it: from the first to the second.
        (
            "sun 02:10-02:50 Europe/Berlin",
            "2026-10-25T01:05:00Z",
            "2026-10-25T01:50:00Z",
            "2026-11-01T01:10:00Z",
        ),
        // A whole day, of 23 hours.
        (
            "sun 00:00-24:00 Europe/Berlin",
            "2026-03-29T21:59:59Z",
            "2026-03-29T22:00:00Z",
            "2026-04-04T22:00:00Z",
        ),
        ("sun 00:00-24:00 Europe/Berlin", "2026-03-29T22:00:00Z", "-", "2026-04-04T22:00:00Z"),
        // A clock that changes at midnight, so that the day begins at one.
        ("sun 00:00-12:00 America/Havana", "2026-03-08T04:59:59Z", "-", "2026-03-08T05:00:00Z"),
        // Half an hour's change.
        (
            "sun 01:45-03:00 Australia/Lord_Howe",
            "2026-04-04T15:10:00Z",
            "2026-04-04T16:30:00Z",
            "2026-04-11T15:15:00Z",
        ),
        // A day that never was: Samoa went over the date line.
        ("fri 08:00-20:00 Pacific/Apia", "2011-12-30T10:00:00Z", "-", "2012-01-05T18:00:00Z"),
        // Far in the east it is another day already.
        (
            "mon 00:00-06:00 Pacific/Kiritimati",
            "2026-11-22T10:00:00Z",
            "2026-11-22T16:00:00Z",
            "2026-11-29T10:00:00Z",
        ),
    ];

    #[test]
    fn open_and_next() {
        for (text, now, until, next) in TABLE {
            let window = window(text);
            let shown = |moment: Option<Timestamp>| moment.map_or_else(|| "-".to_owned(), |m| m.to_string());
            assert_eq!(shown(window.open_until(at(now))), until, "{text} at {now}");
            assert_eq!(shown(window.next_opening(at(now))), next, "{text} after {now}");
            assert_eq!(window.to_string(), text);
        }
    }

    /// Whatever is said of the future comes true: it is closed up to the next opening, and open from then on.
    #[test]
    fn what_is_foretold_comes_true() {
        for (text, now, ..) in TABLE {
            let window = window(text);
            let mut now = at(now);
            for _ in 0..400 {
                let open = window.open_until(now);
                let next = open.or_else(|| window.next_opening(now)).expect("it opens every week");
                let just_before = next - 1.nanosecond();
                assert_eq!(window.open_until(just_before).is_some(), open.is_some(), "{text} {just_before}");
                assert!(next > now && window.open_until(next).is_some() == open.is_none(), "{text} {next}");
                now = next;
            }
        }
    }

    #[test]
    fn the_next_of_several() {
        let windows = ["mon-fri 08:00-20:00 UTC", "sat 10:00-12:00 UTC"].map(window).to_vec();
        let schedule = Schedule { windows };
        let friday = at("2026-11-27T21:00:00Z");
        let (window, opens) = schedule.next(friday).expect("a next one");
        assert_eq!((window.days.to_string().as_str(), opens), ("sat", at("2026-11-28T10:00:00Z")));
        assert_eq!(schedule.open(friday).count(), 0);
        assert_eq!(schedule.open(opens).count(), 1);
        assert_eq!(Schedule::default().next(friday), None);
    }

    #[test]
    fn times_of_day() {
        for (text, shown) in [("08:00", "08:00"), ("24:00", "24:00"), (" 00:05 ", "00:05")] {
            assert_eq!(text.parse::<Clock>().expect("a time").to_string(), shown);
        }
        for text in ["8:00", "24:01", "12:60", "12", "", "+1:00", "12:00:00", "noon"] {
            assert!(text.parse::<Clock>().is_err(), "{text}");
        }
    }
}
