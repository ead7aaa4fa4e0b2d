//! docker/ cannot be built everywhere, so what it relies on is checked here: every path that it copies, the files that the
//! build needs, the commands that it types.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::programs::{psql, run};
use crate::support::{cluster, proxy::Setup};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The instructions of the Dockerfile, continued lines joined, comments gone.
fn instructions() -> Vec<String> {
    let text = fs::read_to_string(root().join("docker/Dockerfile")).expect("Dockerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    lines.join("\n").replace("\\\n", " ").lines().map(str::to_owned).collect()
}

fn instruction(word: &str) -> Vec<String> {
    let start = format!("{word} ");
    instructions().into_iter().filter_map(|line| line.strip_prefix(&start).map(str::to_owned)).collect()
}

/// What the build sees: the tree without what .dockerignore names.
fn context() -> Vec<PathBuf> {
    let ignored = fs::read_to_string(root().join(".dockerignore")).expect(".dockerignore");
    let ignored: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
    let mut names: Vec<_> = fs::read_dir(root())
        .expect("root")
        .map(|entry| PathBuf::from(entry.expect("entry").file_name()))
        .filter(|name| !ignored.iter().any(|other| name == Path::new(other)))
        .collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir(to).expect("folder");
        for entry in fs::read_dir(from).expect("folder") {
            let entry = entry.expect("entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("copy");
    }
}

#[test]
fn the_context_is_all_that_the_build_needs_and_no_more() {
    let context = context();
    for name in ["target", ".git", ".cache"] {
        assert!(!context.contains(&PathBuf::from(name)), "{name} would be sent to the builder");
    }
    let plain = tempfile::tempdir().expect("temporary folder");
    for name in &context {
        copy(&root().join(name), &plain.path().join(name));
    }
    // Fails where a file that Cargo.toml names, or Cargo.lock, is missing or old.
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]);
    command.current_dir(plain.path());
    let described = run(command).ok();
    assert!(described.contains(r#""name":"lockkeeper""#));
    // What the sources take in while they are compiled lies in the context too.
    for (file, taken) in included(&plain.path().join("src")) {
        assert!(taken.is_file(), "{} includes {}", file.display(), taken.display());
    }
}

/// Files named by `include_str!` and `include_bytes!`, with who names them.
fn included(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(included(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        for start in ["include_str!(\"", "include_bytes!(\""] {
            let names = text.split(start).skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(names.map(|name| (path.clone(), folder.join(name))));
        }
    }
    found
}

#[test]
fn the_image_runs_what_the_program_knows() {
    let runs = instruction("RUN").join("\n");
    assert!(runs.contains("cargo build --release --locked --bin lockkeeper"), "{runs}");
    assert!(runs.contains("cp target/release/lockkeeper /lockkeeper"), "{runs}");
    assert_eq!(instruction("COPY"), [". .", "--from=build /lockkeeper /usr/local/bin/lockkeeper"]);
    assert_eq!(instruction("USER"), ["nonroot"]);
    assert_eq!(instruction("ENTRYPOINT"), [r#"["lockkeeper"]"#]);
    let health = instruction("HEALTHCHECK").join("");
    assert!(health.ends_with(r#"CMD ["lockkeeper", "ping"]"#), "{health}");
    for subcommand in ["serve", "ping"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        command.args([subcommand, "--help"]);
        run(command).ok();
    }
}

#[test]
fn the_compilers_version_is_the_one_that_the_crate_names() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let wanted =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("rust-version");
    let image = format!("rust:{}-bookworm AS build", wanted.trim_matches('"'));
    assert_eq!(instruction("FROM").first(), Some(&image));
}

#[test]
fn compose_names_what_is_there() {
    let text = fs::read_to_string(root().join("docker/compose.yaml")).expect("compose.yaml");
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("- ./") {
            let path = path.split(':').next().expect("a path");
            assert!(root().join("docker").join(path).is_file(), "{path}");
        }
        if let Some(path) = line.strip_prefix("dockerfile: ") {
            assert!(root().join(path).is_file(), "{path}");
        }
    }
}

/// The same steps in a plain directory: the proxy told by variables alone, and the traffic through it.
#[test]
fn the_traffic_passes_through_a_proxy_set_up_by_variables() {
    let cluster = cluster();
    let proxy =
        Setup::new(&cluster.addr()).variable("LOCKKEEPER_CONTROL_URL", &cluster.url("postgres")).start();
    let mut command = Command::new("bash");
    command.arg(root().join("docker/traffic.sh"));
    let addr = proxy.addr();
    command.envs([
        ("PGHOST", addr.ip().to_string()),
        ("PGPORT", addr.port().to_string()),
        ("PGUSER", "postgres".to_owned()),
        ("PGDATABASE", "postgres".to_owned()),
        ("SCALE", "1".to_owned()),
        ("SECONDS_TO_RUN", "1".to_owned()),
        ("CLIENTS", "2".to_owned()),
    ]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", cluster.installation().bin.display()));
    let said = run(command).ok();
    assert!(said.contains("number of failed transactions: 0"), "{said}");
    let mut asked = psql(&cluster, &cluster.url("postgres"));
    asked.args(["-c", "SELECT count(*) > 0 FROM pgbench_history"]);
    assert_eq!(run(asked).ok(), "t");
}
