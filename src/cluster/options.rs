//! How a throwaway cluster is to be set up.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::account::{self, Account};
use super::{Installation, Trouble};

/// Settings of every cluster: no durability, no compiler for queries that run once, room for every kind of test, and times that read the same everywhere.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
jit = off
wal_level = logical
max_wal_senders = 10
max_replication_slots = 10
shared_buffers = 32MB
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%a '
";

/// Whoever reaches a throwaway cluster may use it; lines of the caller come first and so win.
const TRUST: &str = "
local all all trust
host all all 127.0.0.1/32 trust
host all all ::1/128 trust
local replication all trust
host replication all 127.0.0.1/32 trust
host replication all ::1/128 trust
";

/// A certificate for the server, in PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The authority for client certificates, where those are to be asked for.
    pub client_authority: Option<String>,
}

/// What a cluster is to be like; without anything said, the preferred installation with everybody trusted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(super) installation: Option<Installation>,
    conf: Vec<String>,
    hba: Vec<String>,
    tls: Option<Tls>,
    /// For programs that clean up by themselves on Ctrl-C, which a terminal sends to the whole group.
    pub(super) own_group: bool,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs these binaries instead of the preferred ones.
    #[must_use]
    pub fn installation(mut self, installation: Installation) -> Self {
        self.installation = Some(installation);
        self
    }

    /// Adds a line to `postgresql.conf`; later lines win.
    #[must_use]
    pub fn conf(mut self, line: impl Into<String>) -> Self {
        self.conf.push(line.into());
        self
    }

    /// Adds a line to `pg_hba.conf`, before those that trust everybody; earlier lines win.
    #[must_use]
    pub fn hba(mut self, line: impl Into<String>) -> Self {
        self.hba.push(line.into());
        self
    }

    /// Switches TLS on.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Keeps the terminal's Ctrl-C away from the server, so that its owner may end things in its own order.
    #[must_use]
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Writes the configuration files into the data directory.
    pub(super) fn write_to(&self, data: &Path, account: Option<Account>) -> Result<(), Trouble> {
        let conf = data.join("postgresql.conf");
        fs::OpenOptions::new()
            .append(true)
            .open(&conf)
            .and_then(|mut file| file.write_all(self.settings().as_bytes()))
            .map_err(Trouble::file("write", &conf))?;
        let hba = data.join("pg_hba.conf");
        fs::write(&hba, self.rules()).map_err(Trouble::file("write", &hba))?;
        if let Some(tls) = &self.tls {
            write_private(&data.join("server.crt"), &tls.certificate, account)?;
            write_private(&data.join("server.key"), &tls.key, account)?;
            if let Some(authority) = &tls.client_authority {
                write_private(&data.join("root.crt"), authority, account)?;
            }
        }
        Ok(())
    }

    fn settings(&self) -> String {
        let mut text = String::from(SETTINGS);
        if let Some(tls) = &self.tls {
            text.push_str("ssl = on\n");
            if tls.client_authority.is_some() {
                text.push_str("ssl_ca_file = 'root.crt'\n");
            }
        }
        for line in &self.conf {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn rules(&self) -> String {
        let mut text = self.hba.join("\n");
        text.push_str(TRUST);
        text
    }
}

/// Postgres refuses a key that others can read or that belongs to somebody else.
fn write_private(path: &Path, text: &str, account: Option<Account>) -> Result<(), Trouble> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Trouble::file("write", path))?;
    account::give(path, account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_lines_win() {
        let options = Options::new().conf("fsync = on").hba("host all all 127.0.0.1/32 scram-sha-256");
        assert!(options.settings().ends_with("fsync = on\n"));
        assert!(options.rules().starts_with("host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust"));
    }

    #[test]
    fn a_client_authority_is_named_only_when_given() {
        let tls = Tls { certificate: String::new(), key: String::new(), client_authority: None };
        assert!(!Options::new().settings().contains("ssl = on"));
        assert!(!Options::new().tls(tls.clone()).settings().contains("ssl_ca_file"));
        let tls = Tls { client_authority: Some(String::new()), ..tls };
        assert!(Options::new().tls(tls).settings().contains("ssl = on\nssl_ca_file = 'root.crt'\n"));
    }
}
