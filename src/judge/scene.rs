//! The statements of a message one after the other, those in its bodies of code among them.

use std::borrow::Cow;
use std::ops::Range;

use crate::effects::facts::Facts;
use crate::effects::{self, Effects, Past};
use crate::hazard::Subject;
use crate::sql::form::{Body, Form, Runs};
use crate::sql::statement::{Script, Statement};

/// What one statement does, after those before it.
pub struct Scene<'a> {
    /// The text that the statement's own places count in: the message, or one statement of a body.
    pub script: &'a Script,
    /// The statement.
    pub statement: &'a Statement,
    /// What it does.
    pub effects: Effects,
    /// What came before it; borrowed for the first, since that may be a long file.
    pub past: Cow<'a, Past>,
    /// When the body of code around it runs; `None` where it stands in the message itself.
    pub within: Option<Runs>,
    /// Where `script` begins in the message; `None` where its text stands nowhere word for word.
    at: Option<usize>,
    /// The statement of the message that it is, or is within.
    outer: Range<usize>,
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
        let Self { script, statement, effects, past, .. } = self;
        Subject::new(script, statement, effects, facts, past)
    }
}

/// The statements of a message; several are one implicit transaction.
pub(super) fn scenes<'a>(script: &'a Script, facts: &Facts, past: &'a Past) -> Vec<Scene<'a>> {
    if let [statement] = script.statements.as_slice()
        && !matches!(statement.form, Form::Body(_))
    {
        let effects = effects::of(statement, facts, past);
        let outer = statement.span.clone();
        let past = Cow::Borrowed(past);
        return vec![Scene { script, statement, effects, past, within: None, at: Some(0), outer }];
    }
    let past = if script.statements.len() > 1 { past.within_transaction() } else { past.clone() };
    let mut walk = Walk { facts, past, within: None, outer: 0..0, scenes: Vec::new() };
    walk.script(script, Some(0));
    walk.scenes
}

struct Walk<'a, 'f> {
    facts: &'f Facts,
    past: Past,
    within: Option<Runs>,
    outer: Range<usize>,
    scenes: Vec<Scene<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn script(&mut self, script: &'a Script, at: Option<usize>) {
        for statement in &script.statements {
            if self.within.is_none() {
                self.outer = statement.span.clone();
            }
            let effects = effects::of(statement, self.facts, &self.past);
            let before = self.past.clone();
            self.past.after(statement, &effects);
            self.scenes.push(Scene {
                script,
                statement,
                effects,
                past: Cow::Owned(before),
                within: self.within,
                at,
                outer: self.outer.clone(),
            });
            if let Form::Body(body) = &statement.form {
                self.body(body, at);
            }
        }
    }

    fn body(&mut self, body: &'a Body, at: Option<usize>) {
        let around = self.within;
        let called = body.runs == Runs::WhenCalled;
        self.within = Some(if called { Runs::WhenCalled } else { around.unwrap_or(Runs::Now) });
        // Nobody knows what comes before a call.
        let later = called.then(|| std::mem::replace(&mut self.past, Past::in_transaction()));
        let own = self.past.enter_block();
        for inner in &body.inner {
            self.script(&inner.script, at.zip(inner.at).map(|(outer, inner)| outer + inner));
        }
        self.past.leave_block(own);
        if let Some(past) = later {
            self.past = past;
        }
        self.within = around;
    }
}
