//! A proxy that people speak to by its control socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::programs::{Ran, run, without_variables};
use super::stage::Stage;

/// A stage whose proxy has a control socket.
pub(crate) struct Operated {
    pub(crate) stage: Stage,
    pub(crate) folder: TempDir,
}

impl Operated {
    /// With nothing else.
    pub(crate) fn new() -> Self {
        Self::with("", "")
    }

    /// With more keys of `[operator]`, and more sections.
    pub(crate) fn with(keys: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "[operator]\nsocket_directory = {:?}\n{keys}\n{more}",
            folder.path().display().to_string()
        );
        Self { stage: Stage::with(&config), folder }
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(format!("lockkeeper.{}.sock", self.stage.proxy.addr().port()))
    }

    /// A command as ann.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        ask(&self.folder, words)
    }

    /// A command that must succeed; what it prints.
    pub(crate) fn tell(&self, words: &[&str]) -> String {
        self.run(words).ok()
    }

    /// What the proxy does.
    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.tell(&["status", "--format", "json"])).expect("JSON")
    }

    /// One line to the socket, and the answer.
    pub(crate) fn line(&self, line: &[u8]) -> String {
        let mut socket = UnixStream::connect(self.socket()).expect("it is served");
        socket.write_all(line).expect("written");
        socket.shutdown(std::net::Shutdown::Write).expect("shut down");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

/// Runs `lockkeeper` as ann, for the sockets of that folder.
pub(crate) fn ask(folder: &TempDir, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    command.args(words).arg("--socket").arg(folder.path());
    without_variables(&mut command);
    command.env("USER", "ann").env_remove("SUDO_USER");
    run(command)
}
