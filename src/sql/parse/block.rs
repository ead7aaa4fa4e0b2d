//! A look into the body of a `DO` block.

use crate::sql::lex::{Lexer, TokenKind};
use crate::sql::statement::{Kind, Opaque};

/// Words that may lock relations, or run what cannot be seen.
const DDL_WORDS: [&str; 12] = [
    "alter", "cluster", "create", "drop", "execute", "import", "lock", "reassign", "refresh", "reindex",
    "truncate", "vacuum",
];

/// Words that end transactions, so that the block cannot be tried again.
const TRANSACTION_WORDS: [&str; 2] = ["commit", "rollback"];

/// What a block is, by its body and language.
pub(super) fn classify(body: Option<&str>, language: Option<&str>) -> Kind {
    let readable =
        language.is_none_or(|name| ["plpgsql", "sql"].contains(&name.to_ascii_lowercase().as_str()));
    let Some(body) = body.filter(|_| readable) else {
        // Nobody knows whether such a block ends transactions: one attempt.
        return Kind::Opaque(Opaque::Block { repeatable: false });
    };
    // A procedure may end transactions too, which it cannot in a transaction of ours.
    let calls = holds_any(body, &["call"]);
    let repeatable = !calls && !holds_any(body, &TRANSACTION_WORDS);
    if !holds_any(body, &DDL_WORDS) && !holds_block(body) {
        if repeatable {
            return Kind::Ordinary;
        }
        if calls && !holds_any(body, &TRANSACTION_WORDS) {
            return Kind::Opaque(Opaque::Call);
        }
    }
    Kind::Opaque(Opaque::Block { repeatable })
}

/// Whether one of the words stands in the body outside strings and comments.
fn holds_any(body: &str, words: &[&str]) -> bool {
    Lexer::new(body, true)
        .filter(|token| token.kind == TokenKind::Word)
        .any(|token| words.iter().any(|word| token.is_word(body, word)))
}

/// Whether a `DO` block stands in the body; the word alone is no sign, since `ON CONFLICT DO NOTHING` has it too.
fn holds_block(body: &str) -> bool {
    let mut tokens =
        Lexer::new(body, true).filter(|token| !matches!(token.kind, TokenKind::Comment(_))).peekable();
    while let Some(token) = tokens.next() {
        let next = tokens.peek();
        if token.is_word(body, "do")
            && next.is_some_and(|next| next.kind == TokenKind::Literal || next.is_word(body, "language"))
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_told_by_their_words() {
        let opaque = |repeatable| Kind::Opaque(Opaque::Block { repeatable });
        for (body, language, expected) in [
            ("BEGIN UPDATE t SET a = 1; END", None, Kind::Ordinary),
            ("BEGIN -- drop\n PERFORM 'alter'; END", None, Kind::Ordinary),
            ("BEGIN INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING; END", None, Kind::Ordinary),
            ("BEGIN DO 'x'; END", None, opaque(true)),
            ("BEGIN EXECUTE 'x'; END", None, opaque(true)),
            ("BEGIN DROP TABLE t; CALL p(); END", None, opaque(false)),
            ("BEGIN CALL p(); END", None, Kind::Opaque(Opaque::Call)),
            ("BEGIN DROP TABLE t; END", Some("plpgsql"), opaque(true)),
            ("BEGIN DROP TABLE t; COMMIT; END", None, opaque(false)),
            ("BEGIN UPDATE t SET a = 1; COMMIT; END", None, opaque(false)),
            ("plpy.execute('..')", Some("plpython3u"), opaque(false)),
        ] {
            assert_eq!(classify(Some(body), language), expected, "{body}");
        }
    }
}
