//! `lockkeeper demo`, small: it has to end well with real data, and to leave nothing behind when it is stopped.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::programs::{Owned, python_path, run, without_variables};

fn demo(report_s: &str, picture: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    command.args(["demo", "--rows", "2000", "--clients", "3", "--calm-s", "0", "--report-s", report_s]);
    command.arg("--picture").arg(picture);
    without_variables(&mut command);
    command.env("LOCKKEEPER_PYTHON", python_path());
    command
}

#[test]
fn both_ways_reach_the_same_schema_and_are_drawn() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let picture = folder.path().join("demo.svg");
    let said = run(demo("1", &picture)).ok();
    for way in ["straight", "through lockkeeper"] {
        let line = format!("schema afterwards, {way}: 0003, index valid, 2 columns");
        assert!(said.contains(&line), "{said}");
    }
    // What went straight was told nothing; what the proxy did is told.
    let (straight, through) = said.split_once("== through lockkeeper ==").expect("two runs");
    assert!(!straight.contains("NOTICE"), "{said}");
    assert!(through.contains("CONCURRENTLY"), "{said}");
    let drawn = fs::read_to_string(picture).expect("the picture");
    assert!(drawn.contains("straight: longest stall") && drawn.contains("through lockkeeper: longest stall"));
}

#[test]
fn stopped_in_the_middle_it_puts_everything_away() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = open_folder();
        let mut command = demo("300", &folder.path().join("demo.svg"));
        command.env("TMPDIR", folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Owned(command.spawn().expect("the demo"));
        let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("alembic upgrade head")), "it ended too early");
        let server = only_server(folder.path());
        child.signal(signal);
        let status = eventually("the demo ends", || child.0.try_wait().expect("wait"));
        assert!(!status.success());
        eventually("the server is gone", || rustix::process::test_kill_process(server).err());
        let left: Vec<_> = remains(folder.path());
        assert!(left.iter().all(|name| name.contains("/template-")), "{left:?}");
    }
}

/// A folder that the unprivileged user of the server can pass.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    folder
}

/// The process id of the only server whose files lie below a folder.
fn only_server(folder: &Path) -> rustix::process::Pid {
    let inside = remains(folder).into_iter().filter(|name| name.contains("/c") && !name.contains(".lock"));
    let pids: Vec<_> = inside
        .filter_map(|name| fs::read_to_string(Path::new(&name).join("data/postmaster.pid")).ok())
        .filter_map(|text| rustix::process::Pid::from_raw(text.lines().next()?.trim().parse().ok()?))
        .collect();
    assert_eq!(pids.len(), 1);
    pids[0]
}

/// Everything in the folder, and in the folders directly in it.
fn remains(folder: &Path) -> Vec<String> {
    let list = |folder: &Path| {
        fs::read_dir(folder).map(|all| all.flatten().map(|one| one.path()).collect::<Vec<_>>())
    };
    let outer = list(folder).expect("folder");
    let inner = outer.iter().filter_map(|path| list(path).ok()).flatten();
    inner.map(|path| path.to_string_lossy().into_owned()).collect()
}
