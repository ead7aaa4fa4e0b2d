//! The control flow of PL/pgSQL in front of a statement: `IF x THEN`, `BEGIN`, `<<label>>`.
//!
//! The grammar is that of `pl_gram.y` in Postgres' source, as far as it tells where a statement begins.

use std::ops::Range;

use crate::sql::lex::{Token, TokenKind};

/// A section of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Section {
    /// Between DECLARE and BEGIN, where words are names of variables.
    Declarations,
    #[default]
    Statements,
}

/// What stands before the statement of a piece, and in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// How many tokens it takes.
    pub(super) behind: usize,
    /// Where it leads.
    pub(super) section: Section,
    /// How many branches and loops begin.
    pub(super) opened: usize,
    /// How many end.
    pub(super) closed: usize,
    /// It begins the handlers of errors, which undo what the block has done.
    pub(super) catches: bool,
    /// Tokens of the queries that `FOR .. IN` runs.
    pub(super) queries: Vec<Range<usize>>,
}

/// Reads the control flow in front of a piece of a section; comments are left out of the tokens.
pub(super) fn read(text: &str, tokens: &[Token], section: Section) -> Flow {
    let mut flow = Flow { section, ..Flow::default() };
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text(text));
    while flow.behind < tokens.len() {
        let at = flow.behind;
        let is = |expected: &str| word(at).eq_ignore_ascii_case(expected);
        flow.behind = if word(at) == "#" && flow.section == Section::Statements {
            // `#variable_conflict use_column`
            at + 3
        } else if word(at) == "<" && word(at + 1) == "<" {
            let close = (at + 2..tokens.len()).find(|at| word(*at) == ">" && word(*at + 1) == ">");
            close.map_or(tokens.len(), |close| close + 2)
        } else if is("begin") {
            flow.section = Section::Statements;
            at + 1
        } else if is("declare") {
            flow.section = Section::Declarations;
            at + 1
        } else if flow.section == Section::Declarations {
            tokens.len()
        } else if is("loop") || is("else") || is("exception") {
            flow.opened += usize::from(is("loop"));
            flow.catches |= is("exception");
            at + 1
        } else if let Some(ends) = ending(word(at)) {
            let next = word(at + 1);
            if is("end") {
                let closes = ["if", "case", "loop"].iter().any(|word| next.eq_ignore_ascii_case(word));
                flow.closed += usize::from(closes);
            } else if !["elsif", "elseif", "when"].iter().any(|word| is(word)) {
                flow.opened += 1;
            }
            let end = find(text, tokens, at + 1, ends);
            if let (Some(end), "loop") = (end, ends) {
                flow.queries.extend(query(text, tokens, at..end));
            }
            end.map_or(tokens.len(), |end| end + 1)
        } else {
            break;
        };
    }
    flow.behind = flow.behind.min(tokens.len());
    flow
}

/// What ends the control flow that begins with a word.
fn ending(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "if" | "elsif" | "elseif" | "when" | "case" => Some("then"),
        "while" | "for" | "foreach" => Some("loop"),
        "end" => Some(";"),
        _ => None,
    }
}

/// The place of a word, outside parentheses and `CASE .. END`.
fn find(text: &str, tokens: &[Token], from: usize, word: &str) -> Option<usize> {
    let (mut depth, mut cases) = (0_usize, 0_usize);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if token.is_word(text, "case") => cases += 1,
            _ if token.is_word(text, "end") => cases = cases.saturating_sub(1),
            _ if cases == 0 && token.is_word(text, word) => return Some(at),
            _ => {}
        }
    }
    None
}

/// What stands between `IN` and `LOOP`.
fn query(text: &str, tokens: &[Token], within: Range<usize>) -> Option<Range<usize>> {
    let place = tokens.get(within.clone())?.iter().position(|token| token.is_word(text, "in"))?;
    Some(within.start + place + 1..within.end)
}
