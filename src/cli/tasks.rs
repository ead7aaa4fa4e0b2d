//! `lockkeeper tasks`: what transactions have queued, and how far it is.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::control::tasks::{self, State, Task};
use crate::event::Clean;

use super::check::on_this_thread;
use super::database::{SchemaArgs, refused};

/// More of those that have ended are shown only where all are asked for.
const ENDED_MAX: usize = 20;

/// Arguments of `lockkeeper tasks`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct TasksArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    database: SchemaArgs,
    /// Show all that have ended, too, and not only the last ones.
    #[arg(long)]
    all: bool,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give a task up: it is never run, and the later ones of its transaction go on without it.
    Drop {
        /// Its number.
        id: i64,
        /// Why; whoever looks at the tasks later is told.
        #[arg(long, value_name = "REASON")]
        why: String,
        #[command(flatten)]
        database: SchemaArgs,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Lists the tasks, or gives one up.
pub(super) fn run(args: &TasksArgs) -> anyhow::Result<ExitCode> {
    let said = match &args.action {
        Some(Action::Drop { id, why, database }) => give_up(*id, why, database)?,
        None => {
            let tasks = listed(&args.database)?;
            match args.format {
                Format::Text => table(&tasks, if args.all { usize::MAX } else { ENDED_MAX }),
                Format::Json => {
                    serde_json::to_string_pretty(&tasks.iter().map(value).collect::<Vec<_>>())? + "\n"
                }
            }
        }
    };
    write!(std::io::stdout().lock(), "{said}")?;
    Ok(ExitCode::SUCCESS)
}

fn listed(database: &SchemaArgs) -> anyhow::Result<Vec<Task>> {
    let (route, _, trusted) = database.route()?;
    on_this_thread(async {
        let client = route.client().await?;
        tasks::list(&client, trusted.as_deref()).await.map_err(refused)
    })
}

fn give_up(id: i64, why: &str, database: &SchemaArgs) -> anyhow::Result<String> {
    let (route, _, trusted) = database.route()?;
    on_this_thread(async {
        let client = route.client().await?;
        let known = tasks::list(&client, trusted.as_deref()).await.map_err(refused)?;
        if let Err(error) = client.execute("SELECT lockkeeper.drop_task($1, $2)", &[&id, &why]).await {
            let said = error.as_db_error().context("the server has given no answer")?;
            let hint = said.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            anyhow::bail!("{}{hint}", said.message());
        }
        let title =
            known.iter().find(|task| task.id == id).map(|task| task.title.as_str()).unwrap_or_default();
        Ok(format!("task {id} is given up: {}\n", Clean(title)))
    })
}

fn value(task: &Task) -> Value {
    json!({
        "id": task.id,
        "batch": task.batch,
        "state": task.state.word(),
        "title": task.title,
        "statement": task.sql,
        "background": task.background,
        "queued_by": task.queued_by,
        "queued_at": task.queued_at,
        "application_name": task.application_name,
        "attempts": task.attempts,
        "ended_at": task.ended_at,
        "ended_by": task.ended_by,
        "failure": task.failure,
        "why": task.why,
        "process": task.pid,
        "mine": task.mine,
    })
}

/// What is open, then what has ended.
fn table(tasks: &[Task], ended_max: usize) -> String {
    if tasks.is_empty() {
        return "there is no task that this role may see\n".to_owned();
    }
    let (open, ended): (Vec<_>, Vec<_>) = tasks.iter().partition(|task| task.state.is_open());
    let mut out = String::new();
    for task in open {
        line(&mut out, task);
        next(&mut out, task);
    }
    let left_out = ended.len().saturating_sub(ended_max);
    for task in ended.into_iter().skip(left_out) {
        line(&mut out, task);
        if let Some(why) = &task.why {
            let by = task.ended_by.as_deref().unwrap_or_default();
            let _ = writeln!(out, "      given up by {}: {}", Clean(by), Clean(why));
        }
    }
    if left_out > 0 {
        let _ = writeln!(out, "{left_out} more have ended (--all)");
    }
    out
}

fn line(out: &mut String, task: &Task) {
    let _ = writeln!(
        out,
        "{:>5} {:9}  {}, queued by {} at {}",
        task.id,
        task.state.word(),
        Clean(&task.title),
        Clean(&task.queued_by),
        task.queued_at.replace('T', " ").replace('Z', " UTC"),
    );
}

/// How an open task goes on.
fn next(out: &mut String, task: &Task) {
    if let Some(failure) = &task.failure {
        let _ = writeln!(out, "      {}", Clean(failure));
    }
    let whose = if task.mine { String::new() } else { format!(" as role {}", Clean(&task.queued_by)) };
    let Task { id, .. } = task;
    let _ = match (task.state, task.pid) {
        (State::Failed, _) => writeln!(
            out,
            "      run it again: lockkeeper resume {id}{whose}; or give it up: lockkeeper tasks drop {id} --why REASON"
        ),
        (_, Some(pid)) => writeln!(out, "      process {pid} is at its transaction's tasks"),
        (State::LeftOver, None) => writeln!(
            out,
            "      whoever ran it is gone; a proxy that may log in as role {} takes it up, or: lockkeeper resume {id}{whose}",
            Clean(&task.queued_by)
        ),
        _ => writeln!(out, "      waits for its turn; by hand: lockkeeper resume {id}{whose}"),
    };
}
