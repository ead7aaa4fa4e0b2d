//! Bodies of code: the statements in them, as far as they can be told apart.
//!
//! PL/pgSQL is not parsed: its statements are found between semicolons and behind the words of its control flow. What
//! is put together at run time is only reported.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, Node};

use super::Places;
use crate::sql::directive::directives;
use crate::sql::form::{Body, Form, Inner, Runs, Unseen};
use crate::sql::lex::{Lexer, Token, TokenKind, pieces};
use crate::sql::parse::names::{string, strings};
use crate::sql::statement::{Kind, Opaque, Readable, Script};
use crate::sql::triage::is_ddl_word;

/// Words behind which a statement of PL/pgSQL may begin.
const LEADS: [&str; 6] = ["begin", "then", "else", "loop", "exception", "declare"];

/// Words with which a piece of control flow may begin.
const CONTROLS: [&str; 8] = ["if", "elsif", "for", "foreach", "while", "when", "case", "end"];

/// Words that begin statements which write rows.
const WRITES: [&str; 5] = ["insert", "update", "delete", "merge", "with"];

/// What a body is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Sql,
    PlPgSql,
    Other,
}

/// The body of a `DO` block.
pub(super) fn block(arguments: &[Node], places: &Places<'_>) -> Body {
    let language = language(option(arguments, "language").as_deref().unwrap_or("plpgsql"));
    let body = option(arguments, "as").unwrap_or_default();
    read(&body, places.find(&body), language, Runs::Now, places)
}

/// The body of a function or procedure.
pub(super) fn function(statement: &CreateFunctionStmt, places: &Places<'_>) -> Body {
    let options = &statement.options;
    match (option(options, "as"), places.behind_begin_atomic()) {
        (None, Some((at, body))) => read(body, Some(at), Language::Sql, Runs::WhenCalled, places),
        (body, _) => {
            let body = body.unwrap_or_default();
            let language = language(option(options, "language").as_deref().unwrap_or("sql"));
            read(&body, places.find(&body), language, Runs::WhenCalled, places)
        }
    }
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

fn language(name: &str) -> Language {
    match name.to_ascii_lowercase().as_str() {
        "plpgsql" => Language::PlPgSql,
        // The bodies of functions in C are names, which lock nothing.
        "sql" | "c" | "internal" => Language::Sql,
        _ => Language::Other,
    }
}

fn read(body: &str, at: Option<usize>, language: Language, runs: Runs, places: &Places<'_>) -> Body {
    let mut reader = Reader {
        body,
        places,
        at,
        language,
        declares: false,
        read: Body {
            runs,
            inner: Vec::new(),
            directives: directives(body, places.conforming()),
            unseen: None,
        },
    };
    if language == Language::Other || (at.is_none() && places.holds_stand_ins(body)) {
        reader.read.unseen = Some(Unseen::Language);
    } else if places.is_too_deep() {
        reader.read.unseen = Some(Unseen::Unreadable);
    } else {
        for piece in pieces(body, places.conforming()) {
            reader.piece(piece.start, body.get(piece).unwrap_or_default());
        }
    }
    reader.read
}

struct Reader<'a> {
    body: &'a str,
    places: &'a Places<'a>,
    /// The place of the body in the text around it.
    at: Option<usize>,
    language: Language,
    /// Between DECLARE and BEGIN, where words are names of variables.
    declares: bool,
    read: Body,
}

impl Reader<'_> {
    fn piece(&mut self, start: usize, text: &str) {
        let tokens: Vec<Token> = Lexer::new(text, self.places.conforming())
            .filter(|token| !matches!(token.kind, TokenKind::Comment(_)))
            .collect();
        if self.language == Language::Sql {
            self.statement(start, text, &tokens);
            return;
        }
        let behind = behind_control(text, &tokens);
        let (control, tokens) = tokens.split_at_checked(behind).unwrap_or((&tokens, &[]));
        // Of the two in one piece, the last decides.
        let turn =
            control.iter().rfind(|token| token.is_word(text, "begin") || token.is_word(text, "declare"));
        self.declares = turn.map_or(self.declares, |token| token.is_word(text, "declare"));
        if self.declares {
            return;
        }
        let first = tokens.first().map_or("", |first| first.text(text));
        let assigns = tokens.get(1).is_some_and(|next| matches!(next.text(text), ":" | ":=" | "="));
        let ddl = is_ddl_word(first.as_bytes()) && !assigns;
        let executes = |tokens: &[Token]| tokens.iter().any(|token| token.is_word(text, "execute"));
        if executes(control) || (!ddl && executes(tokens)) {
            self.read.unseen = Some(Unseen::Dynamic);
        }
        if ddl || WRITES.iter().any(|word| first.eq_ignore_ascii_case(word)) {
            self.statement(start, text, without_into(text, tokens));
        }
    }

    /// Reads what lies between the first and the last token.
    fn statement(&mut self, start: usize, text: &str, tokens: &[Token]) {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return };
        let (from, to) = (start + first.start, start + last.end);
        let script = match self.at {
            Some(at) => self.places.parse_within(at + from..at + to),
            None => self.places.parse_elsewhere(self.body.get(from..to).unwrap_or_default()),
        };
        if is_unread(&script) {
            if is_ddl_word(first.text(text).as_bytes()) {
                self.read.unseen.get_or_insert(Unseen::Unreadable);
            }
            return;
        }
        // What looks like SELECT INTO assigns to a variable.
        let assigns = |script: &Script| matches!(script.statements.as_slice(), [it] if it.tag != "CREATE TABLE AS" && matches!(it.form, Form::CreateTableAs(_)));
        if !assigns(&script) {
            self.read.inner.push(Inner { at: self.at.map(|at| at + from), script });
        }
    }
}

fn is_unread(script: &Script) -> bool {
    script.readable != Readable::Whole
        || script.statements.iter().any(|it| it.kind == Kind::Opaque(Opaque::Unread))
}

/// How many tokens stand before a statement: those up to the last word of control flow, `IF x THEN`; none where the
/// piece is a statement from its start.
fn behind_control(text: &str, tokens: &[Token]) -> usize {
    let leads = |token: &Token| LEADS.iter().any(|word| token.is_word(text, word));
    let begins_with_control = tokens.first().is_some_and(|first| {
        leads(first) || first.text(text) == "<" || CONTROLS.iter().any(|word| first.is_word(text, word))
    });
    if !begins_with_control {
        return 0;
    }
    let (mut depth, mut behind) = (0_usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ if depth == 0 && leads(token) => behind = at + 1,
            _ => {}
        }
    }
    // `END IF`, `WHEN OTHERS`: control flow to its end.
    if behind == 0 { tokens.len() } else { behind }
}

/// A statement without `INTO variable` at the end of its RETURNING, which the grammar of SQL does not know.
fn without_into<'a>(text: &str, tokens: &'a [Token]) -> &'a [Token] {
    let returning = tokens.iter().position(|token| token.is_word(text, "returning"));
    let into = returning.and_then(|from| {
        let behind = tokens.get(from..)?.iter().position(|token| token.is_word(text, "into"))?;
        Some(from + behind)
    });
    into.and_then(|into| tokens.get(..into)).unwrap_or(tokens)
}
