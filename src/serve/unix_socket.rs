//! The file of a Unix-domain socket, and the lock beside it, as Postgres keeps them.
//!
//! Source: `Lock_AF_UNIX` in `src/backend/libpq/pqcomm.c`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The name is not free.
#[derive(Debug, thiserror::Error)]
pub enum Taken {
    /// Somebody answers there.
    #[error("another process listens on {path}")]
    Served {
        /// The socket.
        path: PathBuf,
    },
    /// The lock file cannot be made or the old socket cannot be taken away.
    #[error("cannot claim {path}")]
    Unclaimable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A claimed socket name; dropping it takes socket and lock away.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    lock_path: PathBuf,
    /// Held for the operating system's lock on it, which ends with the process however that ends.
    _lock: File,
}

impl SocketFile {
    /// Claims `.s.PGSQL.<port>` in the directory; a socket that nobody serves any more is taken away.
    pub fn claim(directory: &Path, port: u16) -> Result<Self, Taken> {
        Self::claim_path(directory.join(format!(".s.PGSQL.{port}")), port)
    }

    /// The same by another name; the lock's has `.lock` behind it.
    pub fn claim_path(path: PathBuf, port: u16) -> Result<Self, Taken> {
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let directory = path.parent().unwrap_or(Path::new("."));
        let unclaimable = |path: &Path| {
            let path = path.to_owned();
            move |source| Taken::Unclaimable { path, source }
        };
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(unclaimable(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Taken::Served { path }),
            Err(TryLockError::Error(source)) => return Err(unclaimable(&lock_path)(source)),
        }
        // Postgres does not lock the file, so whoever answers on the socket owns it.
        if UnixStream::connect(&path).is_ok() {
            return Err(Taken::Served { path });
        }
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(unclaimable(&path)(source));
            }
            _ => {}
        }
        write_lock(&mut lock, directory, port).map_err(unclaimable(&lock_path))?;
        Ok(Self { path, lock_path, _lock: lock })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Process id, data directory, start time, port, socket directory: the lines that Postgres writes, so that it would
/// recognise the file.
fn write_lock(lock: &mut File, directory: &Path, port: u16) -> io::Result<()> {
    lock.set_len(0)?;
    write!(lock, "{}\n{dir}\n0\n{port}\n{dir}\n", std::process::id(), dir = directory.display())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nobody is left to tell if this fails, and the next start takes both away.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.lock_path);
    }
}
