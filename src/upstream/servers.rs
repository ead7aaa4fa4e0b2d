//! The servers as a whole: settings that were checked, certificates that were read, and what is known of each host.

use tokio_rustls::TlsConnector;

use super::ask::{Asker, NoAnswer};
use super::role::RoleMemory;
use super::settings::{Host, Roots, SslMode, SslNegotiation, TargetSessionAttrs, UpstreamSettings};
use super::{Problem, tls};

/// The way to the servers, ready for use; shared by all sessions, and replaced as a whole when the configuration changes.
pub struct Upstream {
    settings: UpstreamSettings,
    connector: Option<TlsConnector>,
    /// One per host; none when there is no control login.
    askers: Vec<(Asker, RoleMemory)>,
}

impl Upstream {
    /// Checks the settings as a whole and reads the files that they name.
    pub fn load(settings: UpstreamSettings) -> Result<Self, Problem> {
        if settings.hosts.is_empty() {
            return Err(Problem::NoHost);
        }
        let may_be_plain = matches!(settings.ssl_mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer);
        if settings.ssl_negotiation == SslNegotiation::Direct && may_be_plain {
            return Err(Problem::DirectNeedsRequire);
        }
        if settings.roots == Roots::System && settings.ssl_mode != SslMode::VerifyFull {
            return Err(Problem::SystemRootsNeedFull);
        }
        if settings.target != TargetSessionAttrs::Any && settings.control.is_none() {
            return Err(Problem::TargetNeedsControl);
        }
        let connector = tls::connector(&settings)?;
        let asker = |host| {
            let control = settings.control.as_ref()?;
            Some((Asker::new(control, host, &settings, connector.as_ref()), RoleMemory::default()))
        };
        let askers = settings.hosts.iter().filter_map(asker).collect();
        Ok(Self { settings, connector, askers })
    }

    /// What it was made from.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// The host at a place of the list.
    pub fn host(&self, index: usize) -> Option<&Host> {
        self.settings.hosts.get(index)
    }

    /// How to begin TLS; `None` when the settings never want it.
    pub fn connector(&self) -> Option<&TlsConnector> {
        self.connector.as_ref()
    }

    /// Who may ask a host on the proxy's own behalf; `None` without a control login.
    pub fn asker(&self, index: usize) -> Option<&Asker> {
        self.askers.get(index).map(|(asker, _)| asker)
    }

    /// The passes over the list of hosts: `prefer-standby` takes a second one that asks for nothing.
    pub fn passes(&self) -> &'static [TargetSessionAttrs] {
        match self.settings.target {
            TargetSessionAttrs::Any => &[TargetSessionAttrs::Any],
            TargetSessionAttrs::ReadWrite => &[TargetSessionAttrs::ReadWrite],
            TargetSessionAttrs::ReadOnly => &[TargetSessionAttrs::ReadOnly],
            TargetSessionAttrs::Primary => &[TargetSessionAttrs::Primary],
            TargetSessionAttrs::Standby => &[TargetSessionAttrs::Standby],
            TargetSessionAttrs::PreferStandby => {
                &[TargetSessionAttrs::PreferStandby, TargetSessionAttrs::Any]
            }
        }
    }

    /// Whether a host is what a pass asks for.
    pub async fn suits(&self, index: usize, target: TargetSessionAttrs) -> Result<Suits, NoAnswer> {
        let Some((asker, memory)) = self.askers.get(index).filter(|_| target != TargetSessionAttrs::Any)
        else {
            return Ok(Suits::Yes);
        };
        let role = memory.role(asker).await?;
        Ok(if role.suits(target) { Suits::Yes } else { Suits::No })
    }
}

/// Whether a host will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suits {
    /// It is what is asked for.
    Yes,
    /// It has another role now.
    No,
}
