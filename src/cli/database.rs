//! The database that a command talks to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio_postgres::{Client, Config};

use crate::base::name::written;
use crate::config::libpq::{self, Target};
use crate::config::{self, Loaded};
use crate::control::{self, Live, NoSchema, Unanswered};
use crate::effects::facts::Cached;
use crate::event::clock;
use crate::upstream::{Own, Upstream};

use super::sources;

/// Which database a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct DatabaseArgs {
    /// The database, `postgres://user@host/database?sslmode=verify-full` or whatever else psql takes; without it the
    /// configuration's control connection says where it is. Better give the password by `PGPASSWORD` or the password file.
    #[arg(long)]
    pub(super) url: Option<String>,
    /// Another database of the server than the control connection's.
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    pub(super) database: Option<String>,
    /// The configuration file; without it everything has its default.
    #[arg(long, short, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

/// The way to a database.
pub(super) struct Route {
    /// Who logs in, and where.
    pub(super) login: Config,
    /// The servers.
    pub(super) upstream: Upstream,
}

impl DatabaseArgs {
    /// The way, and the configuration that holds there.
    pub(super) fn route(&self) -> anyhow::Result<(Route, Loaded)> {
        let loaded = config::load(&sources::of_file(self.config.clone()))?;
        if let Some(url) = &self.url {
            return Ok((route(url)?, loaded));
        }
        let settings = loaded.settings.sessions.upstream.clone();
        let mut login = settings.control.clone().context(
            "there is no control connection to say which database is meant; name it by --url, or set control.enabled",
        )?;
        if let Some(database) = &self.database {
            login.dbname(database);
        }
        let upstream = Upstream::load(settings).context("cannot use the configuration")?;
        Ok((Route { login, upstream }, loaded))
    }
}

/// A database, and whose schema `lockkeeper` is trusted there.
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The role to which schema `lockkeeper` may belong: the proxies' control role. That of the configuration is known; one's own and
    /// a superuser's schema are trusted anyway.
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
}

impl SchemaArgs {
    /// The way, the configuration that holds there, and whose functions may be called.
    pub(super) fn route(&self) -> anyhow::Result<(Route, Loaded, Option<String>)> {
        let (route, loaded) = self.database.route()?;
        let control = loaded.settings.sessions.upstream.control.as_ref();
        let owner = self.owner.clone().or_else(|| Some(control?.get_user()?.to_owned()));
        Ok((route, loaded, owner))
    }
}

/// Why a command cannot go on, and what helps whoever has typed it.
pub(super) fn refused(why: NoSchema) -> anyhow::Error {
    match why {
        NoSchema::Owned { owner, database, .. } => anyhow::anyhow!(
            "schema \"lockkeeper\" in database {database:?} belongs to role {owner:?}, who could have put anything there; if that is the \
             proxies' control role, say --owner {}",
            written(&owner)
        ),
        NoSchema::Unreachable(why) => anyhow::anyhow!("the server has given no answer: {why}"),
        why => {
            let hint = why.hint();
            let (first, rest) = hint.split_at_checked(1).unwrap_or_default();
            anyhow::anyhow!("{why}; {}{}", first.to_lowercase(), rest.trim_end_matches('.'))
        }
    }
}

/// The way that a connection string says, as libpq would read it.
fn route(url: &str) -> anyhow::Result<Route> {
    let environment = sources::of_file(None).environment;
    let Target { login, upstream } =
        libpq::target(url, &environment).map_err(anyhow::Error::msg).context("cannot use --url")?;
    Ok(Route { login, upstream: Upstream::load(upstream).context("cannot use --url")? })
}

impl Route {
    /// A connection for questions and commands of ours.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        self.within(control::client(&self.own())).await
    }

    fn own(&self) -> Own {
        Own::new(self.login.clone(), self.upstream.settings().ssl_mode, self.upstream.connector())
    }

    async fn within<T>(&self, connecting: impl Future<Output = Result<T, Unanswered>>) -> anyhow::Result<T> {
        let settings = self.upstream.settings();
        let limit: Duration = self.login.get_connect_timeout().copied().unwrap_or(settings.connect_timeout);
        let hosts: Vec<String> = settings.hosts.iter().map(ToString::to_string).collect();
        let place = hosts.join(", ");
        let connected = clock::within(limit, connecting).await.with_context(|| {
            let seconds = limit.as_secs();
            format!("cannot connect to {place}: no answer within {seconds} s; is the address right?")
        })?;
        connected.with_context(|| format!("cannot connect to {place}"))
    }
}

/// Connects as libpq would; each thing is asked for once.
pub(super) async fn connect(url: &str) -> anyhow::Result<Cached<Live>> {
    let route = route(url)?;
    Ok(Cached::new(route.within(Live::connect(&route.own())).await?))
}
