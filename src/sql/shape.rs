//! The shape of a statement: its text without its literals and comments, so that what is found out about one statement holds for a
//! while for those that differ in their values only.

use std::hash::{BuildHasher, Hasher, RandomState};

use quick_cache::unsync::Cache;

use super::lex::{is_space, is_word_start};
use super::triage::first_word;

/// The shape of a text in its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape(u64);

/// What is known of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It writes no more than a row, whatever the values: it pins a key, or writes nothing.
    One,
    /// It has written few rows, or its table is small.
    Few,
}

/// Where a backslash escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// In `E'..'` only (`standard_conforming_strings`).
    Marked,
    /// In plain literals, too.
    Everywhere,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    known: Known,
    until: u64,
    /// Somebody finds out anew, and has up to this moment.
    renewed: u64,
}

/// So many shapes are remembered by a core.
const SHAPES_MAX: usize = 8_192;

/// A longer text is not looked through: it costs more than it saves.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What is known of shapes, each up to a moment; the least used is forgotten first. One per core, so that nothing is locked.
pub struct Shapes {
    known: Cache<Shape, Held>,
    hasher: RandomState,
}

impl Default for Shapes {
    fn default() -> Self {
        Self { known: Cache::new(SHAPES_MAX), hasher: RandomState::new() }
    }
}

impl Shapes {
    /// The shape of a text; `place` tells databases, users and their settings apart. `None` where that cannot be told in one reading.
    ///
    /// No byte of a long character may be ASCII (`Encoding::is_ascii_sure`).
    pub fn of(&self, text: &[u8], escapes: Escapes, place: u64) -> Option<Shape> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(place);
        let mut bare = Bare { bytes: [0; BARE_BYTES], length: 0, hasher };
        strip(text, escapes == Escapes::Everywhere, &mut bare)?;
        Some(Shape(bare.finish()))
    }

    /// What is known of a shape at a moment (in any unit, counted up).
    pub fn know(&self, shape: Shape, now: u64) -> Option<Known> {
        self.known.get(&shape).filter(|held| now < held.until.max(held.renewed)).map(|held| held.known)
    }

    /// The same for who finds out what is not known. Where that is to be found out anew, one does so, and the others go on for a
    /// while with what was known: all at once would be felt.
    pub fn know_or_ask(&mut self, shape: Shape, now: u64, for_as_long: u64) -> Option<Known> {
        let known = self.know(shape, now);
        if known.is_none()
            && let Some(mut held) = self.known.get_mut(&shape)
        {
            held.renewed = now.saturating_add(for_as_long);
        }
        known
    }

    /// Remembers it up to a moment.
    pub fn learn(&mut self, shape: Shape, known: Known, until: u64) {
        self.known.insert(shape, Held { known, until, renewed: 0 });
    }

    /// What was known does not hold any more.
    pub fn forget(&mut self, shape: Shape) {
        self.known.remove(&shape);
    }
}

/// Whether a text begins with a word of statements that may write many rows.
pub fn may_write(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] =
        [b"update", b"delete", b"with", b"merge", b"insert", b"explain", b"execute", b"prepare"];
    first_word(text).is_some_and(|word| WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// Whether a text begins with `EXECUTE`: what that runs is another thing in each session.
pub fn executes(text: &[u8]) -> bool {
    first_word(text).is_some_and(|word| word.eq_ignore_ascii_case(b"execute"))
}

/// Whether a text names `search_path`, in any case, or is `SET SCHEMA`, which means it: which tables its session means by their bare names may
/// be others from here on.
#[inline]
pub fn names_search_path(text: &[u8]) -> bool {
    const NAME: &[u8] = b"search_path";
    const BEFORE: usize = 6;
    if matches!(text, [b's' | b'S', b'e' | b'E', b't' | b'T', rest @ ..] if says(rest, b"schema")) {
        return true;
    }
    memchr::memchr_iter(b'_', text).any(|at| {
        let start = at.checked_sub(BEFORE);
        let found = start.and_then(|start| text.get(start..start + NAME.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(NAME))
    })
}

/// Whether a text sets it for as long as the session lasts, to what stands in the text: nothing else is known of when it ends.
pub fn sets_search_path(text: &[u8]) -> bool {
    first_word(text).is_some_and(|word| word.eq_ignore_ascii_case(b"set"))
        && !text.contains(&b';')
        && !says(text, b"local")
}

/// Whether a word stands in a text, between blanks or comments.
fn says(text: &[u8], wanted: &[u8]) -> bool {
    text.split(|byte| is_space(*byte) || *byte == b'/').any(|word| word.eq_ignore_ascii_case(wanted))
}

/// So much is handed to the hasher at once.
const BARE_BYTES: usize = 128;

/// A text without its literals, on its way into a hash.
struct Bare<H> {
    bytes: [u8; BARE_BYTES],
    length: usize,
    hasher: H,
}

impl<H: Hasher> Bare<H> {
    #[inline]
    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
        if self.length == BARE_BYTES {
            self.hasher.write(&self.bytes);
            self.length = 0;
        }
    }

    fn finish(mut self) -> u64 {
        self.hasher.write(self.bytes.get(..self.length).unwrap_or_default());
        self.hasher.write_usize(self.length);
        self.hasher.finish()
    }
}

/// Writes the text without literals and comments; `None` where something is left open, or asks something of lockkeeper.
fn strip<H: Hasher>(text: &[u8], backslashes: bool, bare: &mut Bare<H>) -> Option<()> {
    let mut at = 0;
    // The byte before, where that is part of a word.
    let mut before = None;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, byte) = match rest {
            [b'\'', tail @ ..] => {
                let escapes = backslashes || matches!(before, Some(b'e' | b'E'));
                (1 + literal(tail, escapes)?, b'\'')
            }
            [b'$', tail @ ..] if before.is_none() && !tail.first()?.is_ascii_digit() => {
                (1 + tagged(tail)?, b'\'')
            }
            [b'-', b'-', tail @ ..] => {
                let end = tail.iter().position(|byte| *byte == b'\n' || *byte == b'\r').unwrap_or(tail.len());
                (2 + says_nothing(tail.get(..end)?)?, b' ')
            }
            [b'/', b'*', tail @ ..] => {
                let end = tail.windows(2).position(|pair| pair == b"*/")?;
                let said = tail.get(..end)?;
                if said.windows(2).any(|pair| pair == b"/*") {
                    return None;
                }
                (4 + says_nothing(said)?, b' ')
            }
            [byte, ..] if byte.is_ascii_digit() && before.is_none() => {
                (rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count(), b'0')
            }
            [byte, ..] if is_space(*byte) => (rest.iter().take_while(|byte| is_space(**byte)).count(), b' '),
            [byte, ..] => (1, *byte),
            [] => break,
        };
        let of_word =
            length == 1 && (is_word_start(byte) || byte.is_ascii_digit() && before.is_some() || byte == b'$');
        before = of_word.then_some(byte);
        bare.put(byte);
        at += length;
    }
    Some(())
}

/// The length of the rest of a literal, its closing quote included.
fn literal(rest: &[u8], escapes: bool) -> Option<usize> {
    let mut at = 0;
    loop {
        let stop = |byte: &u8| *byte == b'\'' || (escapes && *byte == b'\\');
        let end = at + rest.get(at..)?.iter().position(stop)?;
        match rest.get(end..)? {
            [b'\\', _, ..] | [b'\'', b'\'', ..] => at = end + 2,
            [b'\\'] => return None,
            _ => return Some(end + 1),
        }
    }
}

/// The length of the rest of `$tag$ .. $tag$`.
fn tagged(rest: &[u8]) -> Option<usize> {
    let tag = rest.get(..=rest.iter().position(|byte| *byte == b'$')?)?;
    let body = rest.get(tag.len()..)?;
    let close = body.windows(tag.len() + 1).position(|window| {
        window.split_first().is_some_and(|(dollar, rest)| *dollar == b'$' && rest == tag)
    })?;
    Some(tag.len() + close + 1 + tag.len())
}

/// The length of a comment that asks nothing of lockkeeper.
fn says_nothing(comment: &[u8]) -> Option<usize> {
    let asks = comment.windows(10).any(|window| window.eq_ignore_ascii_case(b"lockkeeper"));
    (!asks).then_some(comment.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_values_have_one_shape() {
        let shapes = Shapes::default();
        let of = |text: &str| shapes.of(text.as_bytes(), Escapes::Marked, 1);
        let same = [
            "UPDATE t1 SET a = 'x', b = 12.5 WHERE id = 7",
            "UPDATE t1 SET a = 'it''s', b = 3 WHERE id = 1234",
            "UPDATE  t1\n SET a = '-- no', b = 0 WHERE id = 9",
            "UPDATE /* trace: 7' */ t1 SET a = '', b = 0 WHERE id = 9",
        ];
        let first = of(same[0]);
        assert!(first.is_some());
        for text in &same[1..3] {
            assert_eq!(of(text), first, "{text}");
        }
        assert_eq!(of(same[3]), of("UPDATE /* 'another */ t1 SET a = 'b', b = 1 WHERE id = 0"));
        for other in [
            "UPDATE t2 SET a = 'x', b = 12.5 WHERE id = 7",
            "UPDATE t1 SET a = 'x', b = 12.5 WHERE id > 7",
            "UPDATE t1 SET a = 'x', b = 12.5 WHERE id = 7 OR a = 'y'",
            "UPDATE t1 SET a = x, b = 12.5 WHERE id = 7",
        ] {
            assert!(of(other).is_some() && of(other) != first, "{other}");
        }
        assert_ne!(shapes.of(same[0].as_bytes(), Escapes::Marked, 2), first);
        for (text, alike) in [
            (r"UPDATE t SET a = E'it\'s' WHERE id = 1", "UPDATE t SET a = E'' WHERE id = 0"),
            (r"UPDATE t SET a = '\' WHERE id = 1", "UPDATE t SET a = '' WHERE id = 0"),
            ("UPDATE t SET a = $x$ it's $y$ $x$ WHERE id = 1", "UPDATE t SET a = $$$$ WHERE id = 0"),
            ("UPDATE \u{e9}1 SET a$b$c = 'x'", "UPDATE \u{e9}1 SET a$b$c = 'y'"),
        ] {
            assert!(of(text).is_some() && of(text) == of(alike), "{text}");
        }
        assert_eq!(shapes.of(br"UPDATE t SET a = '\' WHERE id = 1", Escapes::Everywhere, 1), None);
        assert_ne!(of("UPDATE t1 SET a = 1"), of("UPDATE t2 SET a = 1"));
        for none in [
            "UPDATE t SET a = 'open",
            "/* lockkeeper: allow bulk-write because of it */ DELETE FROM t",
            "DELETE FROM t -- LockKeeper: allow bulk-write because of it",
            "DELETE FROM t /* a /* b */ */",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        assert!(of("UPDATE t SET a = $1 WHERE b = $2").is_some());
    }

    #[test]
    fn what_is_known_is_known_for_a_while() {
        let mut shapes = Shapes::default();
        let shape = shapes.of(b"DELETE FROM t", Escapes::Marked, 1).unwrap();
        assert_eq!(shapes.know(shape, 0), None);
        shapes.learn(shape, Known::Few, 10);
        assert_eq!((shapes.know(shape, 9), shapes.know(shape, 10)), (Some(Known::Few), None));
    }

    #[test]
    fn one_finds_out_anew_while_the_others_go_on() {
        let mut shapes = Shapes::default();
        let shape = shapes.of(b"DELETE FROM t", Escapes::Marked, 1).unwrap();
        assert_eq!([shapes.know_or_ask(shape, 0, 5), shapes.know_or_ask(shape, 0, 5)], [None, None]);
        shapes.learn(shape, Known::Few, 10);
        let asked = [9, 10, 10, 14, 15, 16].map(|now| shapes.know_or_ask(shape, now, 5));
        let few = Some(Known::Few);
        // The one of 10 has not come back by 15: another asks.
        assert_eq!(asked, [few, None, few, few, None, few]);
        assert_eq!(shapes.know(shape, 16), few);
        shapes.learn(shape, Known::One, 30);
        assert_eq!((shapes.know(shape, 29), shapes.know(shape, 30)), (Some(Known::One), None));
        shapes.forget(shape);
        assert_eq!(shapes.know(shape, 16), None);
    }

    #[test]
    fn search_paths_are_seen_to_change() {
        for (text, sets) in [
            ("SET search_path = a", true),
            ("/* x */ set session Search_Path to a, b", true),
            ("set Schema 'a'", true),
            ("SET LOCAL SCHEMA 'a'", false),
            ("SET LOCAL search_path = a", false),
            ("SET/**/LOCAL search_path = a", false),
            ("SET search_path = a; SELECT 1", false),
            ("SELECT set_config('search_path', $1, true)", false),
        ] {
            assert!(names_search_path(text.as_bytes()), "{text}");
            assert_eq!(sets_search_path(text.as_bytes()), sets, "{text}");
        }
        for text in ["SELECT search_pat", "_path", "SELECT search-path", "SELECT research_paths_", ""] {
            assert_eq!(names_search_path(text.as_bytes()), text.contains("search_path"), "{text}");
        }
    }

    #[test]
    fn only_what_may_write_is_looked_up() {
        for text in [
            "update t set a = 1",
            "/* x */ WITH a AS (SELECT 1) DELETE FROM t",
            "EXPLAIN ANALYZE DELETE FROM t",
        ] {
            assert!(may_write(text.as_bytes()), "{text}");
        }
        for text in ["SELECT 1", "COMMIT", "COPY t FROM STDIN", ""] {
            assert!(!may_write(text.as_bytes()), "{text}");
        }
    }
}
