//! What is said of a plan that was cut off between its first step and its last, and what people do about it.

use super::{Inverse, Step};

/// What people do where a plan was cut off: statements, the first to run first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayOut {
    /// They take back what was done.
    TakeBack(Vec<String>),
    /// What was asked for is done: they take away what the way there has left.
    TidyUp(Vec<String>),
}

impl WayOut {
    /// Of a plan of which these steps are done and those are not.
    pub fn between(done: &[Step], left: &[Step]) -> Self {
        if !left.is_empty() && left.iter().all(Step::is_tidy) {
            return Self::TidyUp(left.iter().map(Step::text).collect());
        }
        let undo = done.iter().rev().flat_map(|step| &step.undo);
        Self::TakeBack(undo.map(|undo| String::from_utf8_lossy(&undo.sql).into_owned()).collect())
    }
}

/// A DETAIL and a HINT for whoever loses the session while the first of the steps that are left is carried out; nothing where that
/// leaves nothing behind.
pub fn told(done: &[Step], left: &[Step]) -> Option<(String, String)> {
    let step = left.first()?;
    let (at, of) = (done.len() + 1, done.len() + left.len());
    let again = "Then run the statement again.";
    let hint = match (&step.inverse, WayOut::between(done, left)) {
        (_, WayOut::TidyUp(statements)) => {
            let detail =
                "What the statement asked for is done, but something of the way there is left.".to_owned();
            return Some((detail, format!("Connect again and tidy up: {}.", statements.join("; "))));
        }
        (Inverse::Finish(rest), _) => format!("Connect again and finish it: {rest}."),
        (Inverse::FinishDetach(half), _) => format!(
            "The partition may be half detached. Connect again and finish it: {}.",
            String::from_utf8_lossy(&half.finalize.sql)
        ),
        (Inverse::FinishDrop(_), _) => {
            "The index may be there yet, and invalid. Connect again and run the statement again.".to_owned()
        }
        (Inverse::DropNewInvalidIndexes(_), WayOut::TakeBack(undo)) => {
            let first = "The step may have left an index that is invalid. Connect again, look for it (pg_index.indisvalid is false), \
                         and drop it with DROP INDEX CONCURRENTLY";
            match undo.as_slice() {
                [] => format!("{first}. {again}"),
                undo => format!("{first}; take back what was done before: {}. {again}", undo.join("; ")),
            }
        }
        (Inverse::Nothing, WayOut::TakeBack(undo)) if undo.is_empty() => return None,
        (Inverse::Nothing, WayOut::TakeBack(undo)) => {
            format!("Connect again and take back what was done: {}. {again}", undo.join("; "))
        }
    };
    let before = match done {
        [] => "",
        [..] => " What was done before stays.",
    };
    Some((
        format!("The statement ran in steps, and was cut off at step {at} of {of}: {}.{before}", step.text()),
        hint,
    ))
}
