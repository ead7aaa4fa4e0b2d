//! Where the parts of a statement that writes rows stand.

use std::ops::Range;

use super::Places;
use crate::sql::lex::TokenKind;

/// Which parts a statement that writes rows has.
#[expect(clippy::struct_excessive_bools, reason = "parts that are there or not, independent of each other")]
pub(in crate::sql::parse) struct Parts {
    /// An alias of the table.
    pub(in crate::sql::parse) alias: bool,
    /// `SET`
    pub(in crate::sql::parse) set: bool,
    /// `FROM`, `USING`
    pub(in crate::sql::parse) others: bool,
    /// `WHERE`
    pub(in crate::sql::parse) condition: bool,
}

/// Where the parts of a statement that writes rows stand.
pub(in crate::sql::parse) struct WritePlaces {
    /// From WITH on.
    pub(in crate::sql::parse) with: Option<Range<usize>>,
    /// The table with `ONLY` and its alias.
    pub(in crate::sql::parse) target: Range<usize>,
    /// From SET on.
    pub(in crate::sql::parse) set: Option<Range<usize>>,
    /// Behind FROM or USING.
    pub(in crate::sql::parse) others: Option<Range<usize>>,
    /// Behind WHERE.
    pub(in crate::sql::parse) condition: Option<Range<usize>>,
    /// From RETURNING on.
    pub(in crate::sql::parse) returning: Option<Range<usize>>,
}

impl Places<'_> {
    /// The parts of an `UPDATE` or `DELETE` whose table's name begins at `location`; `None` where they are not where they should be.
    pub(in crate::sql::parse) fn of_write(&self, location: usize, parts: &Parts) -> Option<WritePlaces> {
        let name = self.tokens.iter().position(|token| token.start == location)?;
        let word = |at: usize, word: &str| self.tokens.get(at).is_some_and(|it| it.is_word(self.text, word));
        let is = |at: usize, text: &str| self.tokens.get(at).is_some_and(|it| it.text(self.text) == text);
        let opened = name.checked_sub(2).filter(|at| word(*at, "only") && is(name - 1, "("));
        let target = opened.or_else(|| name.checked_sub(1).filter(|at| word(*at, "only"))).unwrap_or(name);
        let verb = target.checked_sub(if parts.set { 1 } else { 2 })?;
        let mut at = self.tokens.len() - self.after_name(location)?.len();
        if opened.is_some() {
            at += 1;
        }
        if parts.alias {
            at += if word(at, "as") { 2 } else { 1 };
        }
        let end =
            |at: usize| self.tokens.get(at).map_or(self.tokens.last().map_or(0, |it| it.end), |it| it.start);
        let start_of = |at: usize| self.tokens.get(at).map(|token| token.start);
        let clause = |from: usize, word: &str| self.clause(from, word);
        let returning = clause(at, "returning");
        let condition = if parts.condition { Some(clause(at, "where")?) } else { None };
        let others = match (parts.others, parts.set) {
            (false, _) => None,
            (true, true) => Some(clause(at, "from")?),
            (true, false) => Some(Some(at).filter(|at| word(*at, "using"))?),
        };
        let behind = self.tokens.len();
        let stop = |from: usize| {
            [others, condition, returning].into_iter().flatten().find(|at| *at > from).unwrap_or(behind)
        };
        let inside = |at: usize| Some(self.tokens.get(at)?.end..end(stop(at)));
        if parts.set && !word(at, "set") {
            return None;
        }
        Some(WritePlaces {
            with: (verb > 0).then(|| self.tokens.first().map_or(0, |it| it.start)..end(verb)),
            target: start_of(target)?..self.tokens.get(at.checked_sub(1)?)?.end,
            set: parts.set.then(|| end(at)..end(stop(at))),
            others: others.and_then(inside),
            condition: condition.and_then(inside),
            returning: returning.map(|at| end(at)..end(behind)),
        })
    }

    /// The reserved word that begins a clause, outside parentheses: it is no part of a name, and `IS DISTINCT FROM` is none.
    fn clause(&self, from: usize, clause: &str) -> Option<usize> {
        let mut depth = 0_usize;
        let tokens = self.tokens.iter().enumerate().skip(from);
        for (at, token) in tokens {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ if depth == 0 && token.is_word(self.text, clause) => {
                    let before = at.checked_sub(1).and_then(|at| self.tokens.get(at))?;
                    if before.text(self.text) != "." && !before.is_word(self.text, "distinct") {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
