//! What is said of a statement that is carried out in batches.

use crate::base::{Notice, Severity, SqlState};
use crate::execute::again::ways_on;
use crate::execute::course::{Course, Own};
use crate::execute::outcome::Outcome;
use crate::pace::bulk::{Account, Kept, Order};
use crate::plan::Bulk;
use crate::plan::backfill::Ranges;
use crate::plan::by_hand::spelled;
use crate::upstream::call::Failed;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::notice;

/// How far it is, and what holds it back.
pub(super) fn progress(account: &Account) -> String {
    let holds: Vec<&str> = account.holds.iter().map(|hold| hold.words.as_str()).collect();
    let why = if holds.is_empty() { String::new() } else { format!("; held back: {}", holds.join(", ")) };
    format!("{}{why}", account.progress)
}

/// Somebody has ordered something of it; its number, and its speed since, in hundredths of its own.
pub(super) fn ordered(bulk: &Bulk, (by, order): (&str, &Order), (id, speed): (u64, u64)) -> Notice {
    let title = bulk.title();
    match order {
        Order::Pause => {
            let goes_on = format!(
                "It goes on by: lockkeeper bulk resume {id}. Ctrl-C ends it; what is written stays so."
            );
            Notice::info(format!("{title} was paused by {by}")).hint(goes_on)
        }
        Order::Resume => Notice::info(format!("{title} goes on, as {by} has ordered")),
        Order::Faster(_) | Order::Slower(_) => {
            Notice::info(format!("{title} goes at {speed} % of its own speed, as {by} has ordered"))
        }
        Order::RowsPerSecond(Some(most)) => {
            Notice::info(format!("{title} changes no more than {most} rows a second, as {by} has ordered"))
        }
        Order::RowsPerSecond(None) => {
            Notice::info(format!("{title} has no bound on rows a second any more, as {by} has ordered"))
        }
    }
}

/// A partition that was attached meanwhile is not as the others.
pub(super) fn unfit(bulk: &Bulk, why: &str) -> Outcome {
    let message = format!("{} cannot go on: {why}", bulk.title());
    let error = Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message.trim_end_matches('.'));
    Outcome::own_error(&error.hint("Try again when that is changed."))
}

/// It cannot be begun.
pub(super) fn uncut(bulk: &Bulk, why: &str) -> Outcome {
    let message = format!("{} cannot be carried out in batches", bulk.title());
    Outcome::own_error(&Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message).detail(sentence(why)).hint(
        "To run it as sent, say why in a comment: \"/* lockkeeper: allow bulk-write because <reason> */\".",
    ))
}

/// With a capital letter.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A partition was detached before its turn came.
pub(super) fn detached(bulk: &Bulk) -> Notice {
    let what = format!(
        "{}: a partition was detached or dropped meanwhile, and its rows are left as they were",
        bulk.title()
    );
    Notice::new(Severity::Warning, SqlState::WARNING, what)
}

/// It would be gone through by another key than the one by which it was begun.
pub(super) fn another_key(bulk: &Bulk, now: &Ranges) -> Outcome {
    let message = format!(
        "{} cannot go on: {} has another key than when it was begun",
        bulk.title(),
        spelled(&now.table)
    );
    let error = Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message)
        .detail("By another key nobody could tell which rows are done.")
        .hint("Bring the key back, or give the task up, with lockkeeper tasks drop, and see by hand to the rows that are left.");
    Outcome::own_error(&error)
}

/// Another table has the name by now of the one that is gone through.
pub(super) fn taken_name() -> Failed {
    let error = Notice::error(
        SqlState::NOT_IN_PREREQUISITE_STATE,
        "the table that is gone through has lost its name to another",
    )
    .hint("Give its name back; lockkeeper tasks lists what is left to be done.");
    let mut frame = Vec::new();
    notice::encode(&error, &mut frame);
    Failed { item: 0, body: frame.split_off(HEADER_BYTES) }
}

/// Something that is to hold it back cannot be seen.
pub(super) fn unseen(bulk: &Bulk, why: &str) -> Notice {
    let what = format!("{} goes on without all that should hold it back", bulk.title());
    Notice::new(Severity::Warning, SqlState::WARNING, what).detail(why.to_owned())
}

/// Somebody keeps the dead rows that it leaves; its number comes with it.
pub(super) fn kept(bulk: &Bulk, keeper: &Kept, id: u64) -> Notice {
    let what = format!("dead rows that {} leaves cannot be cleaned at present", bulk.title());
    Notice::new(Severity::Warning, SqlState::WARNING, what)
        .detail(format!("{} has kept them for {}.", capital(&keeper.who), keeper.time))
        .hint(format!(
            "The table and its indexes grow with each batch until that has ended. Meanwhile: lockkeeper bulk pause {id}"
        ))
}

/// With a capital at its beginning.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// The server's own words. Where in the text something stands is told of a text that nobody has sent.
pub(super) fn failed(failed: &Failed) -> Outcome {
    Outcome::server_error(&Failed { body: without_position(&failed.body), item: failed.item }, None, None)
}

fn without_position(body: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    let fields = body.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    for field in fields.filter(|field| field.first() != Some(&b'P')) {
        kept.extend_from_slice(field);
        kept.push(0);
    }
    kept.push(0);
    kept
}

/// What is done, and how it goes on.
pub(super) fn interrupted(bulk: &Bulk, (course, batches): (&Course, u64), outcome: Outcome) -> Outcome {
    let (rows, id) = (course.at.rows, &course.id);
    if !course.is_begun() {
        return outcome.amended(Some("Nothing was changed."), None);
    }
    let done = if bulk.tag() == "DELETE" { "deleted" } else { "updated" };
    let here = match batches {
        1 => "one batch".to_owned(),
        more => format!("{more} batches"),
    };
    let detail = format!(
        "{rows} rows are {done} and stay so ({here} by this session); no row is met twice when it goes on."
    );
    let hint = ways_on(id);
    outcome.amended(Some(&detail), (course.own == Own::Yes).then_some(hint.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_left_out() {
        assert_eq!(
            without_position(b"SERROR\0C22012\0Mdivision by zero\0P17\0\0"),
            b"SERROR\0C22012\0Mdivision by zero\0\0"
        );
    }
}
