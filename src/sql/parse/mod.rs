//! Reads statements with the server's own grammar.
//!
//! Invariants: nothing here fails or panics, whatever the text; this folder alone names the parser; no tree leaves it.
//! What the parser cannot read (too deep, too long, comments nested too far) is told by its first words instead.

mod alter;
mod block;
mod classify;
mod complaint;
mod drop;
mod form;
mod found;
mod names;
mod outline;
mod pieces;
mod read;
mod setting;

use std::ops::Range;

use pg_query::protobuf;

use self::names::Names;
use self::read::{Unread, read, split, summary_is_ordinary};
use super::directive::directives;
use super::encoding::Dialect;
use super::form::Form;
use super::lex::{self, Lexer, TokenKind};
use super::statement::{Kind, Opaque, Place, Reach, Readable, Script, Statement, Text};
use super::triage::{Ordinary, has_inner_semicolon, is_ddl_word, ordinary_word};

pub use self::complaint::{Complaint, complaint};
pub use self::pieces::pieces;
pub(super) use self::read::{
    differs_only_by_concurrently, differs_only_by_table, differs_only_by_unless_exists,
};

/// Longer texts are not handed to the parser: its tree takes some hundred times the text's room.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Deeper comments are not handed to the parser, whose lexer takes quadratic time on them.
const COMMENT_DEPTH_MAX: usize = 32;

/// Reads a text; what cannot be read is `Opaque`.
pub fn parse(text: &[u8], dialect: impl Into<Dialect>) -> Script {
    parse_nested(text, dialect.into(), 0)
}

/// Reads a text that stands in so many bodies of code.
fn parse_nested(text: &[u8], dialect: Dialect, nesting: usize) -> Script {
    let shadow = dialect.encoding.shade(text);
    let source = Source { text: &shadow.text, bytes: text, dialect, nesting };
    let mut script = Script {
        text: Text::new(text),
        dialect,
        statements: Vec::new(),
        readable: Readable::Whole,
        directives: directives(source.text, dialect.standard_conforming_strings),
    };
    if shadow.ambiguous || text.contains(&0) {
        // Not even where its statements end is sure.
        script.readable = Readable::Rejected;
        script.statements = vec![told(0..text.len(), Kind::Opaque(Opaque::Unread))];
    } else {
        let names = Names::new(source.text, text, dialect);
        (script.statements, script.readable) = source.statements(&names);
    }
    script
}

/// A text as the parser reads it.
#[derive(Clone, Copy)]
struct Source<'a> {
    text: &'a str,
    /// The text as it was sent, of the same length.
    bytes: &'a [u8],
    dialect: Dialect,
    /// How many bodies of code are around it.
    nesting: usize,
}

impl Source<'_> {
    fn statements(&self, names: &Names) -> (Vec<Statement>, Readable) {
        if self.is_out_of_bounds() {
            return (self.unread(None), Readable::TooDeep);
        }
        match read(self.text, self.dialect) {
            Ok(tree) => (self.of_tree(&tree, names, 0), Readable::Whole),
            Err(Unread::Rejected) => (self.unread(None), Readable::Rejected),
            Err(Unread::TooDeep) => (self.one_by_one(names), Readable::TooDeep),
        }
    }

    /// Whether the parser would take too much time or room.
    fn is_out_of_bounds(&self) -> bool {
        self.text.len() > TEXT_BYTES_MAX
            || Lexer::new(self.text, self.dialect.standard_conforming_strings)
                .any(|token| matches!(token.kind, TokenKind::Comment(depth) if depth > COMMENT_DEPTH_MAX))
    }

    /// The statements of a tree whose text begins at `offset` of the whole.
    fn of_tree(&self, tree: &protobuf::ParseResult, names: &Names, offset: usize) -> Vec<Statement> {
        tree.stmts.iter().filter_map(|raw| self.statement(raw, names, offset)).collect()
    }

    fn statement(&self, raw: &protobuf::RawStmt, names: &Names, offset: usize) -> Option<Statement> {
        let node = raw.stmt.as_ref()?.node.as_ref()?;
        let start = offset + usize::try_from(raw.stmt_location).ok()?;
        let end = match usize::try_from(raw.stmt_len).ok()? {
            0 => self.text.len(),
            length => start + length,
        };
        let found = classify::classify(node, names);
        let span = self.trimmed(start..end);
        let places = form::Places::new(*self, span.clone(), offset);
        let form = form::form(node, &places);
        Some(Statement { form, writes: form::writes(node), reads: form::reads(node), ..found.at(span) })
    }

    /// A span from its first word to its last, comments and white space around it cut off.
    fn trimmed(&self, span: Range<usize>) -> Range<usize> {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let mut tokens = Lexer::new(text, self.dialect.standard_conforming_strings)
            .filter(|token| !matches!(token.kind, TokenKind::Comment(_) | TokenKind::Semicolon));
        let Some(first) = tokens.next() else { return span };
        let last = tokens.last().unwrap_or(first);
        span.start + first.start..span.start + last.end
    }

    /// Statement by statement, so that one that is too deep does not hide the others.
    fn one_by_one(&self, names: &Names) -> Vec<Statement> {
        let Some(spans) = split(self.text) else { return self.unread(None) };
        let mut statements = Vec::new();
        for span in spans {
            let Some(text) = self.text.get(span.clone()) else { continue };
            match read(text, self.dialect) {
                Ok(tree) => {
                    let piece = Source { text: self.text.get(..span.end).unwrap_or(self.text), ..*self };
                    statements.extend(piece.of_tree(&tree, names, span.start));
                }
                Err(_) if summary_is_ordinary(text, self.dialect) => {
                    statements.push(told(span, Kind::Ordinary));
                }
                Err(_) => statements.extend(self.unread(Some(span))),
            }
        }
        statements
    }

    /// What the first words of the statements tell, within a span or of all.
    fn unread(&self, within: Option<Range<usize>>) -> Vec<Statement> {
        let span = within.unwrap_or(0..self.text.len());
        let text = self.text.get(span.clone()).unwrap_or_default();
        let conforming = self.dialect.standard_conforming_strings;
        let may_hide_another = has_inner_semicolon(text.as_bytes());
        if may_hide_another && Lexer::new(text, conforming).any(|token| token.is_ambiguous(text)) {
            return vec![told(span, Kind::Opaque(Opaque::Unread))];
        }
        lex::pieces(text, conforming)
            .into_iter()
            .map(|piece| {
                let kind = first_words_tell(text.get(piece.clone()).unwrap_or_default(), conforming);
                told(span.start + piece.start..span.start + piece.end, kind)
            })
            .collect()
    }
}

/// A statement that only its first words tell.
fn told(span: Range<usize>, kind: Kind) -> Statement {
    Statement {
        span,
        tag: "statement",
        kind,
        locks: Vec::new(),
        reach: Reach::Named,
        place: Place::Anywhere,
        form: Form::Plain,
        writes: Vec::new(),
        reads: Vec::new(),
    }
}

/// What the first word tells of a statement that could not be read: gibberish is for the server to refuse.
fn first_words_tell(text: &str, conforming: bool) -> Kind {
    let first = Lexer::new(text, conforming)
        .find(|token| !matches!(token.kind, TokenKind::Comment(_) | TokenKind::Open))
        .filter(|token| token.kind == lex::TokenKind::Word)
        .map(|token| token.text(text))
        .unwrap_or_default();
    match ordinary_word(first.as_bytes()) {
        Ordinary::No if is_ddl_word(first.as_bytes()) => Kind::Opaque(Opaque::Unread),
        Ordinary::Yes | Ordinary::Set | Ordinary::No => Kind::Ordinary,
    }
}

#[cfg(test)]
mod tests;
