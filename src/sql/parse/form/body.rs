//! Bodies of code: the statements in them, as far as they can be told apart.
//!
//! PL/pgSQL is not parsed: its statements are found between semicolons and behind the words of its control flow. What
//! is put together at run time is only reported.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, Node};

use super::Places;
use super::flow::{self, Section};
use crate::sql::directive::directives;
use crate::sql::form::{Body, Form, Inner, Runs, Unseen};
use crate::sql::lex::{Lexer, Token, TokenKind, pieces};
use crate::sql::parse::names::{string, strings};
use crate::sql::statement::{Kind, Opaque, Readable, Script};
use crate::sql::triage::{first_word, is_ddl_word};

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
    let language = option(arguments, "language").map_or(Language::PlPgSql, |(name, _)| language(&name));
    let (body, at) = option(arguments, "as").unwrap_or_default();
    read(&body, places.find(&body, at), language, Runs::Now, places)
}

/// The body of a function or procedure.
pub(super) fn function(statement: &CreateFunctionStmt, places: &Places<'_>) -> Body {
    let options = &statement.options;
    match (option(options, "as"), places.behind_begin_atomic()) {
        (None, Some((at, body))) => read(body, Some(at), Language::Sql, Runs::WhenCalled, places),
        (body, _) => {
            let (body, at) = body.unwrap_or_default();
            let language = option(options, "language").map_or(Language::Sql, |(name, _)| language(&name));
            read(&body, places.find(&body, at), language, Runs::WhenCalled, places)
        }
    }
}

/// The value of an option, and where the tree says that it stands.
fn option(options: &[Node], name: &str) -> Option<(String, i32)> {
    options.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if option.defname == name => {
            let value = option.arg.as_deref()?;
            let value = string(value).or_else(|| strings(value).into_iter().next())?;
            Some((value, option.location))
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
        section: Section::default(),
        branches: 0,
        conditional: false,
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
        if reader.read.unseen.is_none() && holds_ddl(body, places) && !reader.read.inner.iter().any(is_ddl) {
            reader.read.unseen = Some(Unseen::Unreadable);
        }
    }
    reader.read
}

/// Whether a word of DDL stands in a body outside strings and comments; not those that are names of columns, too.
fn holds_ddl(body: &str, places: &Places<'_>) -> bool {
    const WORDS: [&str; 5] = ["alter", "create", "drop", "reindex", "truncate"];
    Lexer::new(body, places.conforming()).any(|token| WORDS.iter().any(|word| token.is_word(body, word)))
}

fn is_ddl(inner: &Inner) -> bool {
    first_word(inner.script.text.as_bytes()).is_some_and(is_ddl_word)
}

struct Reader<'a> {
    body: &'a str,
    places: &'a Places<'a>,
    /// The place of the body in the text around it.
    at: Option<usize>,
    language: Language,
    section: Section,
    /// How many branches and loops are open.
    branches: usize,
    /// Nobody knows whether what follows is reached.
    conditional: bool,
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
        let flow = flow::read(text, &tokens, self.section);
        self.section = flow.section;
        self.branches = (self.branches + flow.opened).saturating_sub(flow.closed);
        if flow.catches {
            self.conditional = true;
            self.read.inner.iter_mut().for_each(|inner| inner.conditional = true);
        }
        for query in flow.queries {
            self.command(start, text, tokens.get(query).unwrap_or_default());
        }
        self.command(start, text, tokens.get(flow.behind..).unwrap_or_default());
    }

    /// A statement of PL/pgSQL, or a query in one.
    fn command(&mut self, start: usize, text: &str, tokens: &[Token]) {
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text(text));
        if word(0).eq_ignore_ascii_case("return") && word(1).eq_ignore_ascii_case("query") {
            return self.command(start, text, tokens.get(2..).unwrap_or_default());
        }
        let leaves = ["return", "exit", "continue"].iter().any(|known| word(0).eq_ignore_ascii_case(known));
        self.conditional |= leaves && self.branches > 0;
        let ddl = is_ddl_word(word(0).as_bytes()) && !matches!(word(1), ":" | ":=" | "=");
        if !ddl && tokens.iter().any(|token| token.is_word(text, "execute")) {
            self.read.unseen = Some(Unseen::Dynamic);
        }
        if ddl || WRITES.iter().any(|known| word(0).eq_ignore_ascii_case(known)) {
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
        let assigns = |script: &Script| matches!(script.statements.as_slice(), [it] if it.tag != "CREATE TABLE AS" && matches!(it.form, Form::CreateTableAs { .. }));
        if !assigns(&script) {
            let at = self.at.map(|at| at + from);
            let conditional = self.conditional || self.branches > 0;
            self.read.inner.push(Inner { at, conditional, script });
        }
    }
}

fn is_unread(script: &Script) -> bool {
    script.readable != Readable::Whole
        || script.statements.iter().any(|it| it.kind == Kind::Opaque(Opaque::Unread))
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
