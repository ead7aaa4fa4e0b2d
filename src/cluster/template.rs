//! A data directory made once per installation and copied for every cluster: `initdb` takes seconds, the copy does not.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::{self, Account};
use super::workspace::{self, Workspace};
use super::{Installation, SUPERUSER, Trouble};

/// Locales in the order of preference: not every system has C.UTF-8, every system has C.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// Fills the data directory of a workspace.
pub(super) fn copy_to(
    workspace: &Workspace,
    installation: &Installation,
    account: Option<Account>,
) -> Result<(), Trouble> {
    let template = ready(installation, account)?;
    copy(&template, &workspace.data(), account)
}

/// The template of an installation, made now if need be. Others who want the same one at the same time wait.
fn ready(installation: &Installation, account: Option<Account>) -> Result<PathBuf, Trouble> {
    let base = workspace::base()?;
    let name = template_name(installation, account)?;
    let path = base.join(&name);
    if path.is_dir() {
        return Ok(path);
    }
    let lock_path = base.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(Trouble::file("create", &lock_path))?;
    lock.lock().map_err(Trouble::file("lock", &lock_path))?;
    if path.is_dir() {
        return Ok(path);
    }
    let unfinished = base.join(format!("{name}.unfinished"));
    initdb(installation, &unfinished, account)?;
    // The rename is the moment from which others see it: never half a template.
    fs::rename(&unfinished, &path).map_err(Trouble::file("rename", &unfinished))?;
    Ok(path)
}

/// Another build of the binaries, or another user to run them, means another template.
fn template_name(installation: &Installation, account: Option<Account>) -> Result<String, Trouble> {
    let server = installation.bin.join("postgres");
    let found = fs::metadata(&server).map_err(Trouble::file("look at", &server))?;
    let mut hasher = DefaultHasher::new();
    (&installation.bin, found.mtime(), found.size(), account.is_some()).hash(&mut hasher);
    Ok(format!("template-{}-{:016x}", installation.version, hasher.finish()))
}

fn initdb(installation: &Installation, target: &Path, account: Option<Account>) -> Result<(), Trouble> {
    let mut output = String::new();
    for locale in LOCALES {
        let _ = fs::remove_dir_all(target);
        fs::create_dir(target).map_err(Trouble::file("create", target))?;
        account::give(target, account)?;
        let program = installation.bin.join("initdb");
        let mut command = Command::new(&program);
        command.arg("-D").arg(target).args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"]);
        command.arg("--wal-segsize=1").arg(format!("--locale={locale}"));
        account::prepare(&mut command, target, account);
        let ended = command.output().map_err(Trouble::program(&program))?;
        if ended.status.success() {
            return Ok(());
        }
        String::from_utf8_lossy(&ended.stderr).trim().clone_into(&mut output);
    }
    let _ = fs::remove_dir_all(target);
    Err(Trouble::Initdb { output })
}

/// Copies a folder that no server uses, with everything in it.
pub(super) fn copy(from: &Path, to: &Path, account: Option<Account>) -> Result<(), Trouble> {
    fs::create_dir(to).map_err(Trouble::file("create", to))?;
    for entry in fs::read_dir(from).map_err(Trouble::file("read", from))? {
        let entry = entry.map_err(Trouble::file("read", from))?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(Trouble::file("look at", &entry.path()))?.is_dir() {
            copy(&entry.path(), &target, account)?;
        } else {
            fs::copy(entry.path(), &target).map_err(Trouble::file("copy to", &target))?;
            account::give(&target, account)?;
        }
    }
    let mode = fs::metadata(from).map_err(Trouble::file("look at", from))?.permissions();
    fs::set_permissions(to, mode).map_err(Trouble::file("set the mode of", to))?;
    account::give(to, account)
}
