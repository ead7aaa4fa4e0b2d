//! A hazard found in a statement: why it hurts there, and what helps.

use std::ops::Range;

use crate::base::{Notice, RelationName, Severity, SqlState};
use crate::plan::{Context, HandStep, Plan};

/// A hazard found in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The hazard's id.
    pub hazard: &'static str,
    /// Why it hurts: sentences for DETAIL.
    pub why: String,
    /// What helps when the statement stands alone, outside a transaction.
    pub remedy: Remedy,
    /// The warning where the remedy cannot be had: in a transaction, or among other statements.
    pub elsewhere: Option<Notice>,
    /// The relation whose size and age may excuse it; `None` where they do not matter.
    pub about: Option<RelationName>,
    /// The words of the statement that it is about; `None` for all of it.
    pub span: Option<Range<usize>>,
    /// How a person reaches the same state online; empty where the remedy's plan says it.
    pub by_hand: Vec<HandStep>,
    /// What takes the place of the statement where it is let pass all the same, and what that is called.
    pub once_passed: Option<(Plan, &'static str)>,
}

/// What helps against a hazard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The online plan.
    Plan {
        /// Its steps.
        plan: Plan,
        /// What runs instead, `CREATE INDEX CONCURRENTLY`.
        form: &'static str,
    },
    /// The statement as sent, under the ladder of patience.
    Ladder {
        /// What the ladder does not help against.
        warning: Option<Notice>,
    },
    /// Nothing: an error with the way out.
    Refuse(Notice),
    /// Nothing can be done; it is recorded.
    Record,
}

impl Finding {
    /// A finding with its remedy.
    pub fn new(hazard: &'static str, why: impl Into<String>, remedy: Remedy) -> Self {
        Self {
            hazard,
            why: why.into(),
            remedy,
            elsewhere: None,
            about: None,
            span: None,
            by_hand: Vec::new(),
            once_passed: None,
        }
    }

    /// A finding that is only told: `what` is the WARNING, lower case without full stop; `why` are sentences.
    pub fn warning(hazard: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        let why = why.into();
        let warning = Notice::new(Severity::Warning, SqlState::WARNING, what).detail(why.clone());
        Self::new(hazard, why, Remedy::Ladder { warning: Some(warning) })
    }

    /// A finding that stops the statement: `what` is the ERROR, lower case without full stop; `why` are sentences.
    pub fn refusal(hazard: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        let why = why.into();
        let refusal = Notice::error(SqlState::FEATURE_NOT_SUPPORTED, what).detail(why.clone());
        Self::new(hazard, why, Remedy::Refuse(refusal))
    }

    /// Makes a finding that is only told one that a plan helps against; where the plan cannot be had it is told as before.
    #[must_use]
    pub fn online(mut self, plan: Option<Plan>, form: &'static str) -> Self {
        let Some(plan) = plan else { return self };
        if let Remedy::Ladder { warning } = std::mem::replace(&mut self.remedy, Remedy::Plan { plan, form }) {
            self.elsewhere = warning;
        }
        self
    }

    /// Says how it is done where it is let pass all the same.
    #[must_use]
    pub fn once_passed(mut self, plan: Option<Plan>, form: &'static str) -> Self {
        self.once_passed = plan.map(|plan| (plan, form));
        self
    }

    /// Makes a finding that is only told one that stops the statement where it stands alone, since there is no online way to what it
    /// asks for: `why` are sentences.
    #[must_use]
    pub fn refused_since(mut self, why: &str) -> Self {
        let Remedy::Ladder { warning: Some(warning) } = &self.remedy else { return self };
        let refusal = Notice::error(SqlState::FEATURE_NOT_SUPPORTED, warning.message.clone())
            .detail(format!("{} {why}", self.why));
        if let Remedy::Ladder { warning } = std::mem::replace(&mut self.remedy, Remedy::Refuse(refusal)) {
            self.elsewhere = self.elsewhere.or(warning);
        }
        self
    }

    /// Says whose size and age may excuse it.
    #[must_use]
    pub fn about(mut self, relation: &RelationName) -> Self {
        self.about = Some(relation.clone());
        self
    }

    /// Says which words it is about.
    #[must_use]
    pub fn at(mut self, span: Option<Range<usize>>) -> Self {
        self.span = span;
        self
    }

    /// Says what is told where the remedy cannot be had.
    #[must_use]
    pub fn elsewhere(mut self, notice: Notice) -> Self {
        self.elsewhere = Some(notice);
        self
    }

    /// Says how a person does it, step by step.
    #[must_use]
    pub fn by_hand(mut self, steps: Vec<HandStep>) -> Self {
        self.by_hand = steps;
        self
    }

    /// The way by hand: the steps given, or those of the plan.
    pub fn way(&self) -> Vec<HandStep> {
        match &self.remedy {
            Remedy::Plan { plan, .. } if self.by_hand.is_empty() => plan
                .steps
                .iter()
                .map(|step| HandStep {
                    sql: step.text(),
                    outside: step.context == Context::OutsideTransaction,
                })
                .collect(),
            _ => self.by_hand.clone(),
        }
    }
}
