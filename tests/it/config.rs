//! The configuration: the example file, every key, all problems at once, and which source wins.

use std::collections::BTreeMap;

use lockkeeper::config::file::File;
use lockkeeper::config::key::{Key, Section, Source};
use lockkeeper::config::peak::Peak;
use lockkeeper::config::rule::Rule;
use lockkeeper::config::{FlagValue, Sources, load_text, reference};

fn problems(text: &str) -> String {
    let sources = Sources { file: Some("lockkeeper.toml".into()), ..Sources::default() };
    load_text(&sources, text).map_or_else(|problems| problems.to_string(), |_| "fine".to_owned())
}

/// The example with every `#key = value` taken out of its comment.
fn example_in_force() -> String {
    let key = |line: &str| {
        let line = line.strip_prefix('#')?;
        let is_key = line.starts_with("[[") || line.split_once(" = ").is_some_and(|(key, _)| is_word(key));
        is_key.then(|| line.to_owned())
    };
    let lines = reference::example();
    lines.lines().map(|line| key(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn every_key() -> Vec<Key> {
    File::sections().into_iter().flat_map(|(.., keys)| keys).chain(Rule::keys()).chain(Peak::keys()).collect()
}

#[test]
fn the_example_as_it_stands_changes_nothing() {
    let sources = Sources::default();
    let loaded = load_text(&sources, &reference::example()).expect("the example is valid");
    for shown in loaded.file.shown() {
        assert_eq!(shown.source, Source::Default, "{}", shown.path);
    }
}

#[test]
fn the_example_covers_every_key() {
    let text = example_in_force();
    let (file, problems) = Sources::default().read_text(&text);
    assert_eq!(problems, [], "{text}");
    let shown = file.shown();
    assert_eq!(shown.len(), every_key().len());
    for shown in shown {
        assert!(matches!(shown.source, Source::Line(_)), "{} is not in the example", shown.path);
    }
}

#[test]
fn every_key_is_in_the_reference_and_has_a_variable() {
    let page = reference::page();
    let (file, _) = Sources::default().read_text(&example_in_force());
    let values: BTreeMap<_, _> = file.shown().into_iter().map(|shown| (shown.path, shown.value)).collect();
    for key in every_key() {
        assert!(page.contains(&format!("| `{}` |", key.name)), "{} is not in the reference", key.path());
        if key.section.is_empty() {
            continue;
        }
        let value = values[&key.path()].trim_matches(['"', '[', ']', '{', '}']).replace("\", \"", ",");
        let environment = BTreeMap::from([(key.variable(), value)]);
        let (file, problems) = Sources { environment, ..Sources::default() }.read_text("");
        assert_eq!(problems, [], "{}", key.variable());
        let shown = file.shown();
        let shown = shown.iter().find(|shown| shown.path == key.path()).expect("known");
        assert_eq!(shown.source, Source::Variable(key.variable()));
    }
}

/// Something is wrong with every line but the headers.
const BROKEN: &str = r#"
prot = 1

[listen]
adresses = ["127.0.0.1"]
port = "6432"
backlog = 0
mode = "observe"

[listen.tls]
sslmode = "verify-full"

[upstream]
hosts = ["*", "db:0"]
sslnegotiation = "direct"
connect_timeout = 5
sslcert = "a.crt"

[limits]
idle_timeout = "10 minutes"
statement_inspect_max = "1T"
connections = "many"

[guard]
mode = "enforced"
max_stall = "0.1s"
backoff_min = "1min"
patience = ["50ms", "5ms"]

[control]
url = "hunter2 = hunter2"

[log]
level = "loud="

[nonsense]
a = 1

[stop.deadline]
busy = "1s"

[[rule]]
mode = "off"

[[rule]]
databse = "x"
allow = { create-index-blocking = "" }

[[rule]]
user = "x"
allow = { create-index-bloking = "small", nonsense = "y" }
"#;

#[test]
fn standbys_that_nobody_asks_for_are_a_mistake() {
    let said = problems(
        "[control]\nenabled = false\n[bulk]\nstandbys = ['replica1']\nreplay_lag_max = 'off'\nreplay_bytes_max = 'off'\n\
         batch_rows_min = 9\nbatch_rows_max = 8\nmissing_standby = 'wait'\n",
    );
    insta::assert_snapshot!(said, @r#"
    lockkeeper.toml:4: bulk.standbys: needs bulk.replay_lag_max or bulk.replay_bytes_max
    lockkeeper.toml:4: bulk.standbys: needs control.enabled, to ask how far they are
    lockkeeper.toml:7: bulk.batch_rows_min: 9 is more than bulk.batch_rows_max, 8
    lockkeeper.toml:9: bulk.missing_standby: expected one of "hold", "ignore"
    "#);
}

#[test]
fn all_problems_are_told_at_once() {
    let said = problems(BROKEN);
    insta::assert_snapshot!(said, @r#"
    lockkeeper.toml: rule.2: is never reached: rule 1 names no database, user or application
    lockkeeper.toml:2: prot: unknown key; did you mean "port" in [listen]?
    lockkeeper.toml:5: listen.adresses: unknown key; did you mean "addresses"?
    lockkeeper.toml:6: listen.port: expected a whole number, found a string
    lockkeeper.toml:7: listen.backlog: 0 is out of range: allowed is 1 to 65535
    lockkeeper.toml:8: listen.mode: unknown key; "mode" belongs in [guard]
    lockkeeper.toml:11: listen.tls.sslmode: "verify-full" needs listen.tls.cert
    lockkeeper.toml:11: listen.tls.sslmode: "verify-full" needs listen.tls.key
    lockkeeper.toml:11: listen.tls.sslmode: "verify-full" needs listen.tls.client_ca
    lockkeeper.toml:14: upstream.hosts: "*" is no server: name a host
    lockkeeper.toml:14: upstream.hosts: port 0 is no server's: allowed is 1 to 65535
    lockkeeper.toml:15: upstream.sslnegotiation: "direct" needs upstream.sslmode "require", "verify-ca" or "verify-full"
    lockkeeper.toml:16: upstream.connect_timeout: expected a duration such as "100ms" (us, ms, s, min, h, d), found an integer
    lockkeeper.toml:17: upstream.sslcert: needs upstream.sslkey
    lockkeeper.toml:20: limits.idle_timeout: unit "minutes" is not known, allowed are us, ms, s, min, h, d ("off" is allowed too)
    lockkeeper.toml:21: limits.statement_inspect_max: unit "T" is not known, allowed are B, kB, MB, GB, TB
    lockkeeper.toml:22: limits.connections: expected a whole number, found a string ("off" is allowed too)
    lockkeeper.toml:25: guard.mode: expected one of "enforce", "observe", "off"; did you mean "enforce"?
    lockkeeper.toml:26: guard.max_stall: expected a whole number and a unit (us, ms, s, min, h, d), such as "100ms"
    lockkeeper.toml:27: guard.backoff_min: 1min is more than guard.backoff_max, 2s
    lockkeeper.toml:28: guard.patience: each patience must be at least as long as the one before
    lockkeeper.toml:31: control.url: expected postgres://user:password@host:port/database, or key=value pairs
    lockkeeper.toml:36: nonsense: unknown key; known here are listen, listen.tls, upstream, control, ledger, auth, limits, guard, bulk, operator, log, stop
    lockkeeper.toml:39: stop.deadline: expected a duration such as "100ms" (us, ms, s, min, h, d), found a table
    lockkeeper.toml:46: rule.2.databse: unknown key; did you mean "database"?
    lockkeeper.toml:47: rule.2.allow: create-index-blocking: expected a reason between quotes
    lockkeeper.toml:51: rule.3.allow: there is no hazard "create-index-bloking"; did you mean "create-index-blocking"?
    lockkeeper.toml:51: rule.3.allow: there is no hazard "nonsense"
    "#);
}

#[test]
fn where_certificates_are_verified_is_said() {
    let said = problems("[control]\nurl = \"postgres://me@db/postgres?sslmode=verify-full\"\n");
    assert!(said.contains("say verify-ca or verify-full there"), "{said}");
    assert!(!said.contains("me@db"), "no part of it is repeated: {said}");
}

#[test]
fn peak_hours_are_checked() {
    let said = problems(
        r#"
[guard]
hazards = { drop-table = "holdd" }

[operator]
frozen_work = "stop"
override_roles = [""]
socket_directory = "/a/path/that/is/longer/than/any/socket/may/have/a/path/that/is/longer/than/any/socket/may/have"

[[peak]]
days = "mon-funday"
from = "8:00"
to = "24:01"
time_zone = "Europe/Berln"
strong = "hodl"
hold_for = "0s"
colour = "red"

[[peak]]
from = "08:00"
to = "08:00"
time_zone = "europe/berlin"
form = "1"

[[peak]]
days = ["mon", "wed-fri"]
to = "08:00"

[[peak]]
from = "24:00"
to = "08:00"
"#,
    );
    insta::assert_snapshot!(said, @r#"
    lockkeeper.toml:3: guard.hazards: drop-table: expected one of "pass", "warn", "plan", "hold", "refuse"
    lockkeeper.toml:6: operator.frozen_work: expected one of "hold", "refuse", "warn"
    lockkeeper.toml:7: operator.override_roles: expected a name or a pattern with "*", found nothing
    lockkeeper.toml:8: operator.socket_directory: the socket's path would have 124 bytes, at most 107 are possible
    lockkeeper.toml:11: peak.1.days: "funday" is no day: expected mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily
    lockkeeper.toml:12: peak.1.from: expected a time of day from "00:00" to "24:00"
    lockkeeper.toml:13: peak.1.to: expected a time of day from "00:00" to "24:00"
    lockkeeper.toml:14: peak.1.time_zone: there is no time zone "Europe/Berln"; did you mean "Europe/Berlin"?
    lockkeeper.toml:15: peak.1.strong: expected one of "hold", "refuse", "warn"; did you mean "hold"?
    lockkeeper.toml:16: peak.1.hold_for: 0 is out of range: allowed is 1ms to 7d
    lockkeeper.toml:17: peak.1.colour: unknown key; known here are days, from, to, time_zone, strong, bulk, destructive, hold_for
    lockkeeper.toml:21: peak.2.to: is the same as peak.2.from; a whole day is "00:00" to "24:00"
    lockkeeper.toml:23: peak.2.form: unknown key; did you mean "from"?
    lockkeeper.toml:26: peak.3.from: is missing: a window needs "from" and "to"
    lockkeeper.toml:30: peak.4.from: a day ends at 24:00; the next one begins at "00:00"
    "#);
    assert_eq!(
        problems("[peak]\nfrom = \"08:00\"\n"),
        "lockkeeper.toml:1: peak: is a list of peaks: write [[peak]]"
    );
    assert_eq!(problems("[[peaks]]\n"), "lockkeeper.toml:1: peaks: unknown key; did you mean \"peak\"?");
    let night = "[[peak]]\ndays = \"fri,sat\"\nfrom = \"22:00\"\nto = \"04:00\"\ntime_zone = \"europe/berlin\"\nhold_for = \"off\"\n";
    let loaded = load_text(&Sources::default(), night).expect("valid");
    let windows = &loaded.settings.sessions.hours.schedule.windows;
    assert_eq!(windows[0].to_string(), "fri,sat 22:00-04:00 Europe/Berlin");
    assert_eq!(windows[0].hold_for, None);
}

#[test]
fn what_is_no_toml_has_its_line() {
    insta::assert_snapshot!(problems("[listen]\nport = 1\nport = 2\n"), @r#"lockkeeper.toml:3: not TOML: duplicate key"#);
    insta::assert_snapshot!(problems("[listen]\nport = = 2\n"), @r#"lockkeeper.toml:2: not TOML: extra `=`, expected nothing"#);
}

#[test]
fn secrets_are_never_shown() {
    let text = "[control]\nurl = \"postgres://u:hunter2@h/d\"\n";
    let loaded = load_text(&Sources::default(), text).expect("valid");
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let shown = loaded.file.shown();
    let url = shown.iter().find(|shown| shown.path == "control.url").expect("known");
    assert_eq!(url.value, "\"(secret)\"");
    for text in [
        "[control]\nurl = 12345678\n",
        "[control]\nurl = \"hunter2 x\"\n",
        "[control]\nurl = [\"hunter2\"]\n",
    ] {
        let said = problems(text);
        assert!(!said.contains("hunter2") && !said.contains("12345678"), "{said}");
    }
}

#[test]
fn later_sources_win() {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let text = "[upstream]\nhosts = [\"file:1\"]\n[guard]\nmax_stall = \"1s\"\n";
    let flag =
        |key: &str, value: &str| FlagValue { flag: "--set", key: key.to_owned(), value: value.to_owned() };
    let shown = |sources: &Sources, text: &str, path: &str| {
        let (file, problems) = sources.read_text(text);
        assert_eq!(problems, []);
        let shown = file.shown();
        let shown = shown.iter().find(|shown| shown.path == path).expect("known");
        format!("{} ({})", shown.value, shown.source)
    };
    let mut sources = Sources::default();
    let hosts = "upstream.hosts";
    let mut said = vec![shown(&sources, "", hosts)];
    sources.environment = pairs(&[("PGHOST", "pg1,/run/pg"), ("PGPORT", "5433,5434")]);
    said.push(shown(&sources, "", hosts));
    sources.environment = pairs(&[("PGPORT", "5433")]);
    said.push(shown(&sources, "", hosts));
    said.push(shown(&sources, text, hosts));
    sources.environment =
        pairs(&[("LOCKKEEPER_UPSTREAM_HOSTS", "env:1, env:2"), ("LOCKKEEPER_GUARD_MAX_STALL", "2s")]);
    said.push(shown(&sources, text, hosts));
    said.push(shown(&sources, text, "guard.max_stall"));
    sources.flags = vec![flag("guard.max_stall", "3s")];
    said.push(shown(&sources, text, "guard.max_stall"));
    insta::assert_snapshot!(said.join("\n"), @r#"
    ["127.0.0.1:5432"] (default)
    ["pg1:5433", "unix:/run/pg:5434"] (env PGHOST)
    ["127.0.0.1:5433"] (env PGPORT)
    ["file:1"] (line 2)
    ["env:1", "env:2"] (env LOCKKEEPER_UPSTREAM_HOSTS)
    "2s" (env LOCKKEEPER_GUARD_MAX_STALL)
    "3s" (--set)
    "#);

    sources.environment = pairs(&[("LOCKKEEPER_GUARD_MODE", "x"), ("PGHOST", "a,b,c"), ("PGPORT", "1,2")]);
    sources.flags = vec![flag("guard.max_stal", "3s"), flag("listen.port", "none")];
    let error = load_text(&sources, "").expect_err("four problems");
    insta::assert_snapshot!(error, @r#"
    environment variable PGHOST: upstream.hosts: PGPORT names 2 ports for 3 hosts
    environment variable LOCKKEEPER_GUARD_MODE: guard.mode: expected one of "enforce", "observe", "off"
    --set: guard.max_stal: unknown key; did you mean "guard.max_stall"?
    --set: listen.port: expected a whole number up to 65535
    "#);
}

#[test]
fn only_near_misses_among_the_variables_are_told() {
    let names = [
        "LOCKKEEPER_GUARD_MAX_STAL",
        "LOCKKEEPER_PORT_6432_TCP",
        "LOCKKEEPER_SERVICE_HOST",
        "LOCKKEEPER_PG_BIN",
    ];
    let environment = names.map(|name| (name.to_owned(), "x".to_owned())).into();
    let sources = Sources { environment, ..Sources::default() };
    let told = sources.misspelt_variables();
    assert_eq!(told, [("LOCKKEEPER_GUARD_MAX_STAL".to_owned(), "LOCKKEEPER_GUARD_MAX_STALL".to_owned())]);
}

#[test]
fn changes_that_need_a_restart_are_told_apart() {
    let sources = Sources::default();
    let load = |text: &str| load_text(&sources, text).expect("valid");
    let old = load("[guard]\nmode = \"observe\"\n[[rule]]\nuser = \"a\"\n");
    let new = load("[listen]\nport = 7000\n[guard]\nmode = \"off\"\n");
    let changes = old.changes(&new);
    assert_eq!(changes.needs_restart, ["listen.port"]);
    assert!(
        changes.taken_up.contains(&"guard.mode".to_owned())
            && changes.taken_up.contains(&"rule.1.user".to_owned())
    );
    let none = new.changes(&new);
    assert!(none.taken_up.is_empty() && none.needs_restart.is_empty());
}
