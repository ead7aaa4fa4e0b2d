//! `/* lockkeeper: resume 17 */ UPDATE ..`: a statement that was interrupted and is sent once more goes on where it was.
//!
//! Its task is run as by whoever else goes on with it, but in the client's session, which gets the tag with the true total.

use crate::base::{Notice, SqlState};
use crate::execute::again::{Earlier, earlier, ways_on};
use crate::execute::outcome::Outcome;
use crate::execute::readiness::{Readiness, readiness};
use crate::execute::tell::tell;
use crate::execute::{catalogue, fail, outbox};
use crate::judge::setting::{RESUME, almost_resumes};
use crate::judge::{self, Standing};
use crate::pace::bulk::Alone;
use crate::plan::task::{self, Meaning};
use crate::sql::again::{Again, again};
use crate::sql::parse::pieces;
use crate::sql::statement::Script;
use crate::upstream::link::{Lost, Reading};

use super::engage::{Desk, Sent, Way, end_batch};
use super::statement::run_alone;

/// Goes on with what the statement asks for; `None` where it asks for nothing of the kind.
pub(super) async fn look_after(
    desk: &mut Desk<'_>,
    script: &Script,
    (sent, standing): (Sent<'_>, Standing),
) -> Result<Option<Outcome>, Lost> {
    let directives = judge::written(script);
    let refused = match directives.as_slice() {
        all if all.iter().any(|it| almost_resumes(&it.name)) => Outcome::own_error(&misspelled()),
        all if all.iter().all(|it| it.name != RESUME) => return Ok(None),
        [asked] => match Box::pin(wanted(desk, script, (&asked.value, standing))).await? {
            Ok((tag, earlier)) => {
                if sent.way != Way::Simple {
                    end_batch(desk.link).await?;
                }
                return Ok(Some(go_on(desk, &earlier, tag).await?));
            }
            Err(refused) => refused,
        },
        _ => Outcome::own_error(&with_others()),
    };
    fail::transaction(desk.link).await?;
    Ok(Some(refused))
}

/// The task that is meant, which is this statement's.
async fn wanted(
    desk: &mut Desk<'_>,
    script: &Script,
    (number, standing): (&str, Standing),
) -> Result<Result<(&'static str, Earlier), Outcome>, Lost> {
    let not = |why: Notice| Ok(Err(Outcome::own_error(&why)));
    let [statement] = script.statements.as_slice() else { return not(by_itself()) };
    if standing != Standing::Outside {
        return not(by_itself());
    }
    let tag = statement.tag;
    if pieces(script).is_none_or(|pieces| pieces.returning.is_some()) {
        return not(not_of_batches(tag));
    }
    // What is called in schema lockkeeper is somebody's to be trusted.
    let what = format!("{tag} cannot go on where it was interrupted");
    match readiness(desk.link, desk.surroundings, &what).await? {
        Readiness::Ready(_) => {}
        Readiness::Not(why) => return not(*why),
        Readiness::ReadOnly => return not(read_only(tag)),
        Readiness::Failed(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    }
    let all = match earlier(desk.link, tag).await? {
        Ok(all) => all,
        Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    };
    let number = number.trim();
    let is_meant = |it: &Earlier| {
        if number.is_empty() { again(script, &it.sql) != Again::Other } else { it.id == number }
    };
    let Some(task) = all.into_iter().find(is_meant) else { return not(unknown(tag, number)) };
    let why = match again(script, &task.sql) {
        Again::Other => Some(another(&task)),
        Again::Unsure => Some(unsure(&task)),
        Again::Same if !task.alone => Some(among_others(&task)),
        Again::Same => task.pid.as_ref().map(|pid| at_work(&task, pid)),
    };
    Ok(why.map_or(Ok((tag, task)), |why| Err(Outcome::own_error(&why))))
}

/// Runs the task in this session, and ends it or leaves it to others.
async fn go_on(desk: &mut Desk<'_>, earlier: &Earlier, tag: &str) -> Result<Outcome, Lost> {
    let id = &earlier.id;
    match outbox::begin(desk.link, id).await? {
        Ok(true) => {}
        Ok(false) => return Ok(Outcome::own_error(&taken(earlier))),
        Err(failed) => return Ok(Outcome::server_error(&failed, None, None)),
    }
    tell(desk.link, &[Notice::info(format!("{tag} goes on where it was interrupted (task {id})"))]).await;
    let (went, put_back) = match outbox::put_on(desk.link, &earlier.settings).await? {
        Err(failed) => (Went::On(Outcome::server_error(&failed, None, None)), Ok(())),
        Ok(before) => (carried_out(desk, earlier, tag).await?, outbox::take_off(desk.link, &before).await),
    };
    let (outcome, hint) = match went {
        Went::On(outcome) => (outcome, Some(ways_on(id))),
        Went::Nowhere(why) => (Outcome::own_error(&why), None),
    };
    let failure = outcome.message();
    let left = desk.link.client_reading == Reading::Closed;
    // A session that has not its own settings back ends, but not before it is known how far its task is.
    if failure.is_some() && left && desk.surroundings.bulk.without_client == Alone::GoesOn {
        outbox::leave(desk.link, id).await?;
        put_back?;
        desk.surroundings.live.tasks().ask(&desk.surroundings.place.database);
        return Ok(outcome);
    }
    let ended = outbox::end(desk.link, id, failure.as_deref()).await?;
    put_back?;
    Ok(match ended {
        Err(failed) if failure.is_none() => {
            let hint = format!("lockkeeper resume {id} finds nothing left to do, and marks it as done.");
            Outcome::server_error(
                &failed,
                Some("All rows are written; their task is not marked as done."),
                Some(&hint),
            )
        }
        // What stands in the way for good has said what helps.
        _ if outcome.sqlstate() == Some(SqlState::NOT_IN_PREREQUISITE_STATE) && outcome.has_hint() => outcome,
        _ => outcome.amended(None, hint.as_deref()),
    })
}

/// How far it came.
enum Went {
    /// It was run, to its end or not.
    On(Outcome),
    /// What it is about is not there any more.
    Nowhere(Notice),
}

/// Runs it, where what it names is what it was.
async fn carried_out(desk: &mut Desk<'_>, earlier: &Earlier, tag: &str) -> Result<Went, Lost> {
    if let Some(about) = &earlier.about {
        match catalogue::meaning_of(desk.link, about).await? {
            Meaning::Same => {}
            Meaning::Gone => {
                return Ok(Went::Nowhere(of_another(
                    earlier,
                    format!("the table of task {} is gone", earlier.id),
                )));
            }
            Meaning::Other(name) => {
                let what = format!("{name} is not what it was when task {} was queued", earlier.id);
                return Ok(Went::Nowhere(of_another(earlier, what)));
            }
        }
    }
    Ok(Went::On(Box::pin(run_alone(desk, &task::to_run(earlier.sql.as_bytes(), tag))).await?))
}

fn error(message: String) -> Notice {
    Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message)
}

fn misspelled() -> Notice {
    error("unrecognized directive before a statement that may have been meant to go on".to_owned())
        .hint("Perhaps you meant \"resume\".")
}

fn with_others() -> Notice {
    error("the directive \"resume\" stands beside others".to_owned())
        .detail("What goes on does so under the settings of then.")
        .hint("Leave the others out. lockkeeper bulk changes its pace while it runs.")
}

fn read_only(tag: &str) -> Notice {
    Notice::error(
        SqlState::READ_ONLY_TRANSACTION,
        format!("{tag} cannot go on where it was interrupted: this session only reads"),
    )
    .hint("SET default_transaction_read_only = off, or connect to the primary.")
}

fn taken(task: &Earlier) -> Notice {
    error(format!("task {} was taken up or given up by somebody else meanwhile", task.id))
        .hint("lockkeeper tasks shows what has become of it.")
}

fn of_another(task: &Earlier, what: String) -> Notice {
    error(what).hint(format!(
        "Give the task up, with lockkeeper tasks drop {} --why \"<reason>\", and send the statement without the directive if it is meant.",
        task.id
    ))
}

fn by_itself() -> Notice {
    let message = "what goes on where it was interrupted comes by itself, outside of a transaction";
    error(message.to_owned()).hint(
        "Send nothing else with it, or leave the directive \"resume\" out: then the statement begins anew.",
    )
}

fn not_of_batches(tag: &str) -> Notice {
    error(format!("this {tag} cannot go on where it was interrupted"))
        .detail("UPDATE and DELETE can, without RETURNING.")
        .hint("lockkeeper resume goes on with tasks of every kind; lockkeeper tasks lists them.")
}

fn unknown(tag: &str, number: &str) -> Notice {
    let what = if number.is_empty() {
        format!("no {tag} with this text was interrupted")
    } else {
        format!("there is no open task {number:?} that is a {tag} of this role")
    };
    error(what).hint(
        "lockkeeper tasks lists those that are there. Without the directive \"resume\" the statement begins anew.",
    )
}

fn another(task: &Earlier) -> Notice {
    error(format!("task {} is another statement than this one", task.id))
        .detail("A part of its rows is written as it was sent then.")
        .hint(by_resume(task))
}

fn unsure(task: &Earlier) -> Notice {
    error(format!("whether task {} has the same values as this statement cannot be told", task.id))
        .detail("Parameters are kept with the values that they had.")
        .hint(by_resume(task))
}

fn among_others(task: &Earlier) -> Notice {
    error(format!("task {} belongs to a transaction of which more is to be done", task.id))
        .hint(by_resume(task))
}

fn at_work(task: &Earlier, pid: &str) -> Notice {
    let message = format!("task {} is being carried out by process {pid}", task.id);
    Notice::error(SqlState::OBJECT_IN_USE, message)
        .hint("lockkeeper tasks shows how far it is; nothing has to be done about it.")
}

fn by_resume(task: &Earlier) -> String {
    format!("To go on with it as it was sent: lockkeeper resume {}.", task.id)
}
