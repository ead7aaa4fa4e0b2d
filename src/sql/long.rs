//! A text that is too long to be read at once, looked through while it passes.
//!
//! Tells whether a statement that may matter begins behind a semicolon. What is kept between two pieces has a bound: a
//! state, the first letters of a statement, the tag of a dollar quote. Reads what `lex` reads in the same way.
//! Property: however a text is cut, the same is found.

use super::encoding::Dialect;
use super::lex::{is_space, is_word_start};
use super::triage::{Triage, is_ddl_word};

/// Longest word that is told from others; no word that matters is longer.
const WORD_MAX: usize = 12;

/// A dollar quote whose tag is longer counts as one that cannot be read.
const TAG_MAX: usize = 256;

/// The look at one text, piece by piece.
#[derive(Debug, Clone)]
pub struct LongText {
    dialect: Dialect,
    state: State,
    /// How much of the current statement's first word has been seen.
    head: Head,
    word: Vec<u8>,
    /// The tag of the dollar quote that is open, both dollar signs included.
    tag: Vec<u8>,
    /// The first bytes of a character that the last piece cut.
    cut: Vec<u8>,
    found: Triage,
}

/// What the current statement has begun with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Nothing yet.
    Awaited,
    /// A word that has not ended.
    InWord,
    /// Something that is known not to matter.
    Known,
}

/// Whether a backslash escapes in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    No,
    /// In every string (`standard_conforming_strings = off`).
    Always,
    /// `E'..'`, and what continues it on another line.
    Here,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    /// Behind one `-`, which may begin a comment.
    Minus,
    /// Behind one `/`.
    Slash,
    /// In a word of one letter, E, which may begin a string.
    LoneE,
    Word,
    /// In a number; with letters in it, it may be two tokens to an older server.
    Number,
    NumberWithLetters,
    Text(Escapes),
    /// Behind a backslash that escapes.
    Escaped(Escapes),
    /// Behind a quote, which may be doubled.
    TextQuote(Escapes),
    /// Behind a string of the `E'..'` form, which a newline and a quote would continue.
    AfterText(Newline),
    AfterTextMinus(Newline),
    AfterTextComment,
    Quoted,
    QuotedQuote,
    LineComment,
    /// In a block comment, so deep, behind such a byte.
    Comment(usize, Mark),
    /// In the tag of a dollar quote, perhaps.
    Tag,
    /// In a dollar quote, of whose closing tag so many bytes have been seen.
    Dollar(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newline {
    Seen,
    NotSeen,
}

/// The byte before, where it could be the first half of `/*` or `*/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Slash,
    Star,
}

impl LongText {
    /// At the beginning of a text.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            state: State::Between,
            head: Head::Awaited,
            word: Vec::new(),
            tag: Vec::new(),
            cut: Vec::new(),
            found: Triage::Forward,
        }
    }

    /// Looks at the next piece: `Look` once a statement that may matter has begun, or what cannot be read for sure.
    pub fn feed(&mut self, piece: &[u8]) -> Triage {
        if self.dialect.encoding.has_ascii_inside() {
            let mut text = std::mem::take(&mut self.cut);
            text.extend_from_slice(piece);
            let whole = self.dialect.encoding.hide(&mut text);
            self.cut = text.split_off(whole);
            self.read(&text);
        } else {
            self.read(piece);
        }
        self.found
    }

    fn read(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(&byte) = rest.first()
            && self.found == Triage::Forward
        {
            let used = match self.state {
                State::Between => self.between(byte, rest),
                State::Text(escapes) => self.text(escapes, rest),
                State::Quoted => self.seek(rest, State::QuotedQuote, |byte| byte == b'"'),
                State::LineComment => self.seek(rest, State::Between, is_newline),
                State::AfterTextComment => self.seek(rest, State::AfterText(Newline::Seen), is_newline),
                State::Dollar(0) => self.seek(rest, State::Dollar(1), |byte| byte == b'$'),
                State::Dollar(seen) => self.in_dollar(seen, byte),
                State::Word => self.word(rest),
                State::Number | State::NumberWithLetters => self.number(byte, rest),
                State::Comment(depth, mark) => self.comment(depth, mark, byte, rest),
                state => self.one(state, byte),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Goes to the first byte where `stop` holds, and behind it; the state is `then` if there is one.
    fn seek(&mut self, rest: &[u8], then: State, stop: impl Fn(u8) -> bool) -> usize {
        match rest.iter().position(|byte| stop(*byte)) {
            Some(at) => {
                self.state = then;
                at + 1
            }
            None => rest.len(),
        }
    }

    /// Between two tokens. Returns how many bytes are done with, as all of these do.
    fn between(&mut self, byte: u8, rest: &[u8]) -> usize {
        if self.head == Head::Known && (is_dull(byte) || is_word_start(byte)) {
            return self.skim(rest);
        }
        match byte {
            b'-' => self.state = State::Minus,
            b'/' => self.state = State::Slash,
            b';' => self.head = Head::Awaited,
            _ if is_word_start(byte) => {
                self.head = Head::InWord;
                self.word.clear();
                self.word.push(byte);
                self.state = first_of_word(byte);
            }
            _ if is_space(byte) || matches!(byte, b'(' | b'[') => {}
            _ => {
                self.head = Head::Known;
                self.state = self.begun_by(byte);
            }
        }
        1
    }

    /// The state behind the first byte of what is no word, no comment and no end.
    fn begun_by(&mut self, byte: u8) -> State {
        match byte {
            b'\'' if self.dialect.standard_conforming_strings => State::Text(Escapes::No),
            b'\'' => State::Text(Escapes::Always),
            b'"' => State::Quoted,
            b'$' => {
                self.tag.clear();
                self.tag.push(byte);
                State::Tag
            }
            b'0'..=b'9' => State::Number,
            _ => State::Between,
        }
    }

    /// Goes over words, numbers and operators, which change nothing once a statement has begun.
    fn skim(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let tail = rest.get(at..).unwrap_or_default();
            let dull = tail.iter().position(|byte| !is_dull(*byte)).unwrap_or(tail.len());
            let behind_digit = tail.get(..dull).and_then(<[u8]>::last).is_some_and(u8::is_ascii_digit);
            at += dull;
            let tail = rest.get(at..).unwrap_or_default();
            let Some(&byte) = tail.first() else {
                self.state = if behind_digit { State::Number } else { State::Between };
                return at;
            };
            if !is_word_start(byte) {
                return at;
            }
            if behind_digit && byte.is_ascii() {
                self.state = State::NumberWithLetters;
                return at;
            }
            match tail.iter().position(|byte| !is_in_word(*byte)) {
                Some(end) if end > 1 => at += end,
                _ => {
                    self.state = first_of_word(byte);
                    return at + 1;
                }
            }
        }
    }

    fn text(&mut self, escapes: Escapes, rest: &[u8]) -> usize {
        if escapes == Escapes::No {
            return self.seek(rest, State::TextQuote(escapes), |byte| byte == b'\'');
        }
        match rest.iter().position(|byte| matches!(byte, b'\'' | b'\\')) {
            Some(at) => {
                let quote = rest.get(at) == Some(&b'\'');
                self.state = if quote { State::TextQuote(escapes) } else { State::Escaped(escapes) };
                at + 1
            }
            None => rest.len(),
        }
    }

    fn word(&mut self, rest: &[u8]) -> usize {
        let end = rest.iter().position(|byte| !is_in_word(*byte));
        let more = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if self.head == Head::InWord {
            // One letter more than fits shows that the word is longer.
            let room = (WORD_MAX + 1).saturating_sub(self.word.len());
            self.word.extend(more.iter().take(room));
        }
        if end.is_some() {
            self.end_of_word();
        }
        more.len()
    }

    fn end_of_word(&mut self) {
        self.state = State::Between;
        if self.head == Head::InWord {
            self.head = Head::Known;
            if is_ddl_word(&self.word) {
                self.found = Triage::Look;
            }
        }
    }

    fn number(&mut self, byte: u8, rest: &[u8]) -> usize {
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let more = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if more.iter().any(|byte| !byte.is_ascii_digit()) {
            self.state = State::NumberWithLetters;
        }
        if end.is_some() {
            if byte == b'$' && self.state == State::NumberWithLetters {
                // To a server before 15, `1a$b$` is a number and a word; to a later one, `1_0$b$` begins a string.
                self.found = Triage::Look;
            }
            if more.is_empty() {
                self.state = State::Between;
            }
        }
        more.len()
    }

    fn comment(&mut self, depth: usize, mark: Mark, byte: u8, rest: &[u8]) -> usize {
        let (depth, mark) = match (mark, byte) {
            (Mark::Star, b'/') => (depth - 1, Mark::None),
            (Mark::Slash, b'*') => (depth + 1, Mark::None),
            (_, b'*') => (depth, Mark::Star),
            (_, b'/') => (depth, Mark::Slash),
            _ => {
                self.state = State::Comment(depth, Mark::None);
                return rest.iter().position(|byte| matches!(byte, b'*' | b'/')).unwrap_or(rest.len());
            }
        };
        self.state = if depth == 0 { State::Between } else { State::Comment(depth, mark) };
        1
    }

    fn in_dollar(&mut self, seen: usize, byte: u8) -> usize {
        let seen = match self.tag.get(seen) {
            Some(expected) if *expected == byte => seen + 1,
            _ if byte == b'$' => 1,
            _ => 0,
        };
        self.state = if seen == self.tag.len() { State::Between } else { State::Dollar(seen) };
        1
    }

    /// The states that one byte ends or carries on.
    fn one(&mut self, state: State, byte: u8) -> usize {
        let (state, used) = match (state, byte) {
            (State::Minus, b'-') => (State::LineComment, 1),
            (State::Slash, b'*') => (State::Comment(1, Mark::None), 1),
            (State::Minus | State::Slash, _) => {
                self.head = Head::Known;
                (State::Between, 0)
            }
            (State::LoneE, b'\'') => {
                self.head = Head::Known;
                (State::Text(Escapes::Here), 1)
            }
            (State::LoneE, _) => (State::Word, 0),
            (State::Escaped(escapes), _) | (State::TextQuote(escapes), b'\'') => (State::Text(escapes), 1),
            (State::TextQuote(Escapes::Here), _) => (State::AfterText(Newline::NotSeen), 0),
            (State::AfterText(_), _) if is_newline(byte) => (State::AfterText(Newline::Seen), 1),
            (State::AfterText(_), _) if is_space(byte) => (state, 1),
            (State::AfterText(newline), b'-') => (State::AfterTextMinus(newline), 1),
            (State::AfterText(Newline::Seen), b'\'') => (State::Text(Escapes::Here), 1),
            (State::AfterTextMinus(_), b'-') => (State::AfterTextComment, 1),
            (State::QuotedQuote, b'"') => (State::Quoted, 1),
            (State::Tag, _) => return self.tag(byte),
            _ => (State::Between, 0),
        };
        self.state = state;
        used
    }

    /// In what may be the tag of a dollar quote.
    fn tag(&mut self, byte: u8) -> usize {
        let first = self.tag.len() == 1;
        if byte == b'$' {
            self.tag.push(byte);
            self.state = State::Dollar(0);
            return 1;
        }
        if is_word_start(byte) || (!first && byte.is_ascii_digit()) {
            let is_stand_in = !byte.is_ascii() && self.dialect.encoding.has_ascii_inside();
            if is_stand_in || self.tag.len() >= TAG_MAX {
                self.found = Triage::Look;
            }
            self.tag.push(byte);
            return 1;
        }
        // No tag: a lone dollar sign, and perhaps a word behind it.
        self.state = match self.tag.get(1..) {
            Some([b'e' | b'E']) => State::LoneE,
            Some([_, ..]) => State::Word,
            _ => State::Between,
        };
        0
    }
}

/// Whether the byte changes nothing once the statement has begun, unless it is the last of a number.
const fn is_dull(byte: u8) -> bool {
    !(is_word_start(byte) || matches!(byte, b'\'' | b'"' | b';' | b'-' | b'/' | b'$'))
}

const fn first_of_word(byte: u8) -> State {
    if byte.eq_ignore_ascii_case(&b'e') { State::LoneE } else { State::Word }
}

const fn is_in_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

const fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sql::Encoding;
    use crate::sql::lex::{Lexer, TokenKind};

    fn dialect(standard_conforming_strings: bool) -> Dialect {
        Dialect { encoding: Encoding::Utf8, standard_conforming_strings }
    }

    /// What is found in a text that comes in pieces; its end is a NUL, as in a message.
    fn found(text: &[u8], dialect: Dialect, pieces: impl IntoIterator<Item = usize>) -> Triage {
        let text = [text, b"\0"].concat();
        let (mut look, mut rest) = (LongText::new(dialect), &text[..]);
        for length in pieces {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            look.feed(piece);
            rest = after;
        }
        look.feed(rest)
    }

    /// The same by the lexer that reads whole texts.
    fn by_lexer(text: &str, conforming: bool) -> Triage {
        let mut awaited = true;
        for token in Lexer::new(text, conforming) {
            let begins = match token.kind {
                TokenKind::Comment(_) | TokenKind::Open => continue,
                TokenKind::Semicolon => {
                    awaited = true;
                    continue;
                }
                TokenKind::Word => awaited && is_ddl_word(token.text(text).as_bytes()),
                _ => token.is_ambiguous(text),
            };
            if begins {
                return Triage::Look;
            }
            awaited = false;
        }
        Triage::Forward
    }

    #[test]
    fn what_stands_behind_a_semicolon_is_found() {
        for text in [
            "SELECT 1; ALTER TABLE t ADD c int",
            "SELECT ';'; /* ; */ -- x\n (((DROP TABLE t",
            "SELECT 1;do",
            r"SELECT E'\''; LOCK t",
            "SELECT E'' -- x\n '\\''; LOCK t",
            "SELECT $a$ $$ $a $$a$; CREATE TABLE t (a int)",
            "SELECT $1; TRUNCATE t",
            "SELECT a$b$; TRUNCATE t; --$b$",
            "SELECT 1a$b$; TRUNCATE t; --$b$",
            r#"SELECT "a"";"; CALL p()"#,
            "/* /* */ ; */ SELECT 1 - 2 / 3; VACUUM FULL",
        ] {
            assert_eq!(found(text.as_bytes(), dialect(true), []), Triage::Look, "{text}");
            assert_eq!(found(text.as_bytes(), dialect(true), vec![1; text.len()]), Triage::Look, "{text}");
        }
        assert_eq!(found(br"SELECT '\'; DROP TABLE t; --'", dialect(true), []), Triage::Look);
        assert_eq!(found(br"SELECT '\'; DROP TABLE t; --'", dialect(false), []), Triage::Forward);
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for text in [
            "SELECT 1; SELECT alter; INSERT INTO drop VALUES (1)",
            "INSERT INTO t VALUES ('; ALTER TABLE t'), (E'\\'; DROP t'), ($$; DROP t$$), ($a$; DROP t$b$; DROP t$a$)",
            "SELECT 1 -- ; ALTER TABLE t",
            "SELECT 1 /* ; ALTER /* */ ; ALTER */ ; \"drop\" TABLE t; doing; ALTERS; 1 ALTER",
            "BEGIN; SET a = b; COMMIT;",
        ] {
            assert_eq!(found(text.as_bytes(), dialect(true), []), Triage::Forward, "{text}");
        }
    }

    #[test]
    fn half_letters_are_no_backslashes() {
        // 0x95 0x5C is one letter of SJIS, whose second byte is a backslash elsewhere.
        let text = b"SELECT E'\x95\x5C'; ALTER TABLE t --'";
        for cut in 0..text.len() {
            assert_eq!(found(text, Encoding::Sjis.into(), [cut]), Triage::Look, "{cut}");
            assert_eq!(found(text, Encoding::SingleByte.into(), [cut]), Triage::Forward, "{cut}");
        }
        let text = b"SELECT '\x81\x30\x81\x27; ALTER TABLE t --'";
        for cut in 0..text.len() {
            assert_eq!(found(text, Encoding::Gb18030.into(), [cut]), Triage::Forward, "{cut}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut look = LongText::new(dialect(true));
        for piece in ["SELECT 1;", &"x".repeat(100_000), " $", &"y".repeat(100_000)] {
            look.feed(piece.as_bytes());
        }
        assert!(look.word.len() < 100 && look.tag.len() < 1_000, "{} {}", look.word.len(), look.tag.len());
    }

    proptest! {
        #[test]
        fn pieces_tell_what_the_whole_tells(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    ";", "'", "''", "\\", "E'", "e", "$", "$$", "$a$", "$e", "1a", "_", "\"", "--", "-", "/*", "*/", "/", "*",
                    "\n", " ", "\u{b}", "(", ")", "alter", "DO", "x", "é", "7", ",",
                ]),
                0..40,
            ),
            pieces in prop::collection::vec(1usize..6, 0..60),
            conforming: bool,
        ) {
            let text = parts.concat();
            let expected = by_lexer(&text, conforming);
            prop_assert_eq!(found(text.as_bytes(), dialect(conforming), []), expected, "{}", text);
            prop_assert_eq!(found(text.as_bytes(), dialect(conforming), pieces), expected, "{}", text);
        }

        #[test]
        fn any_bytes_are_read_alike_in_pieces(
            text in prop::collection::vec(prop::sample::select(&b"\x95\x5C\x81\x30\xe9';E$ -\nalter"[..]), 0..60),
            pieces in prop::collection::vec(1usize..6, 0..60),
            encoding in prop::sample::select(vec![Encoding::Sjis, Encoding::Gb18030, Encoding::Utf8]),
        ) {
            let whole = found(&text, encoding.into(), []);
            prop_assert_eq!(found(&text, encoding.into(), pieces), whole);
        }
    }
}
