//! The words in which decisions are told: one rendering for the client, for `check` and for `explain`.

use super::policy::Allowance;
use crate::base::{Notice, Severity, SqlState};
use crate::hazard::{Finding, Remedy};
use crate::plan::{Deferral, HandStep};

/// What is said when a plan replaces the statement.
pub(super) fn replaced(tag: &str, form: &str, finding: &Finding) -> Notice {
    let notice = Notice::info(format!("{tag} runs as {form} ({})", finding.hazard));
    if finding.once_passed.is_some() {
        // Nobody needs to allow what passes.
        return notice.detail(
            "Each step is short and locks as little as it can; if one fails, those before it are taken back.",
        );
    }
    notice.detail(as_sent(&finding.why)).hint(format!(
        "To run it as sent, say why in a comment: \"/* lockkeeper: allow {} because <reason> */\".",
        finding.hazard
    ))
}

/// What is said when a statement of an open transaction is done online, in part or as a whole behind its COMMIT.
pub(super) fn deferred((tag, form): (&str, &str), finding: &Finding, deferral: &Deferral) -> Notice {
    let message = match (deferral.now.as_slice(), deferral.later.as_slice()) {
        (_, []) => format!("{tag} runs as {form} ({})", finding.hazard),
        ([], _) => {
            format!(
                "{tag} is deferred: it runs as {form} when the transaction is committed ({})",
                finding.hazard
            )
        }
        (_, later) => {
            let titles: Vec<&str> = later.iter().map(|later| later.title.as_str()).collect();
            format!(
                "{tag} runs as {form} ({}); deferred until the transaction is committed: {}",
                finding.hazard,
                titles.join("; ")
            )
        }
    };
    Notice::info(message).detail(as_sent(&finding.why)).hint(format!(
        "To run it in the transaction as sent, say why in a comment: \"/* lockkeeper: allow {} because <reason> */\".",
        finding.hazard
    ))
}

/// What is said when a statement is queued since it hangs on what is queued.
pub(super) fn behind(tag: &str) -> Notice {
    Notice::info(format!("{tag} is deferred: it runs when the transaction is committed"))
        .detail("It hangs on what the transaction has queued before it.")
}

/// Why a statement would hurt, where it is not what is run.
fn as_sent(why: &str) -> String {
    let mut letters = why.chars();
    match (letters.next(), letters.next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            let rest = why.get(first.len_utf8()..).unwrap_or_default();
            format!("As sent, {}{rest}", first.to_lowercase())
        }
        _ => format!("As sent: {why}"),
    }
}

/// What is said where a hazard is only warned of.
pub(super) fn warned(tag: &str, finding: &Finding) -> Notice {
    match &finding.remedy {
        Remedy::Ladder { warning: Some(notice) } => notice.clone(),
        Remedy::Refuse(notice) => {
            Notice { severity: Severity::Warning, code: SqlState::WARNING, ..notice.clone() }
        }
        _ => Notice::new(
            Severity::Warning,
            SqlState::WARNING,
            format!("{tag} runs as sent: {}", finding.hazard),
        )
        .detail(finding.why.clone()),
    }
}

/// What is said where a hazard is refused, though it need not be.
pub(super) fn refused(tag: &str, finding: &Finding) -> Notice {
    let notice = match &finding.remedy {
        Remedy::Refuse(notice) => notice.clone(),
        Remedy::Ladder { warning: Some(notice) } => {
            Notice { severity: Severity::Error, code: SqlState::FEATURE_NOT_SUPPORTED, ..notice.clone() }
        }
        _ => Notice::error(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{tag} is refused here: {}", finding.hazard),
        )
        .detail(finding.why.clone()),
    };
    match notice.hint {
        Some(_) => notice,
        None => notice.hint(way_out(finding)),
    }
}

/// The steps by hand, and how to insist.
pub(super) fn way_out(finding: &Finding) -> String {
    let step = |(at, step): (usize, HandStep)| format!("{}. {}", at + 1, step.sql.trim_start_matches("-- "));
    let steps: Vec<String> = finding.way().into_iter().enumerate().map(step).collect();
    let by_hand = if steps.is_empty() { String::new() } else { format!("By hand: {}. ", steps.join("; ")) };
    format!(
        "{by_hand}To run it as sent, say why in a comment: \"/* lockkeeper: allow {} because <reason> */\".",
        finding.hazard
    )
}

/// The same message, with the way out where it has no HINT of its own.
pub(super) fn with_way_out(notice: Notice, finding: &Finding) -> Notice {
    if notice.hint.is_some() { notice } else { notice.hint(way_out(finding)) }
}

/// What is said when the index that a statement makes unless it exists is there; Postgres' own words.
pub(super) fn there(index: &str) -> Notice {
    let message = format!("relation \"{index}\" already exists, skipping");
    Notice::new(Severity::Notice, SqlState::DUPLICATE_TABLE, message)
}

/// What is said when it is there and invalid.
pub(super) fn built_again(index: &str, hazard: &str) -> Notice {
    Notice::info(format!("index \"{index}\" exists but is invalid: it is dropped and built again"))
        .detail("A build that failed has left it: no query uses it, every write pays for it.")
        .hint(format!(
            "To leave it as it is, say why in a comment: \"/* lockkeeper: allow {hazard} because <reason> */\"."
        ))
}

/// What is said when a hazard is let pass; what runs in its place, if something does.
pub(super) fn allowed((tag, form): (&str, Option<&str>), finding: &Finding, allowance: &Allowance) -> Notice {
    let form = form.unwrap_or("sent");
    Notice::info(format!("{tag} runs as {form}: {} is allowed", finding.hazard))
        .detail(format!("The reason given: {}.", allowance.reason.trim_end_matches('.')))
}

/// What is said in observe mode; nothing about what would only have been recorded.
pub(super) fn observed(tag: &str, finding: &Finding, alone: bool) -> Option<Notice> {
    let would = match &finding.remedy {
        Remedy::Plan { form, .. } if alone => format!("run as {form}"),
        Remedy::Refuse(_) if alone || finding.elsewhere.is_none() => "be refused".to_owned(),
        Remedy::Plan { .. } | Remedy::Refuse(_) | Remedy::Ladder { .. } => {
            "wait for its locks under the ladder of patience".to_owned()
        }
        Remedy::Record => return None,
    };
    let notice = Notice::info(format!("{tag} would {would}")).detail(finding.why.clone());
    Some(
        notice
            .hint(format!("Hazard {}; lockkeeper only observes here and sends it as it is.", finding.hazard)),
    )
}

/// A directive that is ignored because it is wrong.
pub(super) fn ignored(mut problem: Notice) -> Notice {
    problem.severity = Severity::Warning;
    problem.code = SqlState::WARNING;
    problem.message = format!("directive ignored: {}", problem.message);
    problem
}
