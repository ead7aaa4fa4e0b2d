//! A standby that streams from another throwaway cluster.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::account;
use super::template;
use super::workspace::Workspace;
use super::{Cluster, Launch, SUPERUSER, Stop, Trouble};

impl Cluster {
    /// Starts a hot standby of a cluster, with the settings of that; it takes connections that only read when this returns.
    /// `pg_promote()` makes it a primary.
    ///
    /// The cluster is stopped for the copy, which ends its sessions: `pg_basebackup` does not come with every server.
    pub fn standby_of(primary: &mut Self) -> Result<Self, Trouble> {
        let Launch { installation, account, own_group } = &primary.launch;
        let launch = Launch { installation: installation.clone(), account: *account, own_group: *own_group };
        let workspace = Workspace::create(launch.account)?;
        primary.stop(Stop::Fast)?;
        template::copy(&primary.data_dir(), &workspace.data(), launch.account)?;
        primary.start_again()?;
        let settings = workspace.data().join("postgresql.conf");
        let source =
            format!("primary_conninfo = 'host={} port={} user={SUPERUSER}'\n", primary.host(), primary.port);
        OpenOptions::new()
            .append(true)
            .open(&settings)
            .and_then(|mut file| file.write_all(source.as_bytes()))
            .map_err(Trouble::file("write", &settings))?;
        let signal = workspace.data().join("standby.signal");
        fs::write(&signal, "").map_err(Trouble::file("write", &signal))?;
        account::give(&signal, launch.account)?;
        Self { postmaster: None, launch, port: 0, workspace }.on_a_free_port()
    }
}
