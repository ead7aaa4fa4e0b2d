//! A migration library of Rust: refinery, which sends each file as one Query in a transaction of its own.

use lockkeeper::cluster::Installation;
use refinery::{Migration, Runner};
use tokio_postgres::NoTls;

use crate::support::programs::Ran;
use crate::tools::{Back, Leaves, Move, SCRIPTS, Site, Tool, keeps_its_word};

/// Runs the project as a program with the library in it would.
fn migrate(site: &Site<'_>, grouped: bool) -> Ran {
    let each = SCRIPTS.iter().enumerate().map(|(at, (name, up, _))| {
        let name = format!("V{}__{}", at + 1, name.split_once('_').expect("a number").1);
        Migration::unapplied(&name, up).expect("a migration")
    });
    let runner = Runner::new(&each.collect::<Vec<_>>()).set_grouped(grouped);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let done = runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(&site.url, NoTls).await.expect("a server");
        tokio::spawn(connection);
        runner.run_async(&mut client).await
    });
    let stderr = done.as_ref().err().map(|error| format!("{error:?}")).unwrap_or_default();
    Ran { code: i32::from(done.is_err()), stdout: String::new(), stderr }
}

const BOOKS: Option<(&str, &str)> = Some(("refinery_schema_history", "3"));

#[test]
fn refinery() {
    let run = |site: &Site<'_>, _: Move| migrate(site, false);
    let tool = Tool { run, books: BOOKS, leaves: Leaves::WhatWasDone, back: Back::Unknown };
    keeps_its_word(&tool, Installation::find().expect("a server"));
}

#[test]
fn refinery_with_one_transaction_for_all() {
    let run = |site: &Site<'_>, _: Move| migrate(site, true);
    let tool = Tool { run, books: BOOKS, leaves: Leaves::Nothing, back: Back::Unknown };
    keeps_its_word(&tool, Installation::find().expect("a server"));
}
