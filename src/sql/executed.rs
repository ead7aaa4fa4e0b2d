//! What an `EXECUTE` of SQL runs, written out: the statement that `PREPARE` has named, with the values in the places of its parameters.

use std::fmt::Write as _;

use super::lex::{Lexer, Token, TokenKind};
use super::statement::Script;

/// The name of the statement that a message executes which does nothing else.
pub fn name(script: &Script) -> Option<String> {
    let (text, tokens) = read(script)?;
    call(text, &tokens).map(|(name, _)| name)
}

/// The statement with its values, given the text of its `PREPARE` and the types of its parameters; `None` where that cannot be told.
pub fn written_out(script: &Script, prepared: &str, types: &[String]) -> Option<String> {
    let (text, tokens) = read(script)?;
    let (_, values) = call(text, &tokens)?;
    if values.len() != types.len() {
        return None;
    }
    let parts = lexed(prepared, script);
    let start = query(prepared, &parts)?;
    let mut out = String::new();
    let mut from = start;
    for (at, token) in parts.iter().enumerate().filter(|(_, token)| token.start >= start) {
        let number = parts.get(at + 1).filter(|it| it.start == token.end && token.text(prepared) == "$");
        let Some(number) = number else { continue };
        let place: usize = number.text(prepared).parse().ok()?;
        let (value, ty) = (values.get(place.checked_sub(1)?)?, types.get(place - 1)?);
        out.push_str(prepared.get(from..token.start)?);
        let _ = write!(out, "({value})::{ty}");
        from = number.end;
    }
    out.push_str(prepared.get(from..)?.trim_end().trim_end_matches(';'));
    Some(out)
}

fn read(script: &Script) -> Option<(&str, Vec<Token>)> {
    let [statement] = script.statements.as_slice() else { return None };
    if statement.tag != "EXECUTE" {
        return None;
    }
    let text = std::str::from_utf8(script.text.as_bytes()).ok()?;
    Some((text, lexed(text, script)))
}

fn lexed(text: &str, script: &Script) -> Vec<Token> {
    Lexer::new(text, script.dialect.standard_conforming_strings)
        .filter(|token| !matches!(token.kind, TokenKind::Comment(_)))
        .collect()
}

/// The name behind `EXECUTE`, and the expressions in its parentheses.
fn call<'a>(text: &'a str, tokens: &[Token]) -> Option<(String, Vec<&'a str>)> {
    let [execute, called, rest @ ..] = tokens else { return None };
    if !execute.is_word(text, "execute") {
        return None;
    }
    let name = match called.kind {
        TokenKind::Word if called.text(text).is_ascii() => called.text(text).to_ascii_lowercase(),
        TokenKind::Quoted => {
            let inner = called.text(text).strip_prefix('"')?.strip_suffix('"')?;
            inner.replace("\"\"", "\"")
        }
        _ => return None,
    };
    let rest = match rest {
        [rest @ .., last] if last.kind == TokenKind::Semicolon => rest,
        rest => rest,
    };
    match rest {
        [] => Some((name, Vec::new())),
        [open, .., close] if open.text(text) == "(" && close.text(text) == ")" => {
            Some((name, parted(text, rest)?))
        }
        _ => None,
    }
}

/// What stands between the commas of one pair of parentheses.
fn parted<'a>(text: &'a str, tokens: &[Token]) -> Option<Vec<&'a str>> {
    let [open, inner @ .., close] = tokens else { return None };
    let (mut depth, mut from, mut parts) = (0_usize, open.end, Vec::new());
    for token in inner {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.checked_sub(1)?,
            _ if depth == 0 && token.text(text) == "," => {
                parts.push(text.get(from..token.start)?);
                from = token.end;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..close.start)?);
    Some(parts)
}

/// Where the statement begins in the text of its `PREPARE`.
fn query(prepared: &str, tokens: &[Token]) -> Option<usize> {
    let [prepare, _, rest @ ..] = tokens else { return None };
    if !prepare.is_word(prepared, "prepare") {
        return None;
    }
    let mut depth = 0_usize;
    for token in rest {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.checked_sub(1)?,
            _ if depth == 0 && token.is_word(prepared, "as") => return Some(token.end),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Encoding, parse};

    fn of(sql: &str) -> Script {
        parse(sql.as_bytes(), Encoding::Utf8)
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        for (sql, expected) in [
            ("EXECUTE q", Some("q")),
            ("/* a */ execute Q (1, f(2)) ;", Some("q")),
            ("EXECUTE \"Q \"\"1\" (')')", Some("Q \"1")),
            ("EXECUTE q; EXECUTE r", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(name(&of(sql)).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn values_take_the_places_of_parameters() {
        let types = ["integer".to_owned(), "text".to_owned()];
        for (sql, prepared, expected) in [
            (
                "EXECUTE q(1, 'a, $1)')",
                "PREPARE q (int, text) AS UPDATE t SET a = $2 || '$1' WHERE b > $1 -- $2\n AND c <> $2;",
                " UPDATE t SET a = ('a, $1)')::text || '$1' WHERE b > (1)::integer -- $2\n AND c <> ( 'a, $1)')::text",
            ),
            (
                "EXECUTE q(f(1, 2) , $$x,$$)",
                "prepare q as delete from t where a = $1 and b = $2",
                " delete from t where a = (f(1, 2) )::integer and b = ( $$x,$$)::text",
            ),
        ] {
            let out = written_out(&of(sql), prepared, &types).map(|it| it.replace("( '", "('"));
            assert_eq!(out.as_deref(), Some(expected.replace("( '", "('").as_str()), "{sql}");
        }
        for (sql, prepared) in [
            ("EXECUTE q(1)", "PREPARE q AS DELETE FROM t WHERE a = $1 AND b = $2"),
            ("EXECUTE q(1, 2)", "PREPARE q AS DELETE FROM t WHERE a = $3"),
            ("EXECUTE q(1, 2)", "DELETE FROM t"),
        ] {
            assert_eq!(written_out(&of(sql), prepared, &types), None, "{sql}");
        }
    }
}
