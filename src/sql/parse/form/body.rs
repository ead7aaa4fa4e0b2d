//! Bodies of code: the statements in them, as far as they can be told apart.
//!
//! PL/pgSQL is not parsed: its statements are found between semicolons and behind the words of its control flow. What
//! is put together at run time is only counted.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, Node};

use crate::sql::form::{Body, BodyLanguage};
use crate::sql::lex::{Lexer, Token, TokenKind, pieces};
use crate::sql::parse::names::{string, strings};

/// Words behind which a statement of PL/pgSQL may begin.
const LEADS: [&str; 6] = ["begin", "then", "else", "loop", "exception", "declare"];

/// The body of a `DO` block.
pub(super) fn block(arguments: &[Node]) -> Body {
    let body = option(arguments, "as").unwrap_or_default();
    let language = language(option(arguments, "language").as_deref().unwrap_or("plpgsql"));
    Body { runs_now: true, ..read(&body, language) }
}

/// The body of a function or procedure.
pub(super) fn function(statement: &CreateFunctionStmt) -> Body {
    let body = option(&statement.options, "as").unwrap_or_default();
    let language = language(option(&statement.options, "language").as_deref().unwrap_or("sql"));
    read(&body, language)
}

fn option(options: &[Node], name: &str) -> Option<String> {
    options.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if option.defname == name => {
            let value = option.arg.as_deref()?;
            string(value).or_else(|| strings(value).into_iter().next())
        }
        _ => None,
    })
}

fn language(name: &str) -> BodyLanguage {
    match name.to_ascii_lowercase().as_str() {
        "sql" => BodyLanguage::Sql,
        "plpgsql" => BodyLanguage::PlPgSql,
        _ => BodyLanguage::Other,
    }
}

fn read(body: &str, language: BodyLanguage) -> Body {
    let mut read = Body { language, runs_now: false, statements: Vec::new(), dynamic: false };
    if language == BodyLanguage::Other {
        return read;
    }
    for piece in pieces(body, true) {
        let text = body.get(piece).unwrap_or_default();
        let tokens: Vec<Token> =
            Lexer::new(text, true).filter(|token| !matches!(token.kind, TokenKind::Comment(_))).collect();
        let tokens = if language == BodyLanguage::PlPgSql { behind_control(text, &tokens) } else { &tokens };
        match tokens {
            [first, ..] if language == BodyLanguage::PlPgSql && first.is_word(text, "execute") => {
                read.dynamic = true;
            }
            [first, .., last] if first.kind == TokenKind::Word => {
                read.statements.extend(text.get(first.start..last.end).map(str::to_owned));
            }
            _ => {}
        }
    }
    read
}

/// The tokens behind the last word of control flow, `IF x THEN`, unless the piece is a statement from its start.
fn behind_control<'a>(text: &str, tokens: &'a [Token]) -> &'a [Token] {
    let controls = |token: &Token| LEADS.iter().any(|word| token.is_word(text, word));
    let begins_with_control = tokens.first().is_some_and(|first| {
        controls(first)
            || ["if", "elsif", "for", "foreach", "while", "when", "case", "end"]
                .iter()
                .any(|it| first.is_word(text, it))
    });
    if !begins_with_control {
        return tokens;
    }
    let mut depth = 0_usize;
    let mut rest = tokens;
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ if depth == 0 && controls(token) => rest = tokens.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    rest
}
