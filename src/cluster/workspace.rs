//! The folder of one cluster, and who removes it.
//!
//! Beside each folder lies a lock file that its owner holds locked. The kernel frees that lock however the owner ends, so a
//! lock that can be had means a folder that nobody will ever remove, and perhaps a server that nobody will ever stop.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use super::Trouble;
use super::account::{self, Account};

/// What the names of our folders and locks begin with.
const PREFIX: &str = "c";

/// A cluster's folder: sockets and log in it, the data directory below it. Removed when dropped.
#[derive(Debug)]
pub(super) struct Workspace {
    dir: PathBuf,
    lock_path: PathBuf,
    /// Held, never read: see the head of this file.
    _lock: File,
}

impl Workspace {
    /// Makes a fresh one, and removes those whose owners are gone.
    pub(super) fn create(account: Option<Account>) -> Result<Self, Trouble> {
        let base = base()?;
        sweep(&base);
        let (lock, lock_path) = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(".lock")
            .tempfile_in(&base)
            .and_then(|file| file.keep().map_err(|failure| failure.error))
            .map_err(Trouble::file("create a file in", &base))?;
        lock.lock().map_err(Trouble::file("lock", &lock_path))?;
        let dir = lock_path.with_extension("");
        make_dir(&dir)?;
        account::give(&dir, account)?;
        Ok(Self { dir, lock_path, _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// What the server has logged; empty when it has not begun to.
    pub(super) fn log_text(&self) -> String {
        fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines of the log, for error messages.
    pub(super) fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<_> = text.lines().collect();
        lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        remove(&self.dir);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// The folder of all our clusters and templates; others may pass through it (the server's user must), but not write.
pub(super) fn base() -> Result<PathBuf, Trouble> {
    let uid = rustix::process::geteuid().as_raw();
    let base = std::env::temp_dir().join(format!("lockkeeper-{uid}"));
    match make_dir(&base) {
        Err(Trouble::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(trouble) => return Err(trouble),
        Ok(()) => {}
    }
    let found = fs::symlink_metadata(&base).map_err(Trouble::file("look at", &base))?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
        return Err(Trouble::NotOurs(base));
    }
    Ok(base)
}

/// A folder that the server's user can pass, whatever our umask says.
fn make_dir(path: &Path) -> Result<(), Trouble> {
    DirBuilder::new()
        .mode(0o755)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(Trouble::file("create", path))
}

/// Removes what killed owners left. Failures are nobody's business here: the next start tries again.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for lock_path in entries.flatten().map(|entry| entry.path()) {
        let name = lock_path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(PREFIX) || lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::open(&lock_path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let dir = lock_path.with_extension("");
        stop_orphan(&dir);
        remove(&dir);
        let _ = fs::remove_file(&lock_path);
    }
}

/// Ends a server whose owner is gone. A pid file alone proves nothing (numbers are used again), a socket that answers does.
fn stop_orphan(dir: &Path) {
    let Ok(pid_file) = fs::read_to_string(dir.join("data/postmaster.pid")) else { return };
    let lines: Vec<_> = pid_file.lines().collect();
    let (Some(pid), Some(port)) = (lines.first(), lines.get(3)) else { return };
    if UnixStream::connect(dir.join(format!(".s.PGSQL.{port}"))).is_err() {
        return;
    }
    if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::QUIT);
    }
}

/// A server that is just going may still make files, so one refusal is not the end.
fn remove(dir: &Path) {
    for _ in 0..50 {
        match fs::remove_dir_all(dir) {
            Err(trouble) if trouble.kind() == io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_owner_left_is_removed_and_what_lives_is_not() {
        let alive = Workspace::create(None).expect("workspace");
        let base = base().expect("base");
        let orphan = base.join("corphan-of-a-test");
        fs::create_dir_all(orphan.join("data")).expect("folder");
        fs::write(orphan.with_extension("lock"), "").expect("lock file");
        let next = Workspace::create(None).expect("workspace");
        assert!(!orphan.exists());
        assert!(alive.dir().exists());
        assert_ne!(alive.dir(), next.dir());
        let dir = alive.dir().to_owned();
        drop(alive);
        assert!(!dir.exists() && !dir.with_extension("lock").exists());
    }
}
