//! Where the statements of a file lie, as psql would send them.
//!
//! psql's own commands (`\set`, `\connect`) and the data of `COPY .. FROM stdin` are nobody's statements: they are
//! passed over. What is not sure to be data is read as statements, so that nothing is dropped in silence.

use std::ops::Range;

use crate::sql::lex::{Lexer, Token, TokenKind};

/// A file, cut into statements.
#[derive(Debug, Clone)]
pub struct Split {
    /// The file's text; what psql would not send is blank, so that every place is the file's own.
    pub text: String,
    /// The statements without their semicolons, each with the comments in front of it.
    pub pieces: Vec<Range<usize>>,
}

/// Cuts a file, in linear time.
pub fn split(text: &str) -> Split {
    let mut cutter = Cutter::new(text);
    let mut at = cutter.piece_start;
    while let Some(next) = cutter.cut_from(at) {
        at = next;
    }
    cutter.finish()
}

/// psql's commands that send what was written so far.
const SENDING: [&str; 9] =
    ["g", "gx", "gset", "gexec", "gdesc", "watch", "crosstabview", "bind", "bind_named"];

/// How many words at its beginning tell what a statement is.
const FIRST_WORDS: usize = 4;

struct Cutter<'a> {
    text: &'a str,
    blanks: Vec<Range<usize>>,
    pieces: Vec<Range<usize>>,
    /// Where the piece begins that is being read, comments included.
    piece_start: usize,
    /// The end of its last token; `None` before its first.
    piece_end: Option<usize>,
    parentheses: usize,
    /// `BEGIN ATOMIC` and the `CASE`s in it.
    blocks: usize,
    first_words: Vec<&'a str>,
    last_word: &'a str,
    /// `COPY .. FROM STDIN`
    takes_data: bool,
}

impl<'a> Cutter<'a> {
    fn new(text: &'a str) -> Self {
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self {
            text,
            blanks: Vec::new(),
            pieces: Vec::new(),
            piece_start: mark,
            piece_end: None,
            parentheses: 0,
            blocks: 0,
            first_words: Vec::new(),
            last_word: "",
            takes_data: false,
        }
    }

    /// Reads on from a place; the place to go on from where something had to be passed over.
    fn cut_from(&mut self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        for token in Lexer::new(rest, true) {
            let token = Token { start: at + token.start, end: at + token.end, ..token };
            let next = match token.kind {
                TokenKind::Comment(_) => None,
                TokenKind::Semicolon if self.parentheses == 0 && self.blocks == 0 => self.end(token),
                TokenKind::Other if token.text(self.text) == "\\" => self.command(token),
                _ => {
                    self.see(token);
                    None
                }
            };
            if next.is_some() {
                return next;
            }
        }
        None
    }

    fn see(&mut self, token: Token) {
        match token.kind {
            TokenKind::Open => self.parentheses += 1,
            TokenKind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            TokenKind::Word if self.parentheses == 0 => self.word(token.text(self.text)),
            _ => {}
        }
        self.piece_end = Some(token.end);
    }

    /// As psql does it (`identifier` in `psqlscan.l`).
    fn word(&mut self, word: &'a str) {
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        if self.first_words.len() < FIRST_WORDS {
            self.first_words.push(word);
        }
        if self.makes_routine() {
            match self.blocks {
                0 if is("begin") => self.blocks = 1,
                1.. if is("case") => self.blocks += 1,
                1.. if is("end") => self.blocks -= 1,
                _ => {}
            }
        }
        let copies = self.first_words.first().is_some_and(|first| first.eq_ignore_ascii_case("copy"));
        self.takes_data |= copies && is("stdin") && self.last_word.eq_ignore_ascii_case("from");
        self.last_word = word;
    }

    fn makes_routine(&self) -> bool {
        let at = |place: usize, word: &str| {
            self.first_words.get(place).is_some_and(|it| it.eq_ignore_ascii_case(word))
        };
        let routine = |place| at(place, "function") || at(place, "procedure");
        at(0, "create") && (routine(1) || at(1, "or") && at(2, "replace") && routine(3))
    }

    /// The statement ends here; where its data end, if they follow.
    fn end(&mut self, semicolon: Token) -> Option<usize> {
        let data = if self.takes_data { self.data(semicolon.end) } else { None };
        self.close(data.as_ref().map_or(semicolon.end, |data| data.end));
        let data = data?;
        let next = data.end;
        self.blanks.push(data);
        Some(next)
    }

    /// The lines of data behind a `COPY`, with the `\.` that ends them.
    fn data(&self, from: usize) -> Option<Range<usize>> {
        let mut at = from + self.text.get(from..)?.find('\n')? + 1;
        let start = at;
        loop {
            let rest = self.text.get(at..)?;
            let length = rest.find('\n').unwrap_or(rest.len());
            if rest.get(..length)?.trim_end_matches('\r') == "\\." {
                return Some(start..at + length);
            }
            if length == rest.len() {
                return None;
            }
            at += length + 1;
        }
    }

    /// A command of psql's own, to the end of its line.
    fn command(&mut self, backslash: Token) -> Option<usize> {
        let rest = self.text.get(backslash.end..)?;
        if rest.starts_with(';') {
            // Only tells psql to send both statements at once.
            self.blanks.push(backslash.start..backslash.end);
            return None;
        }
        let end = backslash.end + rest.find('\n').unwrap_or(rest.len());
        self.blanks.push(backslash.start..end);
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '_').collect();
        if self.piece_end.is_none() || SENDING.contains(&name.as_str()) {
            self.close(end);
        }
        Some(end)
    }

    fn close(&mut self, next: usize) {
        if let Some(end) = self.piece_end {
            self.pieces.push(self.piece_start..end);
        }
        *self = Self {
            blanks: std::mem::take(&mut self.blanks),
            pieces: std::mem::take(&mut self.pieces),
            piece_start: next,
            ..Self::new(self.text)
        };
    }

    fn finish(mut self) -> Split {
        self.close(self.text.len());
        let mut text = String::with_capacity(self.text.len());
        let mut at = 0;
        for blank in &self.blanks {
            text.push_str(self.text.get(at..blank.start).unwrap_or_default());
            let hidden = self.text.get(blank.clone()).unwrap_or_default();
            text.extend(hidden.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            at = blank.end;
        }
        text.push_str(self.text.get(at..).unwrap_or_default());
        Split { text, pieces: self.pieces }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &str) -> Vec<String> {
        let split = split(text);
        let piece =
            |piece: &Range<usize>| split.text.get(piece.clone()).unwrap_or_default().trim().to_owned();
        split.pieces.iter().map(piece).collect()
    }

    #[test]
    fn statements_keep_the_comments_in_front_of_them() {
        assert_eq!(
            pieces("\u{feff}-- one\nSELECT 1; /* two; */ SELECT ';' ; ;\n-- the end"),
            ["-- one\nSELECT 1", "/* two; */ SELECT ';'"]
        );
    }

    #[test]
    fn what_psql_does_itself_is_passed_over() {
        assert_eq!(
            pieces(
                "\\set ON_ERROR_STOP 'on;\nSELECT 1 \\gset pre_\nSELECT 2 \\; SELECT 3;\n\\echo it's\nSELECT 4"
            ),
            ["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"]
        );
        assert_eq!(pieces("SELECT 1\n\\echo here\n, 2;").concat().split_whitespace().count(), 4);
    }

    #[test]
    fn data_are_no_statements() {
        assert_eq!(
            pieces(
                "COPY t (a) FROM stdin;\nit's; \"data\n\\N\n\\.\n\nCOPY u FROM STDIN WITH (FORMAT csv);\n\\.\nSELECT 1;"
            ),
            ["COPY t (a) FROM stdin", "COPY u FROM STDIN WITH (FORMAT csv)", "SELECT 1"]
        );
        // Nothing ends them here, so that they may be none.
        assert_eq!(pieces("COPY t FROM stdin;\nDROP TABLE t;"), ["COPY t FROM stdin", "DROP TABLE t"]);
    }

    #[test]
    fn bodies_are_one_statement() {
        for text in [
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END",
            "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END",
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
            "DO $$ BEGIN PERFORM 1; END $$",
        ] {
            assert_eq!(pieces(&format!("{text};SELECT 1;")), [text, "SELECT 1"]);
        }
        assert_eq!(pieces("BEGIN; CREATE TABLE begin (a int); END;").len(), 3);
    }

    proptest! {
        #[test]
        fn pieces_lie_in_the_text(text in r#"(\\[g;.a]|\n|;|COPY t FROM stdin;|BEGIN|create function|[()'"$é]|\PC){0,40}"#) {
            let split = split(&text);
            prop_assert_eq!(split.text.len(), text.len());
            let mut last = 0;
            for piece in split.pieces {
                prop_assert!(piece.start >= last && piece.end > piece.start);
                prop_assert!(split.text.get(piece.clone()).is_some());
                last = piece.end;
            }
        }
    }
}
