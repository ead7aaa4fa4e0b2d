//! Files of SQL: psql in its several ways, and tools that send a whole file as one Query.

use std::fs;
use std::process::Command;

use lockkeeper::cluster::Installation;

use crate::support::programs::{Ran, psql, python_path, run, without_variables};
use crate::tools::{Back, Leaves, Move, SCRIPTS, Site, Tool, keeps_its_word, repeatedly};

/// The preferred server, which has `pg_dump` beside it.
fn preferred() -> Installation {
    Installation::find().expect("a server")
}

/// The scripts in the order in which they are run.
fn texts(to: Move) -> Vec<&'static str> {
    match to {
        Move::Up => SCRIPTS.iter().map(|(_, up, _)| *up).collect(),
        Move::Down => SCRIPTS.iter().rev().map(|(_, _, down)| *down).collect(),
    }
}

fn psql_with(site: &Site<'_>, arguments: &[&str]) -> Ran {
    let mut command = psql(site.cluster, &site.url);
    command.args(arguments);
    run(command)
}

#[test]
fn psql_in_one_transaction() {
    let run = |site: &Site<'_>, to: Move| {
        let script = site.folder.join("script.sql");
        fs::write(&script, texts(to).concat()).expect("script");
        psql_with(site, &["-1", "-f", script.to_str().expect("utf-8")])
    };
    let tool = Tool { run, books: None, leaves: Leaves::Nothing, back: Back::Known };
    keeps_its_word(&tool, preferred());
}

#[test]
fn psql_statement_by_statement() {
    let run = |site: &Site<'_>, to: Move| {
        let script = site.folder.join("script.sql");
        let generated = match to {
            Move::Up => {
                "SELECT format('CREATE INDEX %I ON orders (%I)', 'by_' || c, c) FROM unnest('{id,note}'::text[]) c \\gexec\n"
            }
            Move::Down => {
                "SELECT format('DROP INDEX %I', 'by_' || c) FROM unnest('{id,note}'::text[]) c \\gexec\n"
            }
        };
        fs::write(&script, [generated, &texts(to).concat()].concat()).expect("script");
        psql_with(site, &["-f", script.to_str().expect("utf-8")])
    };
    let tool = Tool { run, books: None, leaves: Leaves::WhatWasDone, back: Back::Known };
    keeps_its_word(&tool, preferred());
}

/// As golang-migrate does it: an advisory lock, a mark that the version is dirty, the file as one Query, the mark taken away.
#[test]
fn whole_files_as_one_query() {
    let run = |site: &Site<'_>, to: Move| {
        let mark = |version: usize, dirty: bool| {
            let row = format!(
                "INSERT INTO \"public\".\"schema_migrations\" (version, dirty) VALUES ({version}, {dirty})"
            );
            ["BEGIN", "TRUNCATE \"public\".\"schema_migrations\"", &row, "COMMIT"].map(str::to_owned)
        };
        let table = "CREATE TABLE IF NOT EXISTS \"public\".\"schema_migrations\" (version bigint not null primary key, \
                     dirty boolean not null)";
        let mut queries = vec!["SELECT pg_advisory_lock(1514217)".to_owned(), table.to_owned()];
        for (index, text) in texts(to).into_iter().enumerate() {
            queries.extend(mark(index, true));
            queries.push(text.to_owned());
            queries.extend(mark(index, false));
        }
        queries.push("SELECT pg_advisory_unlock(1514217)".to_owned());
        let arguments: Vec<&str> = queries.iter().flat_map(|query| ["-c", query]).collect();
        psql_with(site, &arguments)
    };
    let books = Some(("schema_migrations WHERE NOT dirty", "1"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Known }, preferred());
}

/// A program in Go, with its driver.
#[test]
fn dbmate() {
    let run = |site: &Site<'_>, to: Move| {
        for (name, up, down) in SCRIPTS {
            let text = format!("-- migrate:up\n{up}\n-- migrate:down\n{down}");
            fs::write(site.folder.join(format!("{name}.sql")), text).expect("migration");
        }
        let dbmate = |what: &str| {
            let mut command = Command::new(python_path().with_file_name("dbmate"));
            without_variables(&mut command);
            command.args(["--no-dump-schema", "--url", &format!("{}?sslmode=disable", site.url)]);
            command.arg("--migrations-dir").arg(site.folder).arg(what);
            run(command)
        };
        if to == Move::Up {
            return dbmate("migrate");
        }
        repeatedly(SCRIPTS.len(), || dbmate("rollback"))
    };
    let books = Some(("schema_migrations", "3"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Known }, preferred());
}
