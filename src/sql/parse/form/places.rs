//! Where the parts of a statement stand: the tree gives beginnings only, tokens give the ends.

use std::ops::Range;

use crate::sql::form::{Expression, FunctionName};
use crate::sql::lex::{Lexer, Token, TokenKind};
use crate::sql::parse::{Source, parse_nested};
use crate::sql::statement::Script;
use crate::sql::{Dialect, Encoding};

/// Bodies of code within bodies of code are looked into so deep.
const NESTING_MAX: usize = 4;

/// One statement's text, token by token.
pub(in crate::sql::parse) struct Places<'a> {
    source: Source<'a>,
    pub(super) text: &'a str,
    /// What to add to a location of the tree.
    offset: usize,
    /// Those of the statement, comments left out.
    pub(super) tokens: Vec<Token>,
}

impl<'a> Places<'a> {
    /// The statement at `span` of `text`, whose tree counts from `offset`.
    pub(in crate::sql::parse) fn new(source: Source<'a>, span: Range<usize>, offset: usize) -> Self {
        let text = source.text;
        let body = text.get(span.clone()).unwrap_or_default();
        let tokens = Lexer::new(body, source.dialect.standard_conforming_strings)
            .filter(|token| !matches!(token.kind, TokenKind::Comment(_)))
            .map(|token| Token { start: token.start + span.start, end: token.end + span.start, ..token })
            .collect();
        Self { source, text, offset, tokens }
    }

    /// `standard_conforming_strings`
    pub(super) const fn conforming(&self) -> bool {
        self.source.dialect.standard_conforming_strings
    }

    /// Where a body of code stands word for word in the first literal from `location` on; `None` where that has escapes.
    pub(super) fn find(&self, body: &str, location: i32) -> Option<usize> {
        let from = self.at(location)?;
        let literal =
            self.tokens.iter().find(|token| token.start >= from && token.kind == TokenKind::Literal)?;
        let text = literal.text(self.text);
        let opening = match text.strip_prefix('$') {
            Some(tagged) => tagged.find('$')? + 2,
            None => text.find('\'')? + 1,
        };
        let rest = text.get(opening..)?.strip_prefix(body)?;
        // `'a' 'b'` over two lines is one string.
        let closes = rest == "'" || text.get(..opening) == Some(rest);
        (closes && !body.is_empty()).then_some(literal.start + opening)
    }

    /// The body of `BEGIN ATOMIC .. END`.
    pub(super) fn behind_begin_atomic(&self) -> Option<(usize, &'a str)> {
        let begin = self.tokens.windows(2).find_map(|pair| match pair {
            [begin, atomic] if begin.is_word(self.text, "begin") && atomic.is_word(self.text, "atomic") => {
                Some(atomic.end)
            }
            _ => None,
        })?;
        let end = self.tokens.last().filter(|token| token.is_word(self.text, "end"))?;
        Some((begin, self.text.get(begin..end.start)?))
    }

    /// Whether characters of the text that the parser cannot read stand in it, told by their stand-ins.
    pub(super) fn holds_stand_ins(&self, body: &str) -> bool {
        self.source.bytes != self.text.as_bytes() && body.bytes().any(|byte| byte == b'x' || !byte.is_ascii())
    }

    /// Whether the statement stands so deep in bodies of code that its own is not looked into.
    pub(super) const fn is_too_deep(&self) -> bool {
        self.source.nesting >= NESTING_MAX
    }

    /// Reads a part of the text by itself.
    pub(super) fn parse_within(&self, range: Range<usize>) -> Script {
        let bytes = self.source.bytes.get(range).unwrap_or_default();
        parse_nested(bytes, self.source.dialect, self.source.nesting + 1)
    }

    /// Reads a text that stands nowhere as it is.
    pub(super) fn parse_elsewhere(&self, text: &str) -> Script {
        let dialect = Dialect { encoding: Encoding::Utf8, ..self.source.dialect };
        parse_nested(text.as_bytes(), dialect, self.source.nesting + 1)
    }

    /// The place in the text that a location of the tree means.
    pub(super) fn at(&self, location: i32) -> Option<usize> {
        usize::try_from(location).ok().map(|location| location + self.offset)
    }

    /// The parts between commas behind a relation's name that begins at `location`.
    pub(super) fn parts_after(&self, location: i32) -> Vec<Range<usize>> {
        let Some(mut rest) = self.at(location).and_then(|at| self.after_name(at)) else { return Vec::new() };
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let end = self.next_comma(rest).unwrap_or(rest.len());
            let (part, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            parts.extend(covered(part));
            rest = behind.get(1..).unwrap_or_default();
        }
        parts
    }

    /// The tokens behind a name that may be qualified, quoted, and followed by `*`.
    pub(super) fn after_name(&self, at: usize) -> Option<&[Token]> {
        let first = self.tokens.iter().position(|token| token.start == at)?;
        let mut rest = self.tokens.get(first + 1..)?;
        while let [dot, _, behind @ ..] = rest {
            if dot.text(self.text) != "." {
                break;
            }
            rest = behind;
        }
        match rest {
            [star, behind @ ..] if star.text(self.text) == "*" => Some(behind),
            _ => Some(rest),
        }
    }

    /// The first comma outside parentheses.
    fn next_comma(&self, tokens: &[Token]) -> Option<usize> {
        let mut depth = 0_usize;
        tokens.iter().position(|token| {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ => return depth == 0 && token.text(self.text) == ",",
            }
            false
        })
    }

    /// From `start` to the comma, closing parenthesis or end of `within` that ends it.
    pub(super) fn element(&self, start: usize, within: Option<&Range<usize>>) -> Option<Range<usize>> {
        let end = within.map_or(usize::MAX, |within| within.end);
        let tokens = self.between(start, end);
        let mut depth = 0_usize;
        let length = tokens.iter().position(|token| match token.kind {
            TokenKind::Open => {
                depth += 1;
                false
            }
            TokenKind::Close if depth == 0 => true,
            TokenKind::Close => {
                depth -= 1;
                false
            }
            _ => depth == 0 && token.text(self.text) == ",",
        });
        covered(tokens.get(..length.unwrap_or(tokens.len()))?)
    }

    /// The tokens from `start` on that end before `end`.
    fn between(&self, start: usize, end: usize) -> &[Token] {
        let first = self.tokens.partition_point(|token| token.start < start);
        let last = self.tokens.partition_point(|token| token.end <= end);
        self.tokens.get(first..last).unwrap_or_default()
    }

    /// What stands in the parentheses behind a word within `span`.
    pub(super) fn text_behind(&self, word: &str, span: &Range<usize>) -> Option<String> {
        let mut depth = 0_usize;
        let at = self.between(span.start, span.end).iter().find(|token| {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.is_word(self.text, word)
        })?;
        let found = self.in_parentheses(&(at.end..span.end))?;
        self.text.get(found.span).map(str::to_owned)
    }

    /// What stands in the first parentheses within `span`.
    pub(super) fn in_parentheses(&self, span: &Range<usize>) -> Option<Expression> {
        let tokens = self.between(span.start, span.end);
        let open = tokens.iter().position(|token| token.kind == TokenKind::Open)?;
        let mut depth = 0_usize;
        let length = tokens.get(open..)?.iter().position(|token| {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        Some(self.expression(covered(tokens.get(open + 1..open + length)?)?))
    }

    /// The expression behind the word DEFAULT that begins at `start`, up to `end`.
    pub(super) fn default(&self, start: usize, end: usize) -> Option<Expression> {
        let tokens = self.between(start, end);
        let tokens = match tokens {
            [word, rest @ ..] if word.is_word(self.text, "default") => rest,
            _ => return None,
        };
        Some(self.expression(covered(tokens)?))
    }

    /// An expression and the functions that it calls: words before a parenthesis, and those that need none.
    fn expression(&self, span: Range<usize>) -> Expression {
        let tokens = self.between(span.start, span.end);
        let mut functions: Vec<FunctionName> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let Some(name) = self.name(*token) else { continue };
            let called = tokens.get(at + 1).is_some_and(|next| next.text(self.text) == "(");
            let calls = called && !is_syntax(&name);
            let bare = token.kind == TokenKind::Word && is_bare_function(&name);
            if !calls && !bare {
                continue;
            }
            let schema = match at.checked_sub(2).and_then(|before| tokens.get(before..at)) {
                Some([schema, dot]) if dot.text(self.text) == "." => self.name(*schema),
                _ => None,
            };
            let function = FunctionName { schema, name };
            if !functions.contains(&function) {
                functions.push(function);
            }
        }
        Expression { columns: self.columns(tokens), span, functions }
    }

    /// The words that may be columns.
    fn columns(&self, tokens: &[Token]) -> Vec<(Option<String>, String)> {
        let text = |at: Option<usize>| {
            at.and_then(|at| tokens.get(at)).map(|token| token.text(self.text)).unwrap_or_default()
        };
        let column = |(at, token): (usize, &Token)| {
            let name = self.name(*token)?;
            let next = tokens.get(at + 1);
            let called = next.is_some_and(|next| {
                next.kind == TokenKind::Literal || matches!(next.text(self.text), "(" | ".")
            });
            let [before, second] = [1, 2].map(|by| text(at.checked_sub(by)));
            let cast = (before == ":" && second == ":") || before.eq_ignore_ascii_case("as");
            if called || cast {
                return None;
            }
            match before {
                "." => Some((Some(self.name(*tokens.get(at.checked_sub(2)?)?)?), name)),
                _ => Some((None, name)),
            }
        };
        tokens.iter().enumerate().filter_map(column).collect()
    }

    /// A word or quoted identifier as Postgres folds it.
    fn name(&self, token: Token) -> Option<String> {
        let text = token.text(self.text);
        match token.kind {
            TokenKind::Word => Some(text.to_ascii_lowercase()),
            TokenKind::Quoted => {
                Some(text.trim_start_matches('"').trim_end_matches('"').replace("\"\"", "\""))
            }
            _ => None,
        }
    }
}

/// From the first token to the last.
fn covered(tokens: &[Token]) -> Option<Range<usize>> {
    Some(tokens.first()?.start..tokens.last()?.end)
}

/// Words that stand before a parenthesis without being a function's name.
fn is_syntax(word: &str) -> bool {
    const WORDS: [&str; 40] = [
        "all",
        "and",
        "any",
        "array",
        "as",
        "between",
        "bigint",
        "bit",
        "boolean",
        "by",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "decimal",
        "default",
        "else",
        "exists",
        "float",
        "from",
        "greatest",
        "in",
        "integer",
        "interval",
        "is",
        "least",
        "like",
        "not",
        "nullif",
        "numeric",
        "or",
        "row",
        "some",
        "then",
        "time",
        "timestamp",
        "varchar",
        "when",
    ];
    WORDS.contains(&word)
}

/// Functions that are called without parentheses (`func_expr_common_subexpr` in `gram.y`).
fn is_bare_function(word: &str) -> bool {
    const WORDS: [&str; 10] = [
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "current_user",
        "current_role",
        "session_user",
        "current_catalog",
        "current_schema",
    ];
    WORDS.contains(&word)
}
