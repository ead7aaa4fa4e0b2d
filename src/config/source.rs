//! Puts the sources together: defaults, file, environment, flags; later ones win.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::address::Address;
use super::document;
use super::file::File;
use super::key::{Entry, Source};
use super::problem::{Problem, Problems};
use super::value::List;

/// Everything that a configuration is made of.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file that was asked for, if any.
    pub file: Option<PathBuf>,
    /// The environment, as far as it is text.
    pub environment: BTreeMap<String, String>,
    /// Flags that set a key.
    pub flags: Vec<FlagValue>,
}

/// A flag that sets a key.
#[derive(Clone)]
pub struct FlagValue {
    /// `--listen`
    pub flag: &'static str,
    /// `listen.addresses`
    pub key: String,
    /// As an environment variable would have it.
    pub value: String,
}

impl fmt::Debug for Sources {
    /// Without values: `PGPASSWORD` is among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Sources {
    /// The file's name as it is shown.
    pub fn name(&self) -> String {
        self.file.as_deref().map_or_else(|| "configuration".to_owned(), |path| path.display().to_string())
    }

    /// Reads all sources; returns what could be read and all that was wrong.
    pub fn read(&self) -> (File, Vec<Problem>) {
        match &self.file {
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => self.read_text(&text),
                Err(error) => {
                    let (file, mut problems) = self.read_text("");
                    problems.insert(0, Problem::new(Source::Default, "", unreadable(path, &error)));
                    (file, problems)
                }
            },
            None => self.read_text(""),
        }
    }

    /// The same with the file's text at hand.
    pub fn read_text(&self, text: &str) -> (File, Vec<Problem>) {
        let mut file = File::default();
        let mut problems = Vec::new();
        self.libpq(&mut file, &mut problems);
        problems.extend(document::read(text, &mut file));
        self.variables(&mut file, &mut problems);
        self.flags(&mut file, &mut problems);
        (file, problems)
    }

    /// Wraps problems with the file's name.
    pub fn problems(&self, problems: Vec<Problem>) -> Problems {
        Problems { file: self.name(), problems }
    }

    /// Where libpq would connect to is where the proxy connects to, unless it is told otherwise.
    fn libpq(&self, file: &mut File, problems: &mut Vec<Problem>) {
        let variable = |name: &str| self.environment.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
        let (hosts, ports) = (variable("PGHOST"), variable("PGPORT"));
        let Some(name) = hosts.map(|_| "PGHOST").or(ports.map(|_| "PGPORT")) else { return };
        match libpq_hosts(hosts.unwrap_or("127.0.0.1"), ports.unwrap_or("5432")) {
            Ok(hosts) => {
                file.upstream.hosts = Entry { value: List(hosts), source: Source::Variable(name.to_owned()) };
            }
            Err(why) => problems.push(Problem::new(Source::Variable(name.to_owned()), "upstream.hosts", why)),
        }
    }

    fn variables(&self, file: &mut File, problems: &mut Vec<Problem>) {
        for (_, _, keys) in File::sections() {
            for key in keys {
                let Some(value) = self.environment.get(&key.variable()) else { continue };
                let source = Source::Variable(key.variable());
                if let Err(why) = file.assign(&key, value, source.clone()) {
                    problems.push(Problem::new(source, key.path(), why));
                }
            }
        }
    }

    fn flags(&self, file: &mut File, problems: &mut Vec<Problem>) {
        let keys: Vec<_> = File::sections().into_iter().flat_map(|(.., keys)| keys).collect();
        for given in &self.flags {
            let source = Source::Flag(given.flag);
            let Some(key) = keys.iter().find(|key| key.path() == given.key) else {
                let why = document::unknown_path(&given.key);
                problems.push(Problem::new(source, given.key.clone(), why));
                continue;
            };
            if let Err(why) = file.assign(key, &given.value, source.clone()) {
                problems.push(Problem::new(source, key.path(), why));
            }
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

/// `PGHOST` and `PGPORT` are lists of the same length, or one port serves all hosts.
fn libpq_hosts(hosts: &str, ports: &str) -> Result<Vec<Address>, String> {
    let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
    let ports: Vec<_> = ports.split(',').map(str::trim).collect();
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err(format!("PGPORT names {} ports for {} hosts", ports.len(), hosts.len()));
    }
    let address = |(index, host): (usize, &&str)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or_default();
        let port = if port.is_empty() { "5432" } else { port };
        let port: u16 = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
        match if host.is_empty() { "127.0.0.1".parse() } else { host.parse() }? {
            Address::Tcp { host, .. } => Ok(Address::Tcp { host, port: Some(port) }),
            Address::Unix { directory, .. } => Ok(Address::Unix { directory, port: Some(port) }),
        }
    };
    hosts.iter().enumerate().map(address).collect()
}
