//! The file's values as the modules' own settings. Whatever gets here has been checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use crate::base::{Period, Size};
use crate::control::Install;
use crate::hazard::HazardSetting;
use crate::judge::policy::{Allowance, Deferred, InTransaction, Overriding};
use crate::judge::{Mode, Policy};
use crate::live::gate::Hours;
use crate::live::rules::Rule as LiveRule;
use crate::live::{Limits, Rules};
use crate::peak::{Schedule, Treatments};
use crate::serve::listener::{ListenSettings, Place};
use crate::serve::login::Verifiers;
use crate::serve::settings::{Oversize, Settings as SessionSettings, Waiting};
use crate::upstream::settings::Liveness;

use super::address::Address;
use super::file::File;
use super::hazards::Hazards;
use super::peak::{self, Peak};
use super::rule::Rule;
use super::word::{self, DeferredWord, InTransactionWord, InstallWord, LogFormat, ModeWord};
use super::{bulk, edge};

/// Everything that the process goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; read at the start only.
    pub listen: ListenSettings,
    /// What sessions go by.
    pub sessions: SessionSettings,
    /// Threads; `None` is one for each core.
    pub workers: Option<u32>,
    /// How long busy sessions may go on after SIGTERM.
    pub stop_deadline: Duration,
    /// Where the control socket is, if there is one.
    pub socket_directory: Option<PathBuf>,
    /// What is logged.
    pub log: LogSettings,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// A level or a filter.
    pub level: String,
}

impl Settings {
    /// The settings of a file whose values have been checked. `environment`: libpq's variables.
    pub fn new(file: &File, environment: &BTreeMap<String, String>) -> Self {
        Self {
            listen: listen(file),
            sessions: sessions(file, environment),
            workers: file.limits.workers.0,
            socket_directory: file.operator.socket_directory.value.clone(),
            stop_deadline: file.stop.deadline.duration(),
            log: LogSettings { format: *file.log.format, level: file.log.level.value.clone() },
        }
    }
}

/// Only where a URL says so: a login that is put together by default may be nobody's.
fn look_at(file: &File) -> Option<String> {
    let url = file.control.url.value.as_ref().filter(|_| *file.control.enabled)?;
    let login: tokio_postgres::Config = url.expose_secret().parse().ok()?;
    login.get_dbname().or_else(|| login.get_user()).map(str::to_owned)
}

fn listen(file: &File) -> ListenSettings {
    let listen = &file.listen;
    let place = |address: &Address| match address.clone() {
        Address::Tcp { host, port } => Place::Tcp { host, port: port.unwrap_or(*listen.port) },
        Address::Unix { directory, port } => Place::Unix { directory, port: port.unwrap_or(*listen.port) },
    };
    ListenSettings {
        places: listen.addresses.0.iter().map(place).collect(),
        backlog: i32::try_from(*listen.backlog).unwrap_or(i32::MAX),
        reuse_port: *listen.reuse_port,
        unix_mode: listen.unix_mode.0,
        liveness: Liveness {
            keepalive_idle: listen.keepalive_idle.duration(),
            keepalive_interval: listen.keepalive_interval.duration(),
            keepalive_count: *listen.keepalive_count,
            tcp_user_timeout: listen.tcp_user_timeout.map(Period::duration),
        },
    }
}

fn sessions(file: &File, environment: &BTreeMap<String, String>) -> SessionSettings {
    let (limits, guard, auth) = (&file.limits, &file.guard, &file.auth);
    SessionSettings {
        limits: Limits {
            connections: *limits.connections,
            connections_per_user: *limits.connections_per_user,
        },
        startup_timeout: file.listen.startup_timeout.duration(),
        idle_timeout: limits.idle_timeout.map(Period::duration),
        inspect_bytes_max: limits.statement_inspect_max.as_usize(),
        oversize: match *limits.oversize {
            word::Oversize::Refuse => Oversize::Refuse,
            word::Oversize::Pass => Oversize::Pass,
        },
        rules: rules(file),
        hours: hours(file),
        waiting: Waiting {
            patience: guard.patience.0.iter().map(|period| period.duration()).collect(),
            backoff_min: guard.backoff_min.duration(),
            backoff_max: guard.backoff_max.duration(),
            progress_interval: guard.progress_interval.duration(),
        },
        bulk: bulk::settings(file),
        upstream: edge::upstream(file, environment),
        client_tls: edge::client_tls(file),
        look_at: look_at(file),
        passwords: edge::passwords(file, environment),
        install: match *file.ledger.install {
            InstallWord::Auto => Install::Auto,
            InstallWord::Off => Install::Off,
        },
        verifiers: match (&auth.verifier_file.value, &auth.verifier_query.value) {
            (Some(path), _) => Verifiers::File(path.clone()),
            (None, Some(query)) => Verifiers::Query(query.clone()),
            (None, None) => Verifiers::None,
        },
        console_users: file.operator.console_users.value.clone().map_or(Verifiers::None, Verifiers::File),
    }
}

fn rules(file: &File) -> Rules {
    let default = Policy {
        mode: mode(*file.guard.mode),
        max_stall: file.guard.max_stall.duration(),
        retry_for: file.guard.retry_for.duration(),
        in_transaction: in_transaction(*file.guard.in_transaction),
        deferred: deferred(*file.guard.deferred),
        allow: Vec::new(),
        hazards: settings_of(&file.guard.hazards),
        small_table: file.guard.small_table.as_u64(),
        hot_tables: file.guard.hot_tables.0.clone(),
        overriding: Overriding::Denied,
        override_for: None,
        bulk_rows: (*file.bulk.rows).into(),
        rows_per_second: None,
    };
    Rules {
        default,
        rules: file.rules.iter().map(rule).collect(),
        override_roles: file.operator.override_roles.0.clone(),
    }
}

fn hours(file: &File) -> Hours {
    let operator = &file.operator;
    Hours {
        schedule: Schedule { windows: file.peaks.iter().filter_map(Peak::window).collect() },
        frozen: Treatments::all(peak::treatment(*operator.frozen_work)),
        frozen_hold_for: operator.frozen_hold_for.map(Period::duration),
    }
}

fn rule(rule: &Rule) -> LiveRule {
    let allowance =
        |(hazard, reason): (&String, &String)| Allowance { hazard: hazard.clone(), reason: reason.clone() };
    LiveRule {
        database: rule.database.0.clone(),
        user: rule.user.0.clone(),
        application_name: rule.application_name.0.clone(),
        mode: rule.mode.0.map(mode),
        max_stall: rule.max_stall.0.map(Period::duration),
        retry_for: rule.retry_for.0.map(Period::duration),
        in_transaction: rule.in_transaction.0.map(in_transaction),
        deferred: rule.deferred.0.map(deferred),
        allow: rule.allow.0.iter().map(allowance).collect(),
        hazards: settings_of(&rule.hazards),
        small_table: rule.small_table.0.map(Size::as_u64),
    }
}

fn settings_of(hazards: &Hazards) -> Vec<(String, HazardSetting)> {
    hazards.0.iter().map(|(hazard, setting)| (hazard.clone(), *setting)).collect()
}

const fn in_transaction(word: InTransactionWord) -> InTransaction {
    match word {
        InTransactionWord::Defer => InTransaction::Defer,
        InTransactionWord::Refuse => InTransaction::Refuse,
        InTransactionWord::Warn => InTransaction::Warn,
    }
}

const fn deferred(word: DeferredWord) -> Deferred {
    match word {
        DeferredWord::Wait => Deferred::Wait,
        DeferredWord::Background => Deferred::Background,
    }
}

const fn mode(word: ModeWord) -> Mode {
    match word {
        ModeWord::Enforce => Mode::Enforce,
        ModeWord::Observe => Mode::Observe,
        ModeWord::Off => Mode::Off,
    }
}
