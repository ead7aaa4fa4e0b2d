//! A Query in a failed transaction. The server refuses all but what ends the failure, and nothing can be asked. But behind
//! that the same message may hold statements which then run: they are looked after once it is done.

use crate::base::{Notice, SqlState};
use crate::event::clock;
use crate::execute::outcome::Outcome;
use crate::execute::{message, script};
use crate::judge::Mode;
use crate::sql::statement::{Kind, Readable, Script, Transaction};
use crate::sql::{self, triage};
use crate::upstream::link::Lost;

use super::engage::{Desk, Sent, Way, drop_held, finish};
use super::{queued, statement};

/// Looks after the Query at the front of `link.held`.
pub(super) async fn look_after(desk: &mut Desk<'_>, text: &[u8], total: usize) -> Result<(), Lost> {
    let script = sql::parse(text, desk.link.tracker.reading().dialect());
    if desk.link.tracker.deferred().is_some() && matches!(script.statements.as_slice(), [_]) {
        return statement::look_after(desk, Sent::query(text, total)).await;
    }
    // What takes a part of the transaction back takes what was queued in it back, too.
    let queued = desk.link.tracker.deferred().is_some();
    if !may_end_failure(&script) || !queued && (!binds(desk) || script.is_ordinary()) {
        desk.link.forward_held(total).await;
        return Ok(());
    }
    drop_held(desk.link, total);
    let first = script.statements.first().filter(|_| script.readable == Readable::Whole);
    let Some(end) = first.map(|first| first.span.end) else {
        return finish(desk.link, Way::Simple, Outcome::own_error(&unreadable())).await;
    };
    if message::pass(desk.link, &script::query(text, 0, end)).await? == message::Passed::Failed {
        return finish(desk.link, Way::Simple, Outcome::Answered).await;
    }
    if let Some(first) = first {
        queued::follow(desk.link, first);
    }
    let rest = script::part(text, end, text.len());
    let frame = script::query(text, end, text.len());
    let total = frame.len();
    desk.link.held.splice(..0, frame);
    statement::look_after(desk, Sent::query(&rest, total)).await
}

/// Whether anything may become of a statement: in observe mode a freeze does.
fn binds(desk: &Desk<'_>) -> bool {
    match desk.policy.mode {
        Mode::Enforce => true,
        Mode::Observe => desk.surroundings.live.gate().stops(clock::wall()).is_some(),
        Mode::Off => false,
    }
}

/// Whether the first statement is one that the server takes here (`IsTransactionExitStmt` in `postgres.c`), or may be.
fn may_end_failure(script: &Script) -> bool {
    if script.readable != Readable::Whole {
        const WORDS: [&str; 5] = ["rollback", "abort", "commit", "end", "prepare"];
        let first = triage::first_word(script.text.as_bytes());
        return first
            .is_none_or(|first| WORDS.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(first)));
    }
    script.statements.first().is_some_and(|first| {
        matches!(
            first.kind,
            Kind::Transaction(
                Transaction::Rollback
                    | Transaction::RollbackAndChain
                    | Transaction::RollbackTo
                    | Transaction::Commit
                    | Transaction::CommitAndChain
                    | Transaction::Prepare
            )
        )
    })
}

fn unreadable() -> Notice {
    let message = "what stands behind the end of a failed transaction cannot be read";
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("It may lock tables, and in a failed transaction it cannot be guarded.")
        .hint("Send ROLLBACK by itself.")
}
