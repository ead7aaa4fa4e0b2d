//! `/* lockkeeper: resume 17 */ UPDATE ..`: a statement that was interrupted and is sent once more goes on where it was.
//!
//! Its task is run as by whoever else goes on with it, but in the client's session, which gets the tag with the true total.

use crate::base::{Notice, SqlState};
use crate::execute::again::{Earlier, earlier, ways_on};
use crate::execute::outcome::Outcome;
use crate::execute::tell::tell;
use crate::execute::{fail, outbox};
use crate::judge::Standing;
use crate::judge::setting::{RESUME, almost_resumes};
use crate::pace::bulk::Alone;
use crate::plan::task;
use crate::sql::again::{Again, again};
use crate::sql::statement::Script;
use crate::upstream::link::{Link, Lost, Reading};

use super::engage::{Desk, Sent, Way, end_batch};
use super::statement::run_alone;

/// Goes on with what the statement asks for; `None` where it asks for nothing of the kind.
pub(super) async fn look_after(
    desk: &mut Desk<'_>,
    script: &Script,
    (sent, standing): (Sent<'_>, Standing),
) -> Result<Option<Outcome>, Lost> {
    if let Some(slip) = script.directives.iter().find(|directive| almost_resumes(&directive.name)) {
        fail::transaction(desk.link).await?;
        return Ok(Some(refused(&misspelled(&slip.name))));
    }
    let Some(asked) = script.directives.iter().find(|directive| directive.name == RESUME) else {
        return Ok(None);
    };
    let (tag, earlier) = match wanted(desk.link, script, (&asked.value, standing)).await? {
        Ok(wanted) => wanted,
        Err(why) => {
            fail::transaction(desk.link).await?;
            return Ok(Some(why));
        }
    };
    if sent.way != Way::Simple {
        end_batch(desk.link).await?;
    }
    Ok(Some(go_on(desk, &earlier, tag).await?))
}

/// The task that is meant, which is this statement's.
async fn wanted(
    link: &mut Link,
    script: &Script,
    (number, standing): (&str, Standing),
) -> Result<Result<(&'static str, Earlier), Outcome>, Lost> {
    let [statement] = script.statements.as_slice() else { return Ok(Err(refused(&by_itself()))) };
    if standing != Standing::Outside {
        return Ok(Err(refused(&by_itself())));
    }
    let pieces = crate::sql::parse::pieces(script);
    let tag = statement.tag;
    match pieces {
        Some(pieces) if pieces.returning.is_none() => {}
        _ => return Ok(Err(refused(&not_of_batches(tag)))),
    }
    let all = match earlier(link, tag).await? {
        Ok(all) => all,
        Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    };
    let number = number.trim();
    let is_meant = |it: &Earlier| {
        if number.is_empty() { again(script, &it.sql) != Again::Other } else { it.id == number }
    };
    let Some(task) = all.into_iter().find(is_meant) else { return Ok(Err(refused(&unknown(tag, number)))) };
    let why = match again(script, &task.sql) {
        Again::Other => Some(another(&task)),
        Again::Unsure => Some(unsure(&task)),
        Again::Same if !task.alone => Some(among_others(&task)),
        Again::Same => task.pid.as_ref().map(|pid| at_work(&task, pid)),
    };
    Ok(why.map_or(Ok((tag, task)), |why| Err(refused(&why))))
}

/// Runs the task in this session, and ends it or leaves it to others.
async fn go_on(desk: &mut Desk<'_>, earlier: &Earlier, tag: &str) -> Result<Outcome, Lost> {
    let id = &earlier.id;
    match outbox::begin(desk.link, id).await? {
        Ok(true) => {}
        Ok(false) => return Ok(refused(&at_work(earlier, "another"))),
        Err(failed) => return Ok(Outcome::server_error(&failed, None, None)),
    }
    tell(desk.link, &[Notice::info(format!("{tag} goes on where it was interrupted (task {id})"))]).await;
    let outcome = match outbox::put_on(desk.link, &earlier.settings).await? {
        Err(failed) => Outcome::server_error(&failed, None, None),
        Ok(before) => {
            let outcome = Box::pin(run_alone(desk, &task::to_run(earlier.sql.as_bytes(), tag))).await?;
            match outbox::take_off(desk.link, &before).await? {
                Some(failed) if !matches!(outcome, Outcome::Failed(_)) => {
                    Outcome::server_error(&failed, None, None)
                }
                _ => outcome,
            }
        }
    };
    let failure = outcome.message();
    let left = desk.link.client_reading == Reading::Closed;
    if failure.is_some() && left && desk.surroundings.bulk.without_client == Alone::GoesOn {
        outbox::leave(desk.link, id).await?;
        desk.surroundings.live.tasks().ask(&desk.surroundings.place.database);
        return Ok(outcome);
    }
    match outbox::end(desk.link, id, failure.as_deref()).await? {
        Err(failed) if failure.is_none() => Ok(Outcome::server_error(&failed, None, None)),
        Ok(_) | Err(_) => Ok(outcome.amended(None, Some(&ways_on(id)))),
    }
}

fn refused(why: &Notice) -> Outcome {
    Outcome::own_error(why)
}

fn error(message: String) -> Notice {
    Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message)
}

fn misspelled(name: &str) -> Notice {
    error(format!("unrecognized directive {name:?}")).hint("Perhaps you meant \"resume\".")
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
