//! `lockkeeper demo`: the same migration twice, straight and through the proxy, while an application works.
//!
//! A throwaway cluster gets a job-search application's tables and rows; clients read and write; a report holds a table for
//! some seconds; Alembic migrates. What the application waited is shown live, and drawn at the end.
//!
//! Everything it starts ends with it, also on Ctrl-C; only the picture stays.

#![expect(clippy::disallowed_methods, reason = "the demonstration measures time and lets it pass")]

mod migration;
mod picture;
mod screen;
mod stage;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Cluster, Options};
use crate::traffic::figures::{self, Figures};
use migration::Python;
use screen::Screen;
use stage::Stage;
use story::Outcome;

/// Runs one migration straight and through the proxy, under load, and compares what the application felt.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DemoArgs {
    /// Rows in the table `applications`; the other tables follow it.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(100..=50_000_000))]
    rows: u32,
    /// Clients of the application.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=90))]
    clients: u16,
    /// How long the report holds `applications`, in seconds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=600))]
    report_s: u64,
    /// Calm before and after the migration, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    calm_s: u64,
    /// Where the picture goes (SVG).
    #[arg(long, default_value = "lockkeeper-demo.svg")]
    picture: PathBuf,
}

/// Which way application and migration go to Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As if there were no proxy.
    Straight,
    /// Through `lockkeeper serve`.
    Through,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Through => "through lockkeeper",
        }
    }

    /// Each way has a database of its own, so that both begin with the same.
    const fn database(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Through => "guarded",
        }
    }
}

/// Runs the demo to its end, or until somebody has had enough.
pub(super) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The futures own every process; whichever branch wins, the other one's are ended when it is dropped.
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; everything was put away"),
            _ = terminate.recv() => anyhow::bail!("terminated; everything was put away"),
            ended = perform(args) => ended.map(|()| ExitCode::SUCCESS),
        }
    })
}

async fn perform(args: &DemoArgs) -> anyhow::Result<()> {
    let python = Python::find().await?;
    let mut screen = Screen::new();
    screen.line("starting a throwaway Postgres");
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&Options::new().own_group())).await??;
    screen.line(&format!(
        "Postgres {} on port {}, filling the tables ({} applications)",
        cluster.installation().version,
        cluster.port(),
        args.rows
    ));
    let stage = Stage::set(cluster, args, python).await?;
    let straight = story::tell(Way::Straight, &stage, &mut screen).await?;
    let through = story::tell(Way::Through, &stage, &mut screen).await?;
    let outcomes = [straight, through];
    let drawn = picture::draw(&outcomes).context("cannot draw the picture")?;
    std::fs::write(&args.picture, drawn)
        .with_context(|| format!("cannot write {}", args.picture.display()))?;
    conclude(&outcomes, &mut screen);
    screen.line(&format!("\nthe picture: {}", args.picture.display()));
    Ok(())
}

/// What somebody takes home: the same figures for both, and what the proxy did.
fn conclude(outcomes: &[Outcome; 2], screen: &mut Screen) {
    let [straight, through] = outcomes;
    let row = |label: &str, figure: &dyn Fn(&Outcome) -> String| {
        format!("{label:<34}{:>14}{:>22}", figure(straight), figure(through))
    };
    let figures = |outcome: &Outcome| Figures::of(&outcome.samples);
    screen.line("");
    screen.line(&format!("{:<34}{:>14}{:>22}", "", Way::Straight.name(), Way::Through.name()));
    for line in [
        row("longest stall of the application", &|one| figures::human(figures(one).longest)),
        row("waited in stalls over 100 ms", &|one| figures::human(figures(one).lost)),
        row("median of all queries", &|one| figures::human(figures(one).median)),
        row("queries answered", &|one| one.samples.len().to_string()),
        row("queries failed", &|one| one.failures.to_string()),
        row("the migration took", &|one| {
            figures::human(one.migration.end.saturating_sub(one.migration.start))
        }),
    ] {
        screen.line(&line);
    }
    for one in outcomes {
        screen.line(&format!("schema afterwards, {}: {}", one.way.name(), one.schema));
    }
    screen.line("\nwhat the proxy said to Alembic:");
    if through.notices.is_empty() {
        screen.line("  nothing");
    }
    for notice in &through.notices {
        screen.line(&format!("  {notice}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_straight_run_reaches_the_schema_and_stalls_behind_the_report() {
        let cluster = Cluster::start(&Options::new()).expect("cluster");
        let args = DemoArgs { rows: 2_000, clients: 3, report_s: 4, calm_s: 0, picture: PathBuf::new() };
        let python = Python::find().await.expect("python");
        let stage = Stage::set(cluster, &args, python).await.expect("stage");
        let outcome = story::tell(Way::Straight, &stage, &mut Screen::new()).await.expect("a run");
        assert_eq!(outcome.schema, "0003, index valid, 2 columns");
        assert_eq!(outcome.failures, 0);
        assert_eq!(outcome.notices, Vec::<String>::new());
        // The report's end ends the longest stall, whatever the machine is busy with.
        let longest = figures::longest(&outcome.samples).expect("samples");
        assert!(longest.at < outcome.migration.end && longest.at + longest.took > outcome.migration.start);
    }
}
