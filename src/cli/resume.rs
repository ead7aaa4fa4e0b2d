//! `lockkeeper resume`: runs what transactions have queued and nobody has finished, as a proxy would.

use std::io::Write as _;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;
use tokio_postgres::error::DbError;

use crate::config::Loaded;
use crate::control::tasks::{self, Task};
use crate::event::Clean;
use crate::live::Limits;
use crate::serve::listener::Accepted;
use crate::serve::login::Verifiers;
use crate::serve::settings::Serving;
use crate::serve::task;
use crate::serve::tasks::batch::{self, Ended, Told};
use crate::serve::tasks::client;
use crate::serve::tls::{ClientSslMode, ClientTlsSettings};
use crate::serve::worker_state::WorkerState;

use super::check::on_this_thread;
use super::database::{Route, SchemaArgs, refused};
use super::sources;

/// Arguments of `lockkeeper resume`.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// A task, to be run after those before it in its transaction; without it all that the role has queued.
    id: Option<i64>,
    #[command(flatten)]
    database: SchemaArgs,
}

/// Runs them; fails where one of them is not done in the end.
pub(super) fn run(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let (route, loaded, trusted) = args.database.route()?;
    if route.login.get_channel_binding() == ChannelBinding::Require {
        anyhow::bail!(
            "channel_binding=require cannot be kept here, since statements go through a proxy in this process; say sslmode=verify-full \
             instead"
        );
    }
    on_this_thread(async {
        let asking = route.client().await?;
        let all = tasks::list(&asking, trusted.as_deref()).await.map_err(refused)?;
        drop(asking);
        let (mine, others): (Vec<_>, Vec<_>) = tasks::batches(all).into_iter().partition(is_mine);
        let wanted = wanted(mine, args.id);
        if wanted.is_empty() {
            return nothing(args.id, &others);
        }
        let serving = Rc::new(WorkerState::new(&Arc::new(serving(&route, loaded)?)));
        let mut code = ExitCode::SUCCESS;
        for batch in wanted {
            if !Box::pin(resumed(&route.login, &serving, &batch)).await? {
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    })
}

#[expect(clippy::ptr_arg, reason = "it is asked of the elements of a list")]
fn is_mine(batch: &Vec<Task>) -> bool {
    batch.first().is_some_and(|first| first.mine)
}

/// The batches to run, each up to the task that was named.
fn wanted(mine: Vec<Vec<Task>>, id: Option<i64>) -> Vec<Vec<Task>> {
    let Some(id) = id else { return mine };
    let up_to = |batch: Vec<Task>| {
        let end = batch.iter().position(|task| task.id == id)?;
        Some(batch.into_iter().take(end + 1).collect())
    };
    mine.into_iter().filter_map(up_to).collect()
}

/// Says why there is nothing to run.
fn nothing(id: Option<i64>, others: &[Vec<Task>]) -> anyhow::Result<ExitCode> {
    let theirs: Vec<&Task> = others.iter().flatten().collect();
    if let Some(id) = id {
        match theirs.iter().find(|task| task.id == id) {
            Some(task) => anyhow::bail!(
                "task {id} was queued by role {}, and runs in a session of that role only; run this as that role",
                Clean(&task.queued_by)
            ),
            None => {
                anyhow::bail!("there is no task {id} to resume; lockkeeper tasks lists those that are there")
            }
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "nothing to resume")?;
    let mut roles: Vec<&str> = theirs.iter().map(|task| task.queued_by.as_str()).collect();
    roles.dedup();
    for role in roles {
        writeln!(out, "role {} has tasks to resume; run this as that role", Clean(role))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A proxy in front of that database for one client.
fn serving(route: &Route, mut loaded: Loaded) -> anyhow::Result<Serving> {
    let settings = &mut loaded.settings.sessions;
    settings.upstream = route.upstream.settings().clone();
    settings.upstream.control = Some(route.login.clone());
    settings.limits = Limits { connections: None, connections_per_user: None };
    settings.client_tls =
        ClientTlsSettings { ssl_mode: ClientSslMode::Disable, pair: None, client_roots: None };
    settings.verifiers = Verifiers::None;
    settings.console_users = Verifiers::None;
    Ok(Serving::new(loaded.ready(&sources::of_file(None))?))
}

/// Whether all of a batch is done.
async fn resumed(login: &Config, serving: &Rc<WorkerState>, batch: &[Task]) -> anyhow::Result<bool> {
    let Some(first) = batch.first() else { return Ok(true) };
    let mut login = login.clone();
    if !first.application_name.is_empty() {
        login.application_name(&first.application_name);
    }
    let hand = |accepted: Accepted| {
        tokio::task::spawn_local(task::session(accepted, Rc::clone(serving)));
    };
    let client = client::connect(&hand, login, notice).await?;
    let mut running = pin!(batch::run(&client, batch, &|told| tell(&told)));
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            Ok(()) = tokio::signal::ctrl_c() => client::cancel(&hand, &client).await?,
        }
    };
    let (name, done) = (format!("task {}", first.id), ended == Ended::Done);
    match ended {
        Ended::Done | Ended::Failed => {}
        Ended::Later(why) => say(&format!("not done now, and left as it was: {}", Clean(&why))),
        Ended::Elsewhere => say(&format!("{name}: somebody else is at it, or has given it up meanwhile")),
        Ended::Refused(why) => say(&format!("{name}: {}", Clean(&why))),
        Ended::Lost(why) => {
            say(&format!("the session is lost: {}; run this again to go on with what is left", Clean(&why)));
        }
    }
    Ok(done)
}

fn notice(said: &DbError) {
    say(&format!("  {}: {}", said.severity(), Clean(said.message())));
}

fn tell(told: &Told<'_>) {
    match told {
        Told::Begun(task) => say(&format!("task {}: {}", task.id, Clean(&task.title))),
        Told::There(task) => say(&format!("task {}: was done already", task.id)),
        Told::Moot(task) => say(&format!("task {}: there is nothing left to do it to", task.id)),
        Told::Done(task) => say(&format!("task {}: done", task.id)),
        Told::Failed(task, why) => say(&format!("task {}: failed: {}", task.id, Clean(why))),
    }
}

/// Whoever does not read any more is none of the task's business.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
