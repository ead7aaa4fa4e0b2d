//! Alembic with three drivers and in each of its ways to begin transactions, Django, and `SQLAlchemy` by itself.

use lockkeeper::cluster::Installation;

use crate::support::programs::{Ran, psql, python, run};
use crate::tools::{Back, Leaves, Move, Site, Tool, keeps_its_word};

const ALEMBIC: Tool = Tool {
    run: |site, to| alembic_with("psycopg2", site, to, &[]),
    books: Some(("alembic_version", "1")),
    leaves: Leaves::Nothing,
    back: Back::Known,
};

/// The preferred server, which has `pg_dump` beside it.
fn preferred() -> Installation {
    Installation::find().expect("a server")
}

/// Alembic as a person would call it, in the project's folder.
fn alembic(url: &str, variables: &[&str], arguments: &[&str]) -> Ran {
    let mut command = python();
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tools/alembic"));
    command.args(["-m", "alembic"]).args(arguments);
    command.env("DATABASE_URL", url).env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(variables.iter().map(|name| (name, "yes")));
    run(command)
}

fn alembic_with(driver: &str, site: &Site<'_>, to: Move, variables: &[&str]) -> Ran {
    let url = site.url.replacen("postgresql:", &format!("postgresql+{driver}:"), 1);
    let arguments = match to {
        Move::Up => ["upgrade", "head"],
        Move::Down => ["downgrade", "base"],
    };
    alembic(&url, variables, &arguments)
}

/// With one transaction for all revisions, with one for each, and with a block outside of it, in which Alembic builds concurrently
/// itself.
fn alembic_in_each_way(ways: [fn(&Site<'_>, Move) -> Ran; 3]) {
    for (run, leaves) in ways.into_iter().zip([Leaves::Nothing, Leaves::WhatWasDone, Leaves::WhatWasDone]) {
        keeps_its_word(&Tool { run, leaves, ..ALEMBIC }, preferred());
    }
}

#[test]
fn alembic_over_psycopg2() {
    alembic_in_each_way([
        |site, to| alembic_with("psycopg2", site, to, &[]),
        |site, to| alembic_with("psycopg2", site, to, &["PER_MIGRATION"]),
        |site, to| alembic_with("psycopg2", site, to, &["AUTOCOMMIT"]),
    ]);
}

#[test]
fn alembic_over_psycopg() {
    alembic_in_each_way([
        |site, to| alembic_with("psycopg", site, to, &[]),
        |site, to| alembic_with("psycopg", site, to, &["PER_MIGRATION"]),
        |site, to| alembic_with("psycopg", site, to, &["AUTOCOMMIT"]),
    ]);
}

#[test]
fn alembic_over_asyncpg() {
    alembic_in_each_way([
        |site, to| alembic_with("asyncpg", site, to, &[]),
        |site, to| alembic_with("asyncpg", site, to, &["PER_MIGRATION"]),
        |site, to| alembic_with("asyncpg", site, to, &["AUTOCOMMIT"]),
    ]);
}

/// What `--sql` writes begins and commits by itself, and is run by psql.
#[test]
fn alembic_offline_through_psql() {
    let run = |site: &Site<'_>, to: Move| {
        let arguments = match to {
            Move::Up => ["upgrade", "base:head", "--sql"],
            Move::Down => ["downgrade", "head:base", "--sql"],
        };
        let script = site.folder.join("script.sql");
        std::fs::write(&script, alembic(&site.url, &[], &arguments).ok()).expect("script");
        let mut command = psql(site.cluster, &site.url);
        command.arg("-f").arg(script);
        run(command)
    };
    keeps_its_word(&Tool { run, ..ALEMBIC }, preferred());
}

#[test]
fn django() {
    let run = |site: &Site<'_>, to: Move| {
        let mut command = python();
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tools/django"));
        command.args(["manage.py", "migrate"]);
        if to == Move::Down {
            command.args(["shop", "zero"]);
        }
        command.env("DATABASE_URL", &site.url).env("PYTHONDONTWRITEBYTECODE", "1");
        run(command)
    };
    let books = Some(("django_migrations", "5"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Known }, preferred());
}

#[test]
fn sqlalchemy_makes_what_is_missing() {
    let run = |site: &Site<'_>, to: Move| {
        let mut command = python();
        command.args(["tools/create_all.py", if to == Move::Up { "up" } else { "down" }]);
        command.env("DATABASE_URL", &site.url);
        run(command)
    };
    let tool = Tool { run, books: None, leaves: Leaves::WhatWasDone, back: Back::Known };
    keeps_its_word(&tool, preferred());
}
