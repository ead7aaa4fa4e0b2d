//! What the grammar says of a text that it refuses, and where.

use super::read::refusal;
use crate::sql::encoding::Dialect;

/// A refusal in the parser's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// `syntax error at or near "x"`
    pub message: String,
    /// The byte where the word stands that it is about, if that can be told.
    pub at: Option<usize>,
}

/// So many places of a word are tried.
const PLACES_MAX: usize = 64;

/// What is wrong with a text; `None` when the grammar takes it.
pub fn complaint(text: &str, dialect: Dialect) -> Option<Complaint> {
    let message = refusal(text, dialect)?;
    let at = place(text, &message, dialect);
    Some(Complaint { message, at })
}

/// The parser's Rust side drops the position. The grammar reads from left to right and refuses at the first word that
/// fits nowhere, so the text up to that word, and no shorter one, is refused in the same words.
fn place(text: &str, message: &str, dialect: Dialect) -> Option<usize> {
    if message.ends_with("at end of input") {
        return Some(text.trim_end().len());
    }
    let word = message.split_once("at or near \"")?.1.strip_suffix('"')?;
    let mut places = text.match_indices(word).map(|(at, _)| at).take(PLACES_MAX);
    places.find(|at| {
        let until = text.get(..at + word.len()).unwrap_or_default();
        refusal(until, dialect).as_deref() == Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Encoding;

    #[test]
    fn the_word_that_fits_nowhere() {
        let check = |text: &str, message: &str, at: Option<usize>| {
            let complaint = complaint(text, Encoding::Utf8.into());
            assert_eq!(complaint, Some(Complaint { message: message.to_owned(), at }), "{text}");
        };
        check("ALTR TABLE x", "syntax error at or near \"ALTR\"", Some(0));
        check("SELECT x, y FROM t WHERE x x", "syntax error at or near \"x\"", Some(27));
        check("ALTER TABLE t ADD", "syntax error at end of input", Some(17));
        check("SELECT 'abc", "unterminated quoted string at or near \"'abc\"", Some(7));
        assert_eq!(complaint("SELECT 1", Encoding::Utf8.into()), None);
    }
}
