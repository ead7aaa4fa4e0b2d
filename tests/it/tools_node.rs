//! Tools of Node.js: Knex, node-pg-migrate, Sequelize under Umzug, `TypeORM`, Drizzle's migrator and Prisma.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lockkeeper::cluster::Installation;

use crate::support::each_major;
use crate::support::programs::{Ran, run, without_variables};
use crate::tools::{Back, Ground, Leaves, Move, SCRIPTS, Site, Tool, keeps_its_word, repeatedly};

/// The newest server.
fn newest() -> Installation {
    each_major().swap_remove(0)
}

/// A file of the projects.
fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node").join(name)
}

/// Node with a program of a package, or with one of ours, in the folder in which `./dev test` has put the packages.
fn node(site: &Site<'_>, program: &Path) -> Command {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/node");
    assert!(
        packages.join("node_modules").is_dir(),
        "no packages in {}: run ./dev test once",
        packages.display()
    );
    let mut command = Command::new("node");
    command.arg(packages.join(program)).current_dir(&packages);
    without_variables(&mut command);
    command.env("NODE_PATH", packages.join("node_modules")).env("DATABASE_URL", &site.url);
    command
}

#[test]
fn knex() {
    let run = |site: &Site<'_>, to: Move| {
        let mut command = node(site, Path::new("node_modules/knex/bin/cli.js"));
        command.args(if to == Move::Up { &["migrate:latest"][..] } else { &["migrate:rollback", "--all"] });
        command.arg("--knexfile").arg(project("knex/knexfile.js"));
        run(command)
    };
    let books = Some(("knex_migrations", "4"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Known }, newest());
}

#[test]
fn node_pg_migrate() {
    let run = |site: &Site<'_>, to: Move| {
        let mut command = node(site, Path::new("node_modules/node-pg-migrate/bin/node-pg-migrate.js"));
        command.args(if to == Move::Up { &["up"][..] } else { &["down", "4"] });
        command.arg("-m").arg(project("node-pg-migrate"));
        run(command)
    };
    let books = Some(("pgmigrations", "4"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Known }, newest());
}

#[test]
fn sequelize() {
    let run = |site: &Site<'_>, to: Move| {
        let mut command = node(site, &project("sequelize/migrate.js"));
        command.arg(if to == Move::Up { "up" } else { "down" });
        run(command)
    };
    let books = Some(("\"SequelizeMeta\"", "3"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Known }, newest());
}

#[test]
fn typeorm() {
    let run = |site: &Site<'_>, to: Move| {
        let typeorm = |what: &str| {
            let mut command = node(site, Path::new("node_modules/typeorm/cli.js"));
            command.args([what, "-d"]).arg(project("typeorm/source.js"));
            run(command)
        };
        if to == Move::Up {
            return typeorm("migration:run");
        }
        repeatedly(3, || typeorm("migration:revert"))
    };
    let books = Some(("migrations", "3"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::Nothing, back: Back::Known }, newest());
}

/// All migrations in one transaction, and no way back.
#[test]
fn drizzle() {
    let run = |site: &Site<'_>, _: Move| {
        fs::create_dir_all(site.folder.join("meta")).expect("folder");
        let entry = |(index, (name, up, _)): (usize, &(&str, &str, &str))| {
            // What its kit puts between statements.
            let parts = up.trim().replace(";\n", ";\n--> statement-breakpoint\n");
            fs::write(site.folder.join(format!("{name}.sql")), parts).expect("migration");
            format!(
                r#"{{"idx":{index},"version":"7","when":17000{index},"tag":"{name}","breakpoints":true}}"#
            )
        };
        let entries: Vec<String> = SCRIPTS.iter().enumerate().map(entry).collect();
        let journal =
            format!(r#"{{"version":"7","dialect":"postgresql","entries":[{}]}}"#, entries.join(","));
        fs::write(site.folder.join("meta/_journal.json"), journal).expect("journal");
        let mut command = node(site, &project("drizzle/migrate.js"));
        command.arg(site.folder);
        run(command)
    };
    let books = Some(("drizzle.__drizzle_migrations", "3"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Unknown }, newest());
}

/// A project of Prisma's in the folder of a site.
fn prisma_project(site: &Site<'_>) {
    for (name, up, _) in [("0_init", "", "")].into_iter().chain(SCRIPTS) {
        let folder = site.folder.join("migrations").join(name);
        fs::create_dir_all(&folder).expect("folder");
        fs::write(folder.join("migration.sql"), up).expect("migration");
    }
    fs::write(site.folder.join("migrations/migration_lock.toml"), "provider = \"postgresql\"").expect("lock");
    for name in ["prisma.config.ts", "schema.prisma"] {
        fs::copy(project("prisma").join(name), site.folder.join(name)).expect("project");
    }
    // It must be told that what is there already is where it begins.
    prisma_migrate(site, &["resolve", "--applied", "0_init"]).ok();
}

fn prisma_migrate(site: &Site<'_>, arguments: &[&str]) -> Ran {
    let mut command = node(site, Path::new("node_modules/prisma/build/index.js"));
    command.env("NODE_OPTIONS", format!("--require={}", project("prisma/unref.js").display()));
    command.arg("migrate").args(arguments).current_dir(site.folder);
    // The engine that runs is part of the package; the native ones, which it would fetch, only need to be somewhere.
    command.env("PRISMA_QUERY_ENGINE_LIBRARY", "/dev/null").env("PRISMA_SCHEMA_ENGINE_BINARY", "/dev/null");
    command.env("CHECKPOINT_DISABLE", "1");
    run(command)
}

/// Whole files as one Query each, behind an advisory lock; a failure stays in the books until somebody has looked at it.
#[test]
fn prisma() {
    let run = |site: &Site<'_>, _: Move| {
        prisma_project(site);
        prisma_migrate(site, &["deploy"])
    };
    let books = Some(("_prisma_migrations", "4"));
    keeps_its_word(&Tool { run, books, leaves: Leaves::WhatWasDone, back: Back::Unknown }, newest());
}

/// Two instances of an application are started, and each migrates first: one of them waits for the advisory lock of the other, whose
/// concurrent builds wait for nobody's snapshot.
#[test]
fn two_prismas_at_once() {
    let mut ground = Ground::on(newest());
    let straight = ground.straight();
    prisma_project(&straight);
    prisma_migrate(&straight, &["deploy"]).ok();
    let through = ground.through();
    prisma_project(&through);
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| prisma_migrate(&through, &["deploy"])));
        for one in both {
            one.join().expect("Prisma").ok();
        }
    });
    ground.compare("two at once");
    ground.all_is_done("two at once");
    let books = "SELECT migration_name, finished_at IS NOT NULL FROM _prisma_migrations ORDER BY 1";
    let all = "0_init|t\n1_columns|t\n2_constraints|t\n3_leftovers|t";
    assert_eq!(ground.twins.beside.table(books), all);
    assert!(!ground.twins.stage.cluster.log().contains("deadlock detected"));
}
