//! Changes a statement's text by inserting words; everything else stays to the letter.

use super::form::Form;
use super::lex::{Lexer, Token, TokenKind};
use super::parse::{differs_only_by_concurrently, differs_only_by_unless_exists};
use super::statement::{Kind, Script, Statement};
use crate::base::name::written;

const WORD: &str = " CONCURRENTLY";

/// The whole text with `CONCURRENTLY` in its only statement; `None` when that cannot be done beyond doubt.
///
/// The proof: the text with the word, and the text with as many spaces, have equal trees but for that one mark.
pub fn concurrently(script: &Script) -> Option<Vec<u8>> {
    let [statement] = script.statements.as_slice() else { return None };
    let shadow = script.dialect.encoding.shade(script.text.as_bytes());
    if shadow.ambiguous {
        return None;
    }
    let conforming = script.dialect.standard_conforming_strings;
    let at = place(&shadow.text, statement, conforming)?;
    let with = |word: &str| insert(shadow.text.as_bytes(), at, word.as_bytes());
    let (old, new) = (with(&" ".repeat(WORD.len()))?, with(WORD)?);
    let (old, new) = (String::from_utf8(old).ok()?, String::from_utf8(new).ok()?);
    if !differs_only_by_concurrently(&old, &new, script.dialect) {
        return None;
    }
    insert(script.text.as_bytes(), at, WORD.as_bytes())
}

/// The whole text of a `CREATE INDEX` with `IF NOT EXISTS`, and with this name where it has none; `None` when that cannot be done
/// beyond doubt.
///
/// The proof is that of `concurrently`.
pub fn unless_exists(script: &Script, name: &str) -> Option<Vec<u8>> {
    let [Statement { form: Form::CreateIndex(index), .. }] = script.statements.as_slice() else {
        return None;
    };
    let shadow = script.dialect.encoding.shade(script.text.as_bytes());
    if shadow.ambiguous || index.if_not_exists && index.name.is_some() {
        return (!shadow.ambiguous).then(|| script.text.as_bytes().to_vec());
    }
    let words = match &index.name {
        Some(_) => " IF NOT EXISTS".to_owned(),
        None => format!(" IF NOT EXISTS {}", written(name)),
    };
    let word = if index.concurrently { "concurrently" } else { "index" };
    let [statement] = script.statements.as_slice() else { return None };
    let body = shadow.text.get(statement.span.clone())?;
    let conforming = script.dialect.standard_conforming_strings;
    let mut tokens = Lexer::new(body, conforming);
    let at = statement.span.start + tokens.find(|token| token.is_word(body, word))?.end;
    let with = |words: &str| String::from_utf8(insert(shadow.text.as_bytes(), at, words.as_bytes())?).ok();
    if !differs_only_by_unless_exists(&with(&" ".repeat(words.len()))?, &with(&words)?, script.dialect) {
        return None;
    }
    insert(script.text.as_bytes(), at, words.as_bytes())
}

/// Where the word belongs: right after `INDEX`, or after what is rebuilt; options in parentheses may come before.
fn place(text: &str, statement: &Statement, conforming: bool) -> Option<usize> {
    let after: &[&str] = match statement.kind {
        Kind::CreateIndex(_) | Kind::DropIndex(_) => &["index"],
        Kind::Reindex(_) => &["index", "table", "schema", "database"],
        _ if matches!(statement.form, Form::Refresh { .. }) => &["view"],
        _ => return None,
    };
    let body = text.get(statement.span.clone())?;
    let mut depth = 0_usize;
    for token in Lexer::new(body, conforming) {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.checked_sub(1)?,
            _ if depth == 0 && after.iter().any(|word| token.is_word(body, word)) => {
                return Some(statement.span.start + token.end);
            }
            _ => {}
        }
    }
    None
}

/// What stands behind the table's name in a `CREATE INDEX`, from `USING` or the parenthesis on.
pub fn index_definition(script: &Script) -> Option<&str> {
    let [statement] = script.statements.as_slice() else { return None };
    let text = std::str::from_utf8(script.text.as_bytes()).ok()?.get(statement.span.clone())?;
    let tokens: Vec<Token> = Lexer::new(text, script.dialect.standard_conforming_strings)
        .filter(|token| !matches!(token.kind, TokenKind::Comment(_)))
        .collect();
    let on = tokens.iter().position(|token| token.is_word(text, "on"))?;
    let mut rest = tokens.get(on + 1..)?.iter().peekable();
    rest.next_if(|token| token.is_word(text, "only"));
    rest.next()?;
    while rest.next_if(|token| token.text(text) == ".").is_some() {
        rest.next()?;
    }
    rest.next_if(|token| token.text(text) == "*");
    text.get(rest.next()?.start..)
}

/// The text with `word` at a byte offset.
fn insert(text: &[u8], at: usize, word: &[u8]) -> Option<Vec<u8>> {
    let (head, tail) = text.split_at_checked(at)?;
    Some([head, word, tail].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Encoding, parse};

    #[test]
    fn an_index_is_made_unless_it_exists() {
        for (sql, expected) in [
            ("CREATE INDEX i ON t (a)", Some("CREATE INDEX IF NOT EXISTS i ON t (a)")),
            (
                "create unique index /* index */ concurrently i on t (a)",
                Some("create unique index /* index */ concurrently IF NOT EXISTS i on t (a)"),
            ),
            ("CREATE INDEX ON t (a) -- why", Some("CREATE INDEX IF NOT EXISTS \"T_idx\" ON t (a) -- why")),
            (
                "CREATE INDEX CONCURRENTLY ON größe (ü)",
                Some("CREATE INDEX CONCURRENTLY IF NOT EXISTS \"T_idx\" ON größe (ü)"),
            ),
            ("CREATE INDEX IF NOT EXISTS i ON t (a)", Some("CREATE INDEX IF NOT EXISTS i ON t (a)")),
            ("DROP INDEX i", None),
        ] {
            let script = parse(sql.as_bytes(), Encoding::Utf8);
            let edited = unless_exists(&script, "T_idx").and_then(|sql| String::from_utf8(sql).ok());
            assert_eq!(edited.as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn definitions_begin_behind_the_tables_name() {
        for (sql, expected) in [
            ("CREATE INDEX ON t (a)", Some("(a)")),
            (
                "create unique index concurrently if not exists \"on\" on /* x */ only \"a.b\".\"t(\" * using gin (a) where b -- y",
                Some("using gin (a) where b"),
            ),
            (
                "CREATE INDEX i ON s . t USING btree (f(a, 'on t (')) INCLUDE (b)",
                Some("USING btree (f(a, 'on t (')) INCLUDE (b)"),
            ),
            ("CREATE INDEX ON größe (ü)", Some("(ü)")),
            ("CREATE INDEX ON t (a); SELECT 1", None),
        ] {
            let script = parse(sql.as_bytes(), Encoding::Utf8);
            assert_eq!(index_definition(&script), expected, "{sql}");
        }
    }
}
