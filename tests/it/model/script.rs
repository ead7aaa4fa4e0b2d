//! Scripts: what one client sends, message by message, by either protocol.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy};
use proptest::strategy::Union;

use super::forms;
use crate::support::raw;

/// How the statements between two answers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One Query.
    Simple,
    /// Parse, Bind, Describe and Execute for each of them, and one Sync.
    Pipeline,
    /// The same with a row limit, and a second Execute for the rest.
    Limited,
    /// Prepared under the name `s`, which is not closed afterwards, and run.
    Named,
    /// What is prepared under the name `s` is run again.
    Again,
}

const WORDS: [(Form, &str); 5] = [
    (Form::Simple, "simple"),
    (Form::Pipeline, "pipeline"),
    (Form::Limited, "limited"),
    (Form::Named, "named"),
    (Form::Again, "again"),
];

/// What is sent at once, and answered with one `ReadyForQuery`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) form: Form,
    pub(super) statements: Vec<String>,
}

impl Message {
    /// One that a person wrote: `form: statement ;; statement`.
    pub(super) fn read(line: &str) -> Self {
        let (word, statements) = line.trim().split_once(':').expect("form: statements");
        let form = WORDS.iter().find(|(_, known)| *known == word).expect("a known form").0;
        let statements = statements.split(";;").map(|one| one.trim().to_owned()).collect();
        Self { form, statements }
    }

    /// Whether it neither begins nor ends transactions, nor goes to a savepoint or leaves one.
    pub(super) fn is_free_of_control(&self) -> bool {
        const CONTROL: [&str; 8] =
            ["BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET LOCAL", "DECLARE"];
        let control = |sql: &String| CONTROL.iter().any(|word| sql.starts_with(word));
        self.form != Form::Again && !self.statements.iter().any(control)
    }

    /// Whether more than one thing is run.
    pub(super) fn runs_several(&self) -> bool {
        self.statements.len() > 1 || self.form == Form::Limited
    }

    /// The bytes that go out.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let pieces = self.statements.iter().map(|sql| self.piece(sql)).collect::<Vec<_>>();
        match self.form {
            Form::Simple => raw::query(&self.statements.join("; ")),
            Form::Again => [raw::bind("", "s", &[]), raw::execute("", 0), raw::sync()].concat(),
            Form::Pipeline | Form::Limited | Form::Named => [pieces.concat(), raw::sync()].concat(),
        }
    }

    /// One statement by the extended protocol.
    fn piece(&self, sql: &str) -> Vec<u8> {
        let unnamed = [raw::parse("", sql), raw::bind("", "", &[]), raw::describe(b'P', "")].concat();
        match self.form {
            Form::Limited => [unnamed, raw::execute("", 1), raw::execute("", 0)].concat(),
            Form::Named => [
                raw::close(b'S', "s"),
                raw::parse("s", sql),
                raw::describe(b'S', "s"),
                raw::bind("", "s", &[]),
                raw::execute("", 0),
            ]
            .concat(),
            Form::Simple | Form::Pipeline | Form::Again => [unnamed, raw::execute("", 0)].concat(),
        }
    }

    /// The bytes where what stands at this place fails instead of being run; whether it has been parsed before.
    pub(super) fn failing_at(&self, place: usize, parsed: bool) -> Vec<u8> {
        let before = self.statements.get(..place).unwrap_or_default();
        if self.form == Form::Simple {
            return raw::query(&[before, &[FAILS.to_owned()]].concat().join("; "));
        }
        let mut out = before.iter().map(|sql| self.piece(sql)).collect::<Vec<_>>().concat();
        if let (Form::Named, Some(sql)) = (self.form, self.statements.get(place)) {
            out.extend(raw::close(b'S', "s"));
            if parsed {
                out.extend(raw::parse("s", sql));
            }
        }
        let fails = [raw::parse("", FAILS), raw::bind("", "", &[]), raw::execute("", 0), raw::sync()];
        [out, fails.concat()].concat()
    }
}

/// Fails, and returns no rows.
const FAILS: &str = "DO $$ BEGIN RAISE 'stands for what was refused'; END $$";

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(form, _)| *form == self.form).expect("a known form").1;
        write!(f, "{word}: {}", self.statements.join(" ;; "))
    }
}

/// Everything that one client sends.
#[derive(Clone)]
pub(super) struct Script(pub(super) Vec<Message>);

impl Script {
    /// What a session is sent so that nothing of a script is left in it.
    pub(super) fn end() -> Self {
        Self::read("simple: ROLLBACK\nsimple: DISCARD ALL")
    }

    /// One that a person wrote, or a failing test.
    pub(super) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        Self(lines.map(Message::read).collect())
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|message| write!(f, "\n    {message:?}"))
    }
}

/// Any script.
pub(super) fn script() -> impl Strategy<Value = Script> {
    let alone = message(forms::anywhere().boxed()).prop_map(|message| vec![message]);
    let parts = Union::new_weighted(vec![(4, alone.boxed()), (6, block().boxed()), (1, whole().boxed())]);
    vec(parts, 1..5).prop_map(|parts| Script(sensible(parts.concat())))
}

/// Without what ends otherwise through the proxy and is of no use to anybody.
///
/// A transaction that failed behind a savepoint of the proxy's hands its mode on to the next one, and one that failed without does
/// not (in `xact.c`, `AbortTransaction` forgets the mode before `SaveTransactionCharacteristics`): so there are chains only where
/// there are no modes. Behind a statement for which the proxy has asked the catalogue an open transaction takes no other isolation
/// any more. What returns no rows is not asked for the rest of them. A message of several statements that is guarded as a
/// whole shows the patience that it is guarded with. And of what runs outside of transactions only, nothing is sent in a pipeline with
/// other statements: straight, a failure of those leaves an index behind that is not valid.
fn sensible(mut messages: Vec<Message>) -> Vec<Message> {
    let all = messages.iter().flat_map(|message| &message.statements);
    let modes = all.into_iter().any(|sql| sql.starts_with("BEGIN "));
    let mut open = false;
    for message in &mut messages {
        if message.form == Form::Limited && !message.statements.iter().all(|sql| may_return_rows(sql)) {
            message.form = Form::Pipeline;
        }
        let several = message.statements.len() > 1;
        let whole = several && message.form == Form::Simple;
        for sql in &mut message.statements {
            if several && !whole {
                *sql = sql.replace(" CONCURRENTLY", "");
            }
            if modes {
                *sql = sql.replace(" AND CHAIN", "");
            }
            if whole {
                *sql = sql.replace("SHOW lock_timeout", "SHOW work_mem");
            }
            if open && sql.starts_with("BEGIN ISOLATION") {
                "BEGIN".clone_into(sql);
            }
            open = is_open_behind(sql, open);
        }
    }
    messages
}

/// Whether a transaction may be open behind a statement; the form of messages in which they stand makes no difference.
fn is_open_behind(sql: &str, before: bool) -> bool {
    let ends = ["COMMIT", "ROLLBACK"].contains(&sql.split(' ').next().unwrap_or_default());
    let goes_on = sql.contains(" TO ") || sql.contains("CHAIN");
    let begins = ["BEGIN", "START TRANSACTION"].iter().any(|words| sql.starts_with(words));
    if ends && !goes_on { false } else { before || begins }
}

fn may_return_rows(sql: &str) -> bool {
    const VERBS: [&str; 7] = ["SELECT", "SHOW", "FETCH", "EXECUTE", "INSERT", "UPDATE", "DELETE"];
    VERBS.iter().any(|verb| sql.starts_with(verb))
}

/// A transaction, whose end may be missing.
fn block() -> impl Strategy<Value = Vec<Message>> {
    let single = |sql: BoxedStrategy<String>| {
        (form(), sql).prop_map(|(form, sql)| Message { form, statements: vec![sql] })
    };
    let end = Union::new_weighted(vec![
        (9, single(forms::ending().boxed()).prop_map(Some).boxed()),
        (1, Just(None).boxed()),
    ]);
    let beginning =
        forms::beginning().prop_map(|sql| Message { form: Form::Simple, statements: vec![sql] }).boxed();
    (beginning, vec(message(forms::in_block().boxed()), 1..7), end)
        .prop_map(|(beginning, inner, end)| [vec![beginning], inner, end.into_iter().collect()].concat())
}

/// A transaction in one message, as migration files are sent.
fn whole() -> impl Strategy<Value = Vec<Message>> {
    let form = Union::new_weighted(vec![(3, Just(Form::Simple)), (1, Just(Form::Pipeline))]);
    (form, forms::beginning(), vec(forms::in_block(), 1..4), forms::ending()).prop_map(
        |(form, beginning, inner, end)| {
            vec![Message { form, statements: [vec![beginning], inner, vec![end]].concat() }]
        },
    )
}

fn form() -> Union<Just<Form>> {
    Union::new_weighted(vec![
        (6, Just(Form::Simple)),
        (4, Just(Form::Pipeline)),
        (1, Just(Form::Limited)),
        (1, Just(Form::Named)),
    ])
}

/// Mostly one statement; now and then several, or what was prepared before.
fn message(statement: BoxedStrategy<String>) -> impl Strategy<Value = Message> {
    let single = vec(statement.clone(), 1..2);
    let several = vec(statement, 2..4);
    let statements = Union::new_weighted(vec![(7, single.boxed()), (1, several.boxed())]);
    let new = (form(), statements).prop_map(|(form, statements)| Message { form, statements });
    let again = Just(Message { form: Form::Again, statements: Vec::new() });
    Union::new_weighted(vec![(20, new.boxed()), (1, again.boxed())])
}
