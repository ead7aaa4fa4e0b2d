//! What can go wrong around a throwaway cluster.

use std::io;
use std::path::{Path, PathBuf};

/// Why a cluster could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// Nothing to run.
    #[error(
        "no Postgres server binaries found; looked in {}; set LOCKKEEPER_PG_BIN to the folder with initdb and postgres",
        listed_dirs(looked_in)
    )]
    NoBinaries {
        /// Every folder that was tried.
        looked_in: Vec<PathBuf>,
    },
    /// There are servers, but not of the version asked for.
    #[error(
        "no Postgres {wanted} among the server binaries found ({}); `./dev postgres {wanted}` fetches one",
        listed_majors(found)
    )]
    NoSuchMajor {
        /// The major version asked for.
        wanted: u32,
        /// What there is.
        found: Vec<u32>,
    },
    /// We are root, and there is nobody else to run the server as.
    #[error(
        "the Postgres server must not run as root, and there is neither a user postgres nor nobody to run it as"
    )]
    NoUser,
    /// The place where clusters live is not ours.
    #[error("{} belongs to another user or may be written by others; remove it or set TMPDIR", .0.display())]
    NotOurs(PathBuf),
    /// A file could not be read, written or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program could not be started, or not be waited for.
    #[error("cannot run {}", program.display())]
    Program {
        /// Its path.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `initdb` said no.
    #[error("initdb failed: {output}")]
    Initdb {
        /// What it printed.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("the Postgres server did not start; the end of its log: {log}")]
    NotStarted {
        /// The last lines of the log.
        log: String,
    },
    /// The server did not come up, or did not go down, in time.
    #[error("the Postgres server did not {what} within {seconds} s; the end of its log: {log}")]
    TooSlow {
        /// "start" or "stop".
        what: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// The last lines of the log.
        log: String,
    },
    /// Ports were taken by others again and again.
    #[error("no free port on 127.0.0.1 after {tried} attempts")]
    NoPort {
        /// How many were tried.
        tried: u32,
    },
}

impl Trouble {
    /// For `map_err`: what was tried on which path.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// For `map_err`: which program.
    pub(super) fn program(program: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let program = program.to_owned();
        move |source| Self::Program { program, source }
    }
}

fn listed_dirs(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn listed_majors(majors: &[u32]) -> String {
    if majors.is_empty() {
        return "none".to_owned();
    }
    majors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
