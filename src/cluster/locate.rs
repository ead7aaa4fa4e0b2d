//! Finds the Postgres server binaries of this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Trouble;

/// Names one or more folders (separated as in PATH) that are looked into before all others.
const VARIABLE: &str = "LOCKKEEPER_PG_BIN";

/// Where packages put servers: what comes before the version, and what comes after it.
const PACKAGED: [(&str, &str); 7] = [
    ("/usr/lib/postgresql/", "bin"),
    ("/usr/pgsql-", "bin"),
    ("/usr/libexec/postgresql", ""),
    ("/opt/homebrew/opt/postgresql@", "bin"),
    ("/usr/local/opt/postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt/postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions/", "bin"),
];

/// The server binaries of one Postgres version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The folder that holds `initdb` and `postgres`.
    pub bin: PathBuf,
    /// The major version: 15, 18.
    pub major: u32,
    /// The version as the server prints it: "15.14", "19beta1".
    pub version: String,
}

impl Installation {
    /// The one to use when no version is asked for: the first named by `LOCKKEEPER_PG_BIN`, else the first in PATH, else
    /// that of `pg_config`, else the newest.
    pub fn find() -> Result<Self, Trouble> {
        let places = Places::of_this_machine();
        let mut all = places.installations();
        if all.is_empty() {
            return Err(Trouble::NoBinaries { looked_in: places.all() });
        }
        Ok(all.swap_remove(0))
    }

    /// The first with the given major version.
    pub fn with_major(wanted: u32) -> Result<Self, Trouble> {
        let all = Self::all();
        let found = all.iter().map(|one| one.major).collect();
        all.into_iter().find(|one| one.major == wanted).ok_or(Trouble::NoSuchMajor { wanted, found })
    }

    /// Everything found, the preferred one first.
    pub fn all() -> Vec<Self> {
        Places::of_this_machine().installations()
    }

    /// The path of a program of this installation, or the one in PATH where only the server came in this folder.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let own = self.bin.join(name);
        if own.is_file() {
            return Some(own);
        }
        path_dirs(env::var_os("PATH")).into_iter().map(|dir| dir.join(name)).find(|path| path.is_file())
    }

    /// Reads the version of the binaries in `bin`; `None` where there is no working server.
    fn at(bin: &Path) -> Option<Self> {
        if !bin.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
        let version = version_in(&String::from_utf8_lossy(&output.stdout))?.to_owned();
        let major = major_of(&version)?;
        Some(Self { bin: bin.to_owned(), major, version })
    }
}

/// Folders to look into.
struct Places {
    /// In the order of preference.
    preferred: Vec<PathBuf>,
    /// In no particular order: the newest wins.
    packaged: Vec<PathBuf>,
}

impl Places {
    fn of_this_machine() -> Self {
        let mut preferred = path_dirs(env::var_os(VARIABLE));
        preferred.extend(path_dirs(env::var_os("PATH")));
        preferred.extend(pg_config_bindir());
        let mut packaged: Vec<_> =
            PACKAGED.iter().flat_map(|&(prefix, inner)| versions_of(Path::new(prefix), inner)).collect();
        for cache in caches() {
            // A trailing separator, so that every entry of the folder counts as a version.
            packaged.extend(versions_of(&cache.join("postgres").join(""), "bin"));
        }
        Self { preferred, packaged }
    }

    fn all(&self) -> Vec<PathBuf> {
        let mut all = self.preferred.clone();
        all.extend(self.packaged.iter().cloned());
        all.extend(PACKAGED.iter().map(|&(prefix, inner)| Path::new(&format!("{prefix}*")).join(inner)));
        all.extend(caches().into_iter().map(|cache| cache.join("postgres/*/bin")));
        let mut seen = Vec::new();
        all.retain(|dir| {
            let new = !seen.contains(dir);
            seen.push(dir.clone());
            new
        });
        all
    }

    fn installations(&self) -> Vec<Installation> {
        let mut found: Vec<Installation> = Vec::new();
        let mut newest: Vec<_> = self.packaged.iter().filter_map(|dir| Installation::at(dir)).collect();
        newest.sort_by_key(|one| std::cmp::Reverse(one.major));
        for one in self.preferred.iter().filter_map(|dir| Installation::at(dir)).chain(newest) {
            let real = real(&one.bin);
            if !found.iter().any(|other| self::real(&other.bin) == real) {
                found.push(one);
            }
        }
        found
    }
}

/// Follows links, so that one installation reached by two ways counts once.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn path_dirs(value: Option<OsString>) -> Vec<PathBuf> {
    value.map(|value| env::split_paths(&value).filter(|dir| dir.is_absolute()).collect()).unwrap_or_default()
}

fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(dir.trim())).filter(|dir| dir.is_absolute())
}

/// Where `./dev postgres` puts servers: the user's cache, and for root a place that an unprivileged user can reach.
fn caches() -> Vec<PathBuf> {
    let own = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    own.into_iter()
        .map(|dir| dir.join("lockkeeper"))
        .chain([PathBuf::from("/var/cache/lockkeeper")])
        .collect()
}

/// The folders `PREFIX*/INNER`; `prefix` ends with a separator or with the start of a name.
fn versions_of(prefix: &Path, inner: &str) -> Vec<PathBuf> {
    let text = prefix.to_string_lossy();
    let (dir, start) = text.rsplit_once('/').unwrap_or((".", &text));
    let Ok(entries) = fs::read_dir(if dir.is_empty() { "/" } else { dir }) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path().join(inner))
        .filter(|bin| bin.is_dir())
        .collect()
}

/// The version in a line such as `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version_in(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("(PostgreSQL) ")?;
    after.split_whitespace().next()
}

fn major_of(version: &str) -> Option<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_as_packages_print_them() {
        for (line, version, major) in [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", "15.14", 15),
            ("postgres (PostgreSQL) 18.4\n", "18.4", 18),
            ("postgres (PostgreSQL) 19beta1\n", "19beta1", 19),
            ("postgres (PostgreSQL) 20devel", "20devel", 20),
        ] {
            assert_eq!(version_in(line), Some(version));
            assert_eq!(major_of(version), Some(major));
        }
        assert_eq!(version_in("pg_ctl: no such thing"), None);
        assert_eq!(major_of("beta"), None);
    }

    #[test]
    fn expands_one_star_in_the_last_folder_name() {
        let dir = tempfile::tempdir().expect("temporary folder");
        for name in ["pgsql-15/bin", "pgsql-18/bin", "pgsql-19", "other/bin"] {
            fs::create_dir_all(dir.path().join(name)).expect("folder");
        }
        let mut found = versions_of(&dir.path().join("pgsql-"), "bin");
        found.sort();
        assert_eq!(found, [dir.path().join("pgsql-15/bin"), dir.path().join("pgsql-18/bin")]);
    }

    #[test]
    fn a_folder_without_servers_is_none() {
        let dir = tempfile::tempdir().expect("temporary folder");
        assert_eq!(Installation::at(dir.path()), None);
        fs::write(dir.path().join("initdb"), "").expect("file");
        assert_eq!(Installation::at(dir.path()), None);
    }

    #[test]
    fn says_where_it_looked() {
        let trouble = Trouble::NoBinaries { looked_in: vec!["/a/bin".into(), "/b/bin".into()] };
        assert_eq!(
            trouble.to_string(),
            "no Postgres server binaries found; looked in /a/bin, /b/bin; set LOCKKEEPER_PG_BIN to the folder with initdb and postgres"
        );
    }
}
