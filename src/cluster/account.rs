//! As whom the server runs: Postgres refuses to run as root.

use std::fs;
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::Trouble;

/// Users that may run a server, the better one first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// An unprivileged user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The user to run a server as; `None` when we are not root and so run it ourselves.
    pub(super) fn for_server() -> Result<Option<Self>, Trouble> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let users = fs::read_to_string(path).map_err(Trouble::file("read", path))?;
        CANDIDATES.iter().find_map(|name| Self::in_passwd(&users, name)).map(Some).ok_or(Trouble::NoUser)
    }

    fn in_passwd(users: &str, wanted: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let (uid, gid) = (fields.nth(1)?, fields.next()?);
            (name == wanted).then_some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        })
    }
}

/// Makes a command run as the server's user, in a folder that it can read and without variables of a client.
pub(super) fn prepare(command: &mut Command, home: &Path, account: Option<Account>) {
    command
        .current_dir(home)
        .env("LC_ALL", "C")
        .env_remove("PGDATA")
        .env_remove("PGPORT")
        .env_remove("PGHOST");
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
}

/// Hands a file or folder (not what is in it) to the server's user.
pub(super) fn give(path: &Path, account: Option<Account>) -> Result<(), Trouble> {
    match account {
        Some(Account { uid, gid }) => {
            lchown(path, Some(uid), Some(gid)).map_err(Trouble::file("change the owner of", path))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_users_by_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres-exporter:x:7:7::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n\
                     broken\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(Account::in_passwd(users, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::in_passwd(users, "nobody"), Some(Account { uid: 65534, gid: 65534 }));
        assert_eq!(Account::in_passwd(users, "somebody"), None);
    }
}
