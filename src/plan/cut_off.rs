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
        (Inverse::FinishDrop(_), WayOut::TakeBack(undo)) => {
            let first = "The index may be there yet, and invalid. Connect again and run the statement again";
            match undo.as_slice() {
                [] => format!("{first}."),
                undo => format!("{first}, or take back what was done before: {}.", undo.join("; ")),
            }
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
    let detail = match (done, of) {
        (_, 1) => format!("The statement ran as {}, and was cut off.", step.text()),
        ([], _) => format!("The statement ran in steps, and was cut off at step 1 of {of}: {}.", step.text()),
        _ => format!(
            "The statement ran in steps, and was cut off at step {at} of {of}: {}. What was done before stays.",
            step.text()
        ),
    };
    Some((detail, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LockMode, RelationName};
    use crate::plan::{Context, HalfDetached, Pace, Probe, Scope, Target, Undo};

    fn undo(sql: &str) -> Undo {
        Undo { sql: sql.into(), pace: Pace::Unhurried }
    }

    fn step(sql: &str, inverse: Inverse, back: &[&str]) -> Step {
        Step {
            sql: sql.into(),
            also: Vec::new(),
            lock: LockMode::AccessExclusive,
            relation: None,
            context: Context::Anywhere,
            probe: Probe::Tag,
            inverse,
            pace: Pace::Unhurried,
            undo: back.iter().map(|sql| undo(sql)).collect(),
            violated: None,
        }
    }

    #[test]
    fn who_loses_the_session_hears_what_stays() {
        let done =
            [step("A", Inverse::Nothing, &["BACK A"]), step("B", Inverse::Nothing, &["BACK B", "AND B"])];
        let of = |inverse| [step("C", inverse, &["BACK C"])];
        let target = || Target { name: RelationName::bare("t"), oid: None, mode: LockMode::AccessExclusive };
        let half = HalfDetached { partition: target(), parent: target(), finalize: undo("FINALIZE") };
        let build = Inverse::DropNewInvalidIndexes(Scope::Database);
        assert_eq!(told(&[], &of(Inverse::Nothing)), None);
        assert_eq!(told(&done, &[]), None);
        let (detail, hint) = told(&[], &of(build.clone())).expect("words");
        assert_eq!(detail, "The statement ran as C, and was cut off.");
        assert!(hint.ends_with("with DROP INDEX CONCURRENTLY. Then run the statement again."), "{hint}");
        for (inverse, end) in [
            (
                Inverse::Nothing,
                "take back what was done: BACK B; AND B; BACK A. Then run the statement again.",
            ),
            (build, "; take back what was done before: BACK B; AND B; BACK A. Then run the statement again."),
            (Inverse::FinishDrop(7), "again, or take back what was done before: BACK B; AND B; BACK A."),
            (Inverse::Finish("VALIDATE".into()), "Connect again and finish it: VALIDATE."),
            (Inverse::FinishDetach(Box::new(half)), "half detached. Connect again and finish it: FINALIZE."),
        ] {
            let (detail, hint) = told(&done, &of(inverse)).expect("words");
            assert_eq!(
                detail,
                "The statement ran in steps, and was cut off at step 3 of 3: C. What was done before stays."
            );
            assert!(hint.ends_with(end), "{hint}");
        }
        let tidy = [Step { pace: Pace::Tidy(Vec::new()), ..step("TIDY", Inverse::Nothing, &[]) }];
        let (_, hint) = told(&done, &tidy).expect("words");
        assert_eq!(hint, "Connect again and tidy up: TIDY.");
    }
}
