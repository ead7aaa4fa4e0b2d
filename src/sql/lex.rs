//! A lexer that knows just enough: where comments, strings and words begin and end.
//!
//! It reads what Postgres' own lexer reads in the same way (`src/backend/parser/scan.l`), in linear time whatever
//! the nesting, and never fails: what is left open reaches to the end of the text.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or a plain identifier.
    Word,
    /// `"an identifier"`
    Quoted,
    /// A string in any of its forms.
    Literal,
    /// A comment, with how deep comments nest in it.
    Comment(usize),
    /// `;`
    Semicolon,
    /// `(` or `[`
    Open,
    /// `)` or `]`
    Close,
    /// Numbers, operators and everything else.
    Other,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    /// The token's text.
    pub(crate) fn text(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether the token is this keyword.
    pub(crate) fn is_word(self, source: &str, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text(source).eq_ignore_ascii_case(word)
    }

    /// Whether servers read on from here in different ways: `1a$b$` is a number and a word to those before 15, and
    /// behind `1_0` a string begins only for those since 16. One of the two is always an error.
    pub(crate) fn is_ambiguous(self, source: &str) -> bool {
        let text = self.text(source);
        self.kind == TokenKind::Other
            && text.starts_with(|first: char| first.is_ascii_digit())
            && !text.bytes().all(|byte| byte.is_ascii_digit())
            && source.as_bytes().get(self.end) == Some(&b'$')
    }
}

/// The tokens of a text, comments included, white space left out.
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// A backslash escapes in plain strings too (`standard_conforming_strings = off`).
    backslashes: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, standard_conforming_strings: bool) -> Self {
        Self { bytes: text.as_bytes(), at: 0, backslashes: !standard_conforming_strings }
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn starts_with(&self, at: usize, prefix: &[u8]) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(prefix))
    }

    /// From `at` on, the first place where `stop` holds.
    fn seek(&self, at: usize, stop: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.iter().position(|byte| stop(*byte)).map_or(self.bytes.len(), |offset| at + offset)
    }

    /// The end of the token that begins at `at`, and what it is.
    fn token(&self, at: usize) -> (TokenKind, usize) {
        match self.byte(at) {
            b'\'' => (TokenKind::Literal, self.string(at, self.backslashes)),
            b'"' => (TokenKind::Quoted, self.quoted(at)),
            b';' => (TokenKind::Semicolon, at + 1),
            b'(' | b'[' => (TokenKind::Open, at + 1),
            b')' | b']' => (TokenKind::Close, at + 1),
            b'-' if self.starts_with(at, b"--") => {
                (TokenKind::Comment(0), self.seek(at, |byte| byte == b'\n' || byte == b'\r'))
            }
            b'/' if self.starts_with(at, b"/*") => self.block_comment(at),
            b'$' => self.dollar(at),
            b'0'..=b'9' => {
                (TokenKind::Other, self.seek(at, |byte| !byte.is_ascii_alphanumeric() && byte != b'_'))
            }
            byte if is_word_start(byte) => self.word(at),
            _ => (TokenKind::Other, at + 1),
        }
    }

    fn word(&self, at: usize) -> (TokenKind, usize) {
        let end = self.seek(at, |byte| !is_word_start(byte) && !byte.is_ascii_digit() && byte != b'$');
        if end == at + 1 && self.byte(at).eq_ignore_ascii_case(&b'e') && self.byte(end) == b'\'' {
            return (TokenKind::Literal, self.string(end, true));
        }
        (TokenKind::Word, end)
    }

    /// The end of a string; strings with only white space and a newline between them are one, in the first's manner.
    fn string(&self, quote: usize, backslashes: bool) -> usize {
        let mut at = quote + 1;
        loop {
            at = self.seek(at, |byte| byte == b'\'' || (backslashes && byte == b'\\'));
            match self.byte(at) {
                b'\\' => at += 2,
                b'\'' if self.byte(at + 1) == b'\'' => at += 2,
                b'\'' => match self.continued(at + 1) {
                    Some(next) => at = next + 1,
                    None => return at + 1,
                },
                _ => return self.bytes.len(),
            }
            if at >= self.bytes.len() {
                return self.bytes.len();
            }
        }
    }

    /// Where a string goes on that was closed before `at`: `whitespace_with_newline` of the server's lexer, then a quote.
    fn continued(&self, mut at: usize) -> Option<usize> {
        let mut newline = false;
        loop {
            match self.byte(at) {
                b'\n' | b'\r' => newline = true,
                b' ' | b'\t' | 0x0B | 0x0C => {}
                b'-' if self.starts_with(at, b"--") => {
                    at = self.seek(at, |byte| byte == b'\n' || byte == b'\r');
                    continue;
                }
                b'\'' if newline => return Some(at),
                _ => return None,
            }
            at += 1;
        }
    }

    fn quoted(&self, quote: usize) -> usize {
        let mut at = quote + 1;
        loop {
            at = self.seek(at, |byte| byte == b'"');
            if self.byte(at + 1) != b'"' {
                return (at + 1).min(self.bytes.len());
            }
            at += 2;
        }
    }

    fn block_comment(&self, start: usize) -> (TokenKind, usize) {
        let (mut at, mut depth, mut deepest) = (start + 2, 1_usize, 1_usize);
        while depth > 0 {
            at = self.seek(at, |byte| byte == b'*' || byte == b'/');
            if at >= self.bytes.len() {
                return (TokenKind::Comment(deepest), self.bytes.len());
            }
            if self.starts_with(at, b"*/") {
                depth -= 1;
                at += 2;
            } else if self.starts_with(at, b"/*") {
                depth += 1;
                deepest = deepest.max(depth);
                at += 2;
            } else {
                at += 1;
            }
        }
        (TokenKind::Comment(deepest), at)
    }

    /// `$tag$ .. $tag$`, or a lone dollar sign, or a parameter.
    fn dollar(&self, start: usize) -> (TokenKind, usize) {
        let first = self.byte(start + 1);
        let end = if is_word_start(first) {
            self.seek(start + 1, |byte| !is_word_start(byte) && !byte.is_ascii_digit())
        } else {
            start + 1
        };
        if self.byte(end) != b'$' {
            return (TokenKind::Other, start + 1);
        }
        let tag = self.bytes.get(start..=end).unwrap_or_default();
        let mut at = end + 1;
        loop {
            at = self.seek(at, |byte| byte == b'$');
            if at >= self.bytes.len() {
                return (TokenKind::Literal, self.bytes.len());
            }
            if self.starts_with(at, tag) {
                return (TokenKind::Literal, at + tag.len());
            }
            at += 1;
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let start = self.seek(self.at, |byte| !is_space(byte));
        if start >= self.bytes.len() {
            return None;
        }
        let (kind, end) = self.token(start);
        self.at = end.min(self.bytes.len());
        Some(Token { kind, start, end: self.at })
    }
}

/// White space of the server's lexer (`\v` since 16; before, it is a syntax error, so that it does no harm here).
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

/// A byte that a word may begin with: a letter, an underscore, anything that is not ASCII.
pub(crate) const fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

/// Where the statements of a text lie, told by semicolons alone (those within parentheses do not count).
pub(crate) fn pieces(text: &str, standard_conforming_strings: bool) -> Vec<std::ops::Range<usize>> {
    let mut pieces: Vec<std::ops::Range<usize>> = Vec::new();
    let (mut open, mut depth) = (false, 0_usize);
    for token in Lexer::new(text, standard_conforming_strings) {
        match token.kind {
            TokenKind::Comment(_) => continue,
            TokenKind::Semicolon if depth == 0 => {
                open = false;
                continue;
            }
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        match pieces.last_mut() {
            Some(piece) if open => piece.end = token.end,
            _ => pieces.push(token.start..token.end),
        }
        open = true;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(text: &str) -> String {
        Lexer::new(text, true)
            .map(|token| format!("{:?} {}", token.kind, token.text(text)))
            .collect::<Vec<_>>()
            .join(" | ")
    }

    #[test]
    fn tokens_are_those_of_the_server() {
        for (text, expected) in [
            ("a/*b/*c*/d*/e", "Word a | Comment(2) /*b/*c*/d*/ | Word e"),
            ("a--b\nc", "Word a | Comment(0) --b | Word c"),
            (r"E'a\'b' c", r"Literal E'a\'b' | Word c"),
            (r"'a\' c", r"Literal 'a\' | Word c"),
            ("E'a' -- x\n '\\'' b", "Literal E'a' -- x\n '\\'' | Word b"),
            ("E'a' 'b", "Literal E'a' | Literal 'b"),
            ("$a$;$b$;$a$;", "Literal $a$;$b$;$a$ | Semicolon ;"),
            ("a$b$ $1", "Word a$b$ | Other $ | Other 1"),
            (r#""a""b" "c"#, r#"Quoted "a""b" | Quoted "c"#),
            ("1+-/*;*/2", "Other 1 | Other + | Other - | Comment(1) /*;*/ | Other 2"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn backslashes_escape_when_strings_do_not_conform() {
        let text = r"'\'; DROP TABLE t; --'";
        assert_eq!(Lexer::new(text, true).nth(1).map(|token| token.kind), Some(TokenKind::Semicolon));
        assert_eq!(Lexer::new(text, false).count(), 1);
    }

    #[test]
    fn pieces_are_statements() {
        let text = " ;SELECT 1 ; /* ; */ CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2) ;; ";
        let pieces: Vec<_> = pieces(text, true).into_iter().filter_map(|piece| text.get(piece)).collect();
        assert_eq!(pieces, ["SELECT 1", "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)"]);
    }

    proptest! {
        #[test]
        fn lexing_ends_and_covers_the_text(text in r#"([-/*'"$\\eEa1é;() \n]|\PC){0,60}"#) {
            for conforming in [true, false] {
                let mut last = 0;
                for token in Lexer::new(&text, conforming) {
                    prop_assert!(token.start >= last && token.end > token.start);
                    prop_assert!(text.get(token.start..token.end).is_some());
                    last = token.end;
                }
            }
        }
    }
}
