//! The command line: one file for each subcommand, and `app`, which assembles the server.

mod app;
mod check;
mod config;
mod database;
mod demo;
mod explain;
mod init;
mod log;
mod operator;
mod ping;
mod resume;
mod serve;
mod sources;
mod statement;
mod tasks;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Problems;

/// A Postgres wire-protocol proxy that makes schema changes on a live database safe.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients.
    ///
    /// SIGHUP reads the configuration again, SIGTERM stops gracefully, SIGINT at once.
    Serve(serve::ServeArgs),
    /// Review SQL files: what each statement would lock, and how to do it online.
    ///
    /// Exit status 0: clean; 1: something denied was found; 2: something could not be read.
    Check(check::CheckArgs),
    /// Explain one statement: its locks, its hazards, and what would become of it.
    Explain(explain::ExplainArgs),
    /// Print the configuration with the source of each value.
    Config(config::ConfigArgs),
    /// Run one Alembic migration straight and through the proxy, under load, and compare.
    ///
    /// Needs Postgres server binaries and a Python with Alembic; everything it starts ends with it.
    Demo(demo::DemoArgs),
    /// Install schema `lockkeeper` into a database, or bring it up to date.
    ///
    /// It keeps what transactions have queued to be run after their COMMIT. All of it is done in one transaction; running it again does nothing.
    Init(init::InitArgs),
    /// Show the tasks that transactions have queued, or give one up.
    ///
    /// A role sees its own ones and those of roles that it may become; who may read the table lockkeeper.task sees all.
    Tasks(tasks::TasksArgs),
    /// Run the tasks that the role has queued and nobody has finished.
    ///
    /// Each is judged and carried out as by a proxy, from this process.
    Resume(resume::ResumeArgs),
    /// Show what running proxies are doing.
    ///
    /// What is held, what runs and what has run, peak hours, and the freeze.
    Status(operator::StatusArgs),
    /// Stop schema changes at once, until somebody thaws.
    ///
    /// What would be felt is held or refused, as `operator.frozen_work` says. What is being carried out ends with the step that it is at, and is taken back; what goes in batches waits. Ordinary traffic passes.
    Freeze(operator::FreezeArgs),
    /// Change the pace of a statement of many rows while it runs.
    ///
    /// An `UPDATE` or `DELETE` that goes in batches: stop it, let it go on, faster, slower, or no faster than so many rows a second. What it waits for, `lockkeeper status` shows.
    Bulk(operator::BulkArgs),
    /// Cancel one statement that is held or runs.
    ///
    /// Its client gets an error, as after Ctrl-C. What was written in batches stays so, and can be gone on with.
    Cancel(operator::CancelArgs),
    /// End a freeze; what was held goes on in the order of its arrival.
    Thaw(operator::ThawArgs),
    /// Ask whether a proxy answers, for health checks.
    Ping(ping::PingArgs),
}

/// Runs the command line. Problems go to standard error.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Tasks(args) => tasks::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Status(args) => operator::status(&args),
        Command::Freeze(args) => operator::freeze(&args),
        Command::Bulk(args) => operator::bulk(&args),
        Command::Cancel(args) => operator::cancel(&args),
        Command::Thaw(args) => operator::thaw(&args),
        Command::Ping(args) => ping::run(&args),
    };
    result.unwrap_or_else(|error| {
        // Whoever reads has seen enough, as `| head` has.
        let closed = |io: &std::io::Error| io.kind() == std::io::ErrorKind::BrokenPipe;
        if error.downcast_ref::<std::io::Error>().is_some_and(closed) {
            return ExitCode::SUCCESS;
        }
        let mut err = std::io::stderr().lock();
        let _ = match error.downcast_ref::<Problems>() {
            // One line each, with their places.
            Some(problems) => writeln!(err, "{problems}"),
            // The chain, since no error repeats its source.
            None => writeln!(err, "lockkeeper: {error:#}"),
        };
        ExitCode::FAILURE
    })
}
