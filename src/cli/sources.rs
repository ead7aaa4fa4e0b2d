//! The flags and variables that make up a configuration, the same for every subcommand that reads one.

use std::path::PathBuf;

use crate::config::{FlagValue, Sources};

/// Where the configuration comes from.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SourceArgs {
    /// The configuration file; without it everything has its default.
    #[arg(long, short, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    config: Option<PathBuf>,
    /// Listen here instead of on listen.addresses; may be repeated.
    #[arg(long, value_name = "HOST:PORT|unix:/DIR")]
    listen: Vec<String>,
    /// Connect to this server instead of upstream.hosts; may be repeated.
    #[arg(long, value_name = "HOST:PORT|unix:/DIR")]
    upstream: Vec<String>,
    /// Set any key of the configuration, such as guard.mode=observe; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

impl SourceArgs {
    /// Everything that a configuration is made of.
    pub(super) fn sources(&self) -> Sources {
        let mut flags: Vec<_> = self
            .set
            .iter()
            .map(|(key, value)| FlagValue { flag: "--set", key: key.clone(), value: value.clone() })
            .collect();
        let lists = [
            ("--listen", "listen.addresses", &self.listen),
            ("--upstream", "upstream.hosts", &self.upstream),
        ];
        for (flag, key, values) in lists {
            if !values.is_empty() {
                flags.push(FlagValue { flag, key: key.to_owned(), value: values.join(",") });
            }
        }
        Sources { flags, ..of_file(self.config.clone()) }
    }
}

/// A file, and the variables that win over it.
pub(super) fn of_file(file: Option<PathBuf>) -> Sources {
    let text = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let ours = text.filter(|(name, _)| is_ours(name));
    Sources { file, environment: ours.collect(), flags: Vec::new() }
}

/// Ours, libpq's, and those that libpq takes its defaults from.
fn is_ours(name: &str) -> bool {
    name.starts_with("LOCKKEEPER_") || name.starts_with("PG") || matches!(name, "HOME" | "USER" | "LOGNAME")
}
