//! Whether a message of the client's must be stopped.

use crate::session::eye::{Eye, Glance, Stop};
use crate::sql::{LongText, Triage};
use crate::wire::Header;
use crate::wire::client::{Bind, Parse, Values, query_text};
use crate::wire::frame::take_string;
use crate::wire::kind::client;

use super::{Attention, Tracker};
use crate::session::prepared::Why;

/// Names in a Bind or Execute are looked for in so many bytes; a longer name was never watched.
const NAMES_MAX: usize = 64 << 10;

/// Longer values are not kept; such a statement is not looked at for its rows.
const VALUES_MAX: usize = 1 << 20;

/// A text that is too long to be read whole is not stopped by fewer bytes than these.
const HEAD_MIN: usize = 4 << 10;

impl Tracker {
    #[inline]
    pub(super) fn judge(&mut self, header: Header, body: &[u8], eye: &mut impl Eye) -> Stop {
        if self.attention == Attention::Anything {
            return Stop::Engage;
        }
        match header.kind {
            client::QUERY | client::PARSE => self.judge_text(header, body, eye),
            client::BIND | client::EXECUTE if !self.prepared.is_empty() || self.deferred.is_some() => {
                self.judge_portal(header, body, eye)
            }
            _ => Stop::Clear,
        }
    }

    fn judge_text(&mut self, header: Header, body: &[u8], eye: &mut impl Eye) -> Stop {
        let whole = body.len() == header.body;
        if !whole && header.body <= self.inspect_max {
            return Stop::Incomplete;
        }
        if header.kind == client::QUERY && header.body > self.inspect_max && self.deferred.is_some() {
            // It may hold the COMMIT.
            return Stop::Oversize;
        }
        if header.kind == client::QUERY && header.body > self.inspect_max && eye.looks_on() {
            return self.judge_long_query(body, eye);
        }
        let text = if header.kind == client::PARSE {
            let Some((name, text)) = take_string(body) else {
                return match whole {
                    true => Stop::Clear,
                    false if body.len() < HEAD_MIN.min(self.inspect_max) => Stop::Incomplete,
                    false => Stop::Oversize,
                };
            };
            if !self.prepared.is_empty() && self.prepared.writes(name) {
                // It takes its place, or the server keeps the old one, which then runs unseen.
                self.prepared.forget(name);
            }
            if !self.prepared.is_empty() && self.prepared.is_watched(name) {
                return if whole { Stop::Engage } else { Stop::Oversize };
            }
            text
        } else {
            body
        };
        if whole && (self.attention == Attention::Next || self.deferred.is_some()) {
            return Stop::Engage;
        }
        if whole && header.body <= self.inspect_max {
            // A text without its NUL is for the server to refuse.
            return match query_text(text).map_or(Glance::Ordinary, |text| eye.glance(text, &self.reading)) {
                Glance::Ordinary => Stop::Clear,
                Glance::OrdinaryAsRead if self.is_reading_sure() => Stop::Clear,
                Glance::Writes if header.kind == client::PARSE => {
                    self.watch_writes(body);
                    Stop::Clear
                }
                Glance::Writes
                    if query_text(text).is_some_and(|text| eye.writes_few(text, &self.reading)) =>
                {
                    Stop::Clear
                }
                Glance::OrdinaryAsRead | Glance::Matters | Glance::Writes => Stop::Engage,
            };
        }
        match eye.must_stop_head(text) {
            false => Stop::Clear,
            // The first word may not have come whole.
            true if !whole && body.len() < HEAD_MIN.min(self.inspect_max) => Stop::Incomplete,
            true => Stop::Oversize,
        }
    }

    /// Whether no change of settings can be under way: the server tells of one with the next `ReadyForQuery`.
    fn is_reading_sure(&self) -> bool {
        self.expected.is_quiet() && self.ran_in_batch == 0
    }

    /// A Query may hold any number of statements: the first bytes are judged before they go on, so that what stands
    /// there is refused like a shorter message, and the rest while it passes.
    fn judge_long_query(&mut self, body: &[u8], eye: &mut impl Eye) -> Stop {
        let Some(first) = body.get(..self.inspect_max) else { return Stop::Incomplete };
        if !self.expected.is_quiet() && !self.expected.is_copying_in() {
            return Stop::Unsettled;
        }
        let mut long = LongText::new(self.reading.dialect());
        if eye.must_stop_head(first) || long.feed(first) == Triage::Look {
            return Stop::Oversize;
        }
        self.long = Some(Box::new(long));
        Stop::Clear
    }

    /// A statement is prepared that may write many rows: it is looked at when it is run. Where there is no room for it, it is not.
    fn watch_writes(&mut self, body: &[u8]) {
        if let Some(parse) = Parse::read(body)
            && self.prepared.has_room(parse.name, parse.sql)
        {
            self.prepared.watch(parse.name, parse.sql, Why::Writes);
        }
    }

    fn judge_portal(&mut self, header: Header, body: &[u8], eye: &mut impl Eye) -> Stop {
        let whole = body.len() == header.body;
        let names = if header.kind == client::BIND {
            Bind::read(body)
        } else {
            take_string(body).map(|(portal, _)| Bind { portal, statement: b"" })
        };
        let Some(names) = names else {
            return if whole || body.len() > NAMES_MAX { Stop::Clear } else { Stop::Incomplete };
        };
        if header.kind == client::BIND {
            let kept = header.body <= VALUES_MAX && self.prepared.writes(names.statement);
            if kept && !whole {
                return Stop::Incomplete;
            }
            let values = if kept { Values::read(body) } else { None };
            let has_room = self.prepared.bind_with(names.portal, names.statement, values);
            let waits = self.prepared.waits(names.statement).is_some();
            return match has_room {
                true if !waits || header.body > self.inspect_max => Stop::Clear,
                true if !whole => Stop::Incomplete,
                false if !whole => Stop::Oversize,
                // It is looked at for its values, or refused, for which its names are enough.
                true | false => Stop::Engage,
            };
        }
        match self.prepared.portal(names.portal) {
            Some(text) if self.deferred.is_none() && self.prepared.bound(names.portal).is_some() => {
                match eye.writes_few(&text, &self.reading) {
                    true => Stop::Clear,
                    false if whole => Stop::Engage,
                    false => Stop::Incomplete,
                }
            }
            Some(_) if whole => Stop::Engage,
            Some(_) => Stop::Incomplete,
            // What it runs is not known: it may be the COMMIT.
            None if self.deferred.is_some() => {
                if whole {
                    Stop::Engage
                } else {
                    Stop::Incomplete
                }
            }
            None => Stop::Clear,
        }
    }
}
