//! The generated pages: each is compared with what the program says now, and rewritten by `./dev docs`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use lockkeeper::config::reference;
use lockkeeper::hazard;
use lockkeeper::review::lint;

use crate::support::programs::{run, without_variables};

/// Compares a page with its file, or writes it when UPDATE=1.
#[track_caller]
fn is_current(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(&path, page).expect("page");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "{name} is stale: run ./dev docs and read the diff");
}

#[test]
fn configuration() {
    is_current(reference::PAGE, &reference::page());
}

#[test]
fn example_configuration() {
    is_current(reference::EXAMPLE, &reference::example());
}

#[test]
fn hazards() {
    const FOLDER: &str = "docs/hazards";
    let mut index = String::from(
        "# Hazards\n\n<!-- Written by `./dev docs` from src/hazard and src/review/lint: change it there. -->\n\n\
         Why a statement hurts, and what becomes of it. The id is what a directive takes: `/* lockkeeper: allow <id> \
         because <reason> */`.\n\n",
    );
    let mut known = vec!["README.md".to_owned()];
    let mut add = |id: &str, page: &str, default: &str| {
        let said = lint::summary(page);
        let _ = writeln!(index, "- [{id}]({id}.md){default}: {said}");
        is_current(&format!("{FOLDER}/{id}.md"), page);
        known.push(format!("{id}.md"));
    };
    for hazard in hazard::ALL {
        add(hazard.id, hazard.page, &format!(" ({}, since {})", hazard.default, hazard.since));
    }
    for flaw in lint::LINTS {
        add(flaw.id, flaw.page, if flaw.quiet { " (of files, where asked for)" } else { " (of files)" });
    }
    is_current(&format!("{FOLDER}/README.md"), &index);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    for entry in fs::read_dir(folder).expect("folder") {
        let name = entry.expect("entry").file_name().to_string_lossy().into_owned();
        assert!(known.contains(&name), "{FOLDER}/{name} is about nothing any more: remove it");
    }
}

#[test]
fn command_line() {
    let mut page =
        String::from("# Command line\n\n<!-- Written by `./dev docs` from src/cli: change it there. -->\n");
    let overview = help(&[]);
    let commands = overview.split("Commands:\n").nth(1).expect("a list of commands");
    let names = commands.lines().take_while(|line| line.starts_with("  "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let _ = write!(page, "\n```text\n{overview}\n```\n");
    for name in names {
        let _ = write!(page, "\n## `lockkeeper {name}`\n\n```text\n{}\n```\n", help(&[name]));
    }
    is_current("docs/command-line.md", &page);
}

/// What `--help` prints, the same on every machine.
fn help(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    command.args(words).arg("--help").env("COLUMNS", "100").env("NO_COLOR", "1");
    without_variables(&mut command);
    let text = run(command).ok();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
