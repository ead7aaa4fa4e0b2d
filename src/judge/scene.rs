//! The statements of a message one after the other, those in its bodies of code among them.

use std::ops::Range;

use crate::effects::facts::Facts;
use crate::effects::{self, Effects, Past};
use crate::hazard::Subject;
use crate::sql::form::{Body, Form, Runs};
use crate::sql::statement::{Script, Statement};

/// What one statement does, after those before it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The text that the statement's own places count in: the message, or one statement of a body.
    pub script: &'a Script,
    /// The statement.
    pub statement: &'a Statement,
    /// What it does.
    pub effects: &'a Effects,
    /// What came before it.
    pub past: &'a Past,
    /// When the body of code around it runs; `None` where it stands in the message itself.
    pub within: Option<Runs>,
    /// Where `script` begins in the message; `None` where its text stands nowhere word for word.
    at: Option<usize>,
    /// The statement of the message that it is, or is within.
    outer: &'a Range<usize>,
}

impl Scene<'_> {
    /// The place in the message of a place in the statement's own text.
    pub fn in_message(&self, span: &Range<usize>) -> Range<usize> {
        match self.at {
            Some(at) => span.start + at..span.end + at,
            None => self.outer.clone(),
        }
    }

    /// Whether it runs when the message does.
    pub fn runs_now(&self) -> bool {
        self.within != Some(Runs::WhenCalled)
    }

    /// The statement as hazards see it.
    pub(super) fn subject<'b>(&'b self, facts: &'b Facts) -> Subject<'b> {
        Subject::new(self.script, self.statement, self.effects, facts, self.past)
    }
}

/// Shows the statements of a message in their order; several are one implicit transaction. Returns what came before the
/// next message, once this one has succeeded.
///
/// Each is shown before the next is looked at, since what came before it changes with every one and is too much to keep.
pub(super) fn walk(script: &Script, facts: &Facts, past: Past, show: &mut dyn FnMut(&Scene<'_>)) -> Past {
    let mut walk = Walk { facts, past, within: None, conditional: false, outer: 0..0, show };
    let several = script.statements.len() > 1;
    for statement in &script.statements {
        if several {
            walk.past.enter_implicit();
        }
        walk.outer = statement.span.clone();
        walk.statement(script, statement, Some(0));
    }
    walk.past.leave_implicit();
    walk.past
}

struct Walk<'f, 's> {
    facts: &'f Facts,
    past: Past,
    within: Option<Runs>,
    /// Nobody knows whether the statement runs.
    conditional: bool,
    outer: Range<usize>,
    show: &'s mut dyn FnMut(&Scene<'_>),
}

impl Walk<'_, '_> {
    fn statement(&mut self, script: &Script, statement: &Statement, at: Option<usize>) {
        let effects = effects::of(statement, self.facts, &self.past);
        (self.show)(&Scene {
            script,
            statement,
            effects: &effects,
            past: &self.past,
            within: self.within,
            at,
            outer: &self.outer,
        });
        if self.conditional {
            self.past.after_perhaps(statement, &effects);
        } else {
            self.past.after(statement, &effects);
        }
        if let Form::Body(body) = &statement.form {
            self.body(body, at);
        }
    }

    fn body(&mut self, body: &Body, at: Option<usize>) {
        let (within, conditional) = (self.within, self.conditional);
        let called = body.runs == Runs::WhenCalled;
        self.within = Some(if called { Runs::WhenCalled } else { within.unwrap_or(Runs::Now) });
        // Nobody knows what comes before a call.
        let later = called.then(|| std::mem::replace(&mut self.past, Past::in_transaction()));
        let own = self.past.enter_block();
        for inner in &body.inner {
            self.conditional = conditional || inner.conditional;
            for statement in &inner.script.statements {
                self.statement(
                    &inner.script,
                    statement,
                    at.zip(inner.at).map(|(outer, inner)| outer + inner),
                );
            }
        }
        self.past.leave_block(own);
        if let Some(past) = later {
            self.past = past;
        }
        (self.within, self.conditional) = (within, conditional);
    }
}
