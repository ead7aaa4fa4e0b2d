//! The database that `check` and `explain` ask.

use anyhow::Context as _;

use crate::config::libpq::{self, Target};
use crate::control::Live;
use crate::effects::facts::Cached;
use crate::event::clock;
use crate::upstream::{Own, Upstream};

use super::sources;

/// Connects as libpq would; each thing is asked for once.
pub(super) async fn connect(url: &str) -> anyhow::Result<Cached<Live>> {
    let environment = sources::of_file(None).environment;
    let Target { login, upstream } =
        libpq::target(url, &environment).map_err(anyhow::Error::msg).context("cannot use --url")?;
    let upstream = Upstream::load(upstream).context("cannot use --url")?;
    let settings = upstream.settings();
    let limit = login.get_connect_timeout().copied().unwrap_or(settings.connect_timeout);
    let hosts: Vec<String> = settings.hosts.iter().map(ToString::to_string).collect();
    let place = hosts.join(", ");
    let own = Own::new(login, settings.ssl_mode, upstream.connector());
    let live = clock::within(limit, Live::connect(&own)).await;
    let live = live.with_context(|| {
        format!("cannot connect to {place}: no answer within {} s; is the address right?", limit.as_secs())
    })?;
    Ok(Cached::new(live.with_context(|| format!("cannot connect to {place}"))?))
}
