//! What no key can see alone: keys that need, exclude or contradict each other.

use secrecy::ExposeSecret as _;

use crate::hazard;
use crate::peak::Clock;

use super::address::Address;
use super::conninfo;
use super::file::File;
use super::key::{Entry, Source};
use super::problem::Problem;
use super::suggest;
use super::word::{ClientSslMode, SslNegotiation, TargetSessionAttrs, UpstreamSslMode};

/// The longest path of a Unix-domain socket (`sun_path` in `unix(7)`, less the final zero).
const UNIX_PATH_BYTES_MAX: usize = 107;

/// All contradictions.
pub(super) fn contradictions(file: &File) -> Vec<Problem> {
    let mut found = Found::default();
    listen(file, &mut found);
    client_tls(file, &mut found);
    upstream(file, &mut found);
    login(file, &mut found);
    guard(file, &mut found);
    bulk(file, &mut found);
    rules(file, &mut found);
    hazards(file, &mut found);
    peaks(file, &mut found);
    operator(file, &mut found);
    log(file, &mut found);
    found.0
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn at<T>(&mut self, entry: &Entry<T>, key: &str, why: impl Into<String>) {
        self.0.push(Problem::new(entry.source.clone(), key, why));
    }
}

fn listen(file: &File, found: &mut Found) {
    let listen = &file.listen;
    for address in &listen.addresses.0 {
        if let Address::Unix { directory, port } = address {
            let port = port.unwrap_or(*listen.port);
            let bytes = directory.as_os_str().len() + format!("/.s.PGSQL.{port}").len();
            if bytes > UNIX_PATH_BYTES_MAX {
                let why = format!(
                    "the socket's path would have {bytes} bytes, at most {UNIX_PATH_BYTES_MAX} are possible"
                );
                found.at(&listen.addresses, "listen.addresses", why);
            }
        }
    }
}

fn client_tls(file: &File, found: &mut Found) {
    let tls = &file.listen_tls;
    let mode = *tls.sslmode;
    if mode != ClientSslMode::Disable {
        for (entry, key) in [(&tls.cert, "listen.tls.cert"), (&tls.key, "listen.tls.key")] {
            if entry.is_none() {
                found.at(&tls.sslmode, "listen.tls.sslmode", format!("{:?} needs {key}", mode.to_string()));
            }
        }
    }
    let verifies = matches!(mode, ClientSslMode::VerifyCa | ClientSslMode::VerifyFull);
    if verifies && tls.client_ca.is_none() {
        found.at(
            &tls.sslmode,
            "listen.tls.sslmode",
            format!("{:?} needs listen.tls.client_ca", mode.to_string()),
        );
    }
}

fn upstream(file: &File, found: &mut Found) {
    let upstream = &file.upstream;
    for address in &upstream.hosts.0 {
        match address {
            Address::Tcp { host, .. } if host == "*" => {
                found.at(&upstream.hosts, "upstream.hosts", "\"*\" is no server: name a host");
            }
            Address::Tcp { port: Some(0), .. } | Address::Unix { port: Some(0), .. } => {
                found.at(&upstream.hosts, "upstream.hosts", "port 0 is no server's: allowed is 1 to 65535");
            }
            Address::Tcp { .. } | Address::Unix { .. } => {}
        }
    }
    match (upstream.sslcert.value.is_some(), upstream.sslkey.value.is_some()) {
        (true, false) => found.at(&upstream.sslcert, "upstream.sslcert", "needs upstream.sslkey"),
        (false, true) => found.at(&upstream.sslkey, "upstream.sslkey", "needs upstream.sslcert"),
        _ => {}
    }
    upstream_roots(file, found);
    if *upstream.target_session_attrs != TargetSessionAttrs::Any && !*file.control.enabled {
        let why = "needs control.enabled, to ask the hosts for their role";
        found.at(&upstream.target_session_attrs, "upstream.target_session_attrs", why);
    }
    let plain_is_fine = *upstream.sslmode < UpstreamSslMode::Require;
    if *upstream.sslnegotiation == SslNegotiation::Direct && plain_is_fine {
        let why = "\"direct\" needs upstream.sslmode \"require\", \"verify-ca\" or \"verify-full\"";
        found.at(&upstream.sslnegotiation, "upstream.sslnegotiation", why);
    }
}

/// As libpq has it: roots that anybody can be a customer of prove nothing without the name.
fn upstream_roots(file: &File, found: &mut Found) {
    let upstream = &file.upstream;
    match (&upstream.sslrootcert.value, *upstream.sslmode) {
        (None, UpstreamSslMode::VerifyCa) => {
            found.at(&upstream.sslmode, "upstream.sslmode", "\"verify-ca\" needs upstream.sslrootcert");
        }
        (Some(path), mode) if path.as_os_str() == "system" && mode != UpstreamSslMode::VerifyFull => {
            found.at(
                &upstream.sslrootcert,
                "upstream.sslrootcert",
                "\"system\" needs upstream.sslmode \"verify-full\"",
            );
        }
        _ => {}
    }
}

fn login(file: &File, found: &mut Found) {
    let (auth, control) = (&file.auth, &file.control);
    if let Some(query) = &auth.verifier_query.value {
        if auth.verifier_file.is_some() {
            found.at(
                &auth.verifier_query,
                "auth.verifier_query",
                "auth.verifier_file is set too: only one can hold",
            );
        }
        if !query.contains("$1") {
            found.at(&auth.verifier_query, "auth.verifier_query", "the query must name the user by $1");
        }
        if !*control.enabled {
            found.at(&auth.verifier_query, "auth.verifier_query", "needs control.enabled");
        }
    }
    // The parser's message could repeat a part of the password.
    if let Some(url) = &control.url.value
        && url.expose_secret().parse::<tokio_postgres::Config>().is_err()
    {
        let mode = conninfo::read(url.expose_secret()).and_then(|mut read| read.take("sslmode"));
        let why = if mode.is_some_and(|mode| mode == "verify-ca" || mode == "verify-full") {
            "its sslmode may be disable, prefer or require: certificates are verified as upstream.sslmode says, so say verify-ca or \
             verify-full there"
        } else {
            "expected postgres://user:password@host:port/database, or key=value pairs"
        };
        found.at(&control.url, "control.url", why);
    }
}

fn guard(file: &File, found: &mut Found) {
    let guard = &file.guard;
    if *guard.backoff_min > *guard.backoff_max {
        let why = format!("{} is more than guard.backoff_max, {}", *guard.backoff_min, *guard.backoff_max);
        found.at(&guard.backoff_min, "guard.backoff_min", why);
    }
    if !guard.patience.0.is_sorted() {
        found.at(
            &guard.patience,
            "guard.patience",
            "each patience must be at least as long as the one before",
        );
    }
}

fn bulk(file: &File, found: &mut Found) {
    let bulk = &file.bulk;
    if *bulk.batch_rows_min > *bulk.batch_rows_max {
        let why =
            format!("{} is more than bulk.batch_rows_max, {}", *bulk.batch_rows_min, *bulk.batch_rows_max);
        found.at(&bulk.batch_rows_min, "bulk.batch_rows_min", why);
    }
    if bulk.standbys.0.is_empty() {
        return;
    }
    if bulk.replay_lag_max.is_none() && bulk.replay_bytes_max.is_none() {
        let why = "needs bulk.replay_lag_max or bulk.replay_bytes_max";
        found.at(&bulk.standbys, "bulk.standbys", why);
    }
    if !*file.control.enabled {
        found.at(&bulk.standbys, "bulk.standbys", "needs control.enabled, to ask how far they are");
    }
}

fn rules(file: &File, found: &mut Found) {
    let everybodys = file.rules.iter().position(|rule| {
        [&rule.database, &rule.user, &rule.application_name].iter().all(|own| own.0.is_none())
    });
    if let Some(first) = everybodys
        && first + 1 < file.rules.len()
    {
        let line = file.rules.get(first + 1).map_or(Source::Default, super::rule::Rule::source);
        let why = format!("is never reached: rule {} names no database, user or application", first + 1);
        found.0.push(Problem::new(line, format!("rule.{}", first + 2), why));
    }
}

/// Hazards are named in many places, and a slip there would let nothing pass.
fn hazards(file: &File, found: &mut Found) {
    unknown_hazards(&file.guard.hazards, "guard.hazards", file.guard.hazards.0.keys(), found);
    for (index, rule) in file.rules.iter().enumerate() {
        let path = |key: &str| format!("rule.{}.{key}", index + 1);
        unknown_hazards(&rule.hazards, &path("hazards"), rule.hazards.0.keys(), found);
        unknown_hazards(&rule.allow, &path("allow"), rule.allow.0.keys(), found);
    }
}

fn unknown_hazards<'a, T>(
    entry: &Entry<T>,
    path: &str,
    ids: impl Iterator<Item = &'a String>,
    found: &mut Found,
) {
    for id in ids.filter(|id| hazard::by_id(id).is_none()) {
        let near = suggest::nearest(id, hazard::ALL.iter().map(|hazard| hazard.id));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        found.at(entry, path, format!("there is no hazard {id:?}{hint}"));
    }
}

fn peaks(file: &File, found: &mut Found) {
    for (index, peak) in file.peaks.iter().enumerate() {
        let path = |key: &str| format!("peak.{}.{key}", index + 1);
        match (peak.from.0, peak.to.0) {
            (Some(from), Some(to)) if from == to => {
                let why =
                    format!("is the same as peak.{}.from; a whole day is \"00:00\" to \"24:00\"", index + 1);
                found.at(&peak.to, &path("to"), why);
            }
            (Some(Clock::MIDNIGHT), _) => {
                found.at(&peak.from, &path("from"), "a day ends at 24:00; the next one begins at \"00:00\"");
            }
            (from, to) => {
                for (key, given) in [("from", from), ("to", to)] {
                    if given.is_none() {
                        let why = "is missing: a window needs \"from\" and \"to\"";
                        found.0.push(Problem::new(peak.source(), path(key), why));
                    }
                }
            }
        }
    }
}

/// The longest port in the name counts: which one it is shows at the start.
fn operator(file: &File, found: &mut Found) {
    let directory = &file.operator.socket_directory;
    let bytes = directory
        .value
        .as_ref()
        .map_or(0, |path| path.as_os_str().len() + "/lockkeeper.65535.4194304.sock".len());
    if bytes > UNIX_PATH_BYTES_MAX {
        let why =
            format!("the socket's path would have {bytes} bytes, at most {UNIX_PATH_BYTES_MAX} are possible");
        found.at(directory, "operator.socket_directory", why);
    }
}

fn log(file: &File, found: &mut Found) {
    if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&*file.log.level) {
        let why = format!("expected error, warn, info, debug, trace, or a filter: {error}");
        found.at(&file.log.level, "log.level", why);
    }
}
