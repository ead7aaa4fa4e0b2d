//! The configuration as written: every section, key, default and range.
//!
//! This is the one table from which the reading, the reference, the example file and `lockkeeper config` come.
//! A key's text says what it is for; its unit, range and default are added by the generator.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::base::{Period, Size};

use super::address::Address;
use super::bulk::Names;
use super::hazards::{Hazards, Tables};
use super::key::{Key, Raw, Section, Shown, Source, section};
use super::peak::{Peak, Roles};
use super::rule::Rule;
use super::value::{Auto, Count, FileMode, List};
use super::word::{
    AloneWord, ClientSslMode, DeferredWord, InTransactionWord, InstallWord, LogFormat, MissingWord, ModeWord,
    Oversize, SslNegotiation, TargetSessionAttrs, TreatmentWord, UpstreamSslMode,
};

section! {
    /// Where clients connect.
    ["listen"] Listen {
        /// Addresses to listen on: `host`, `host:port`, `*` for every address of the machine, or `unix:/directory` for a
        /// Unix-domain socket `.s.PGSQL.<port>` in that directory. Port 0 takes any free port; it is printed at the start.
        addresses: List<Address> = List(vec![Address::Tcp { host: "127.0.0.1".into(), port: None }]) => restart;
        /// The port of addresses that name none.
        port: u16 = 6432 => restart;
        /// How many connections may wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`).
        backlog: Count = 4096, in 1..=65_535 => restart;
        /// Lets several processes listen on one port (`SO_REUSEPORT`), for a restart without a gap. A process that is told to
        /// stop then closes its listeners at once, so that new connections reach the other one.
        reuse_port: bool = false => restart;
        /// Permissions of Unix-domain sockets.
        unix_mode: FileMode = FileMode(0o777) => restart;
        /// How long a client may take from connecting until its login is sent on to Postgres.
        startup_timeout: Period = Period::seconds(60), in Period::millis(100)..=Period::hours(1);
        /// Idle time after which the kernel asks whether the client is still there.
        keepalive_idle: Period = Period::minutes(2), in Period::seconds(1)..=Period::hours(9) => restart;
        /// Time between two such questions.
        keepalive_interval: Period = Period::seconds(15), in Period::seconds(1)..=Period::hours(9) => restart;
        /// Unanswered questions after which the client counts as gone.
        keepalive_count: Count = 4, in 1..=127 => restart;
        /// How long sent bytes may stay unacknowledged before the client counts as gone.
        tcp_user_timeout: Option<Period> = None, in Period::seconds(1)..=Period::hours(24) => restart;
    }
}

section! {
    /// TLS towards clients. Certificates are read again at a reload.
    ["listen.tls"] ListenTls {
        /// `disable`, `allow` (both TLS and plain text), `require` (plain text is refused), `verify-ca` (clients must show a
        /// certificate signed by `client_ca`), `verify-full` (its common name must be the user's name too). Unix-domain sockets
        /// have no TLS, as in Postgres, and are served all the same: `listen.unix_mode` says who may connect there.
        sslmode: ClientSslMode = ClientSslMode::Disable;
        /// The certificate chain in PEM.
        cert: Option<PathBuf> = None, example "/etc/lockkeeper/server.crt";
        /// Its private key in PEM.
        key: Option<PathBuf> = None, example "/etc/lockkeeper/server.key";
        /// Certificate authorities of client certificates, in PEM.
        client_ca: Option<PathBuf> = None, example "/etc/lockkeeper/clients.crt";
    }
}

section! {
    /// The Postgres servers behind the proxy.
    ["upstream"] Upstream {
        /// Servers, tried in this order: `host`, `host:port` or `unix:/directory`. Without a file and a flag, `PGHOST` and
        /// `PGPORT` say it.
        hosts: List<Address> = List(vec![Address::Tcp { host: "127.0.0.1".into(), port: Some(5432) }]);
        /// TLS towards Postgres, in libpq's words: `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`.
        sslmode: UpstreamSslMode = UpstreamSslMode::Prefer;
        /// Certificate authorities in PEM, or `system` for those of the operating system.
        sslrootcert: Option<PathBuf> = None, example "/etc/lockkeeper/root.crt";
        /// A client certificate to show to Postgres, in PEM.
        sslcert: Option<PathBuf> = None, example "/etc/lockkeeper/client.crt";
        /// Its private key in PEM.
        sslkey: Option<PathBuf> = None, example "/etc/lockkeeper/client.key";
        /// `postgres` asks first, `direct` begins TLS at once (Postgres 17 and later, `sslmode` `require` or stricter).
        sslnegotiation: SslNegotiation = SslNegotiation::Postgres;
        /// Which of several hosts will do: `any`, `read-write`, `read-only`, `primary`, `standby`, `prefer-standby`.
        target_session_attrs: TargetSessionAttrs = TargetSessionAttrs::Any;
        /// How long connecting to one host may take.
        connect_timeout: Period = Period::seconds(10), in Period::millis(10)..=Period::minutes(10);
        /// Idle time after which the kernel asks whether Postgres is still there.
        keepalive_idle: Period = Period::minutes(2), in Period::seconds(1)..=Period::hours(9);
        /// Time between two such questions.
        keepalive_interval: Period = Period::seconds(15), in Period::seconds(1)..=Period::hours(9);
        /// Unanswered questions after which Postgres counts as gone.
        keepalive_count: Count = 4, in 1..=127;
        /// How long sent bytes may stay unacknowledged before Postgres counts as gone.
        tcp_user_timeout: Option<Period> = None, in Period::seconds(1)..=Period::hours(24);
    }
}

section! {
    /// The proxy's own connection, by which it reads catalogues and watches locks.
    ["control"] Control {
        /// Whether there is one. Without it the proxy still guards, but sees less.
        enabled: bool = true;
        /// `postgres://user:password@host/database`, never shown. Without it libpq's variables (`PGHOST`, `PGUSER`,
        /// `PGPASSWORD`, ..) and password file say how to connect. With `?channel_binding=require` the password serves only for
        /// SCRAM bound to the server's certificate, and no server gets it by asking for it.
        url: Option<SecretString> = None, example "postgres://lockkeeper@127.0.0.1:5432/postgres";
    }
}

section! {
    /// Schema `lockkeeper`, in which each database keeps what a transaction has queued to be run after its COMMIT.
    ["ledger"] Ledger {
        /// `auto` installs it at first need, where the role of the control connection may create schemas; with `off`, and where that role may not,
        /// `lockkeeper init` does it.
        install: InstallWord = InstallWord::Auto;
    }
}

section! {
    /// Logins that cannot pass through: the proxy then authenticates clients itself, by SCRAM-SHA-256.
    ["auth"] Auth {
        /// A file of lines `"user" "SCRAM-SHA-256$..."`.
        verifier_file: Option<PathBuf> = None, example "/etc/lockkeeper/users.txt";
        /// A query under the proxy's own role that returns the verifier of the user `$1`.
        verifier_query: Option<String> = None, example "SELECT rolpassword FROM pg_authid WHERE rolname = $1";
    }
}

section! {
    /// Bounds on what clients may use.
    ["limits"] Limits {
        /// Sessions in total; more are refused with SQLSTATE 53300.
        connections: Option<Count> = Some(5_000), in 1..=1_000_000;
        /// Sessions of one user; more are refused with SQLSTATE 53300.
        connections_per_user: Option<Count> = None, in 1..=1_000_000;
        /// The longest statement that is read and guarded; a longer one is only looked through.
        statement_inspect_max: Size = Size::megabytes(1), in Size::kilobytes(1)..=Size::megabytes(1024);
        /// What becomes of a longer one that may lock tables: `refuse` (with the session, if a part of it was sent on) or `pass`.
        oversize: Oversize = Oversize::Refuse;
        /// Idle time outside a transaction after which a session is ended with SQLSTATE 57P05.
        idle_timeout: Option<Period> = None, in Period::seconds(1)..=Period::hours(720);
        /// Threads that serve sessions; `"auto"` is one for each core.
        workers: Auto<Count> = Auto(None), in 1..=1024 => restart;
    }
}

section! {
    /// How far the proxy goes. A `[[rule]]` may say otherwise for a database, a user or an application.
    ["guard"] Guard {
        /// `enforce` changes what is unsafe, `observe` changes nothing and says what it would have done, `off` is a wire.
        mode: ModeWord = ModeWord::Enforce;
        /// The longest that an application's query may wait behind a statement that came through the proxy.
        max_stall: Period = Period::millis(100), in Period::millis(1)..=Period::minutes(10);
        /// How long a statement that finds its table busy is tried again before the client gets the error.
        retry_for: Period = Period::minutes(10), in Period::millis(0)..=Period::hours(168);
        /// What becomes of work that would take long under the locks of an open transaction, such as an index build: `defer` queues it
        /// with the transaction and does it behind the COMMIT, `refuse` is an error, `warn` runs it as sent with a WARNING.
        in_transaction: InTransactionWord = InTransactionWord::Defer;
        /// When a COMMIT with deferred work behind it is answered: `wait` when that is done, `background` at once.
        deferred: DeferredWord = DeferredWord::Wait;
        /// The ladder of patience: how long each attempt may stand in a lock queue, never longer than nine tenths of `max_stall`. The last
        /// one is kept.
        patience: List<Period> = List(vec![
            Period::millis(5), Period::millis(20), Period::millis(50), Period::millis(100),
        ]), in Period::millis(1)..=Period::minutes(10);
        /// The shortest pause between two attempts; it grows, with jitter.
        backoff_min: Period = Period::millis(50), in Period::millis(1)..=Period::minutes(1);
        /// The longest pause between two attempts.
        backoff_max: Period = Period::seconds(2), in Period::millis(1)..=Period::minutes(10);
        /// What is to become of single hazards, instead of their defaults: `pass` (as it is, under the ladder of patience),
        /// `warn`, `plan` (online, where that is possible), `hold` (the same, and while peak hours or a freeze are in force it waits),
        /// `refuse`: `{ drop-column = "warn" }`.
        hazards: Hazards = Hazards::default();
        /// Tables smaller than that, their partitions counted, are excused from everything but the ladder of patience.
        small_table: Size = Size::megabytes(8), in Size::bytes(0)..=Size::megabytes(1 << 20);
        /// Tables that are never small enough, since every request needs them: `["users", "billing.accounts"]`.
        hot_tables: Tables = Tables::default();
        /// Time between two NOTICEs about the progress of a statement.
        progress_interval: Period = Period::seconds(5), in Period::millis(100)..=Period::hours(1);
    }
}

section! {
    /// `UPDATE` and `DELETE` over many rows, which go batch after batch. What holds a batch back is asked by the control connection,
    /// whose role needs `pg_monitor` to see standbys and sessions of others. A replica that shares the primary's
    /// storage, or that streams from another replica, is not seen.
    ["bulk"] Bulk {
        /// A statement that may touch more rows than these goes in batches.
        rows: Count = 10_000, in 1..=1_000_000_000;
        /// How long a batch is to take; the number of its rows follows. It is never more than half of `guard.max_stall`.
        batch_time: Period = Period::millis(100), in Period::millis(1)..=Period::minutes(10);
        /// The fewest rows of a batch, however long it takes.
        batch_rows_min: Count = 1, in 1..=1_000_000;
        /// The most rows of a batch, however quick it is.
        batch_rows_max: Count = 20_000, in 1..=1_000_000;
        /// The most rows that one statement changes in a second.
        rows_per_second: Option<Count> = None, in 1..=100_000_000;
        /// How far a standby may be behind in time, or need to catch up. From half of that on batches come more slowly, beyond it none
        /// comes.
        replay_lag_max: Option<Period> = Some(Period::seconds(5)), in Period::millis(10)..=Period::hours(24);
        /// The same in WAL that it has not replayed.
        replay_bytes_max: Option<Size> = Some(Size::megabytes(1 << 10)), in Size::kilobytes(64)..=Size::megabytes(1 << 24);
        /// The standbys that count, by their `application_name`: `["replica1"]`. Without names every physical one counts that is connected;
        /// name those that matter where one is late on purpose (`recovery_min_apply_delay`). Subscriptions count where they are named.
        standbys: Names = Names::default();
        /// What becomes of batches while a standby that is named is not connected: `hold` (they wait, since it falls behind), `ignore`.
        missing_standby: MissingWord = MissingWord::Hold;
        /// How long others may wait for rows of a batch; if it was longer, the next one has half as many.
        waiting_max: Option<Period> = Some(Period::millis(50)), in Period::millis(1)..=Period::minutes(10);
        /// The cores of the database's machine, which no server tells. With it, batches come more slowly while more sessions are at
        /// work than `active_per_core` allows.
        cores: Option<Count> = None, in 1..=4096;
        /// Sessions at work for each core: those that neither idle nor wait for a lock or for their client.
        active_per_core: Count = 2, in 1..=1000;
        /// The most WAL in a second; what others write counts too, but a batch comes every ten seconds all the same.
        wal_per_second: Option<Size> = None, in Size::kilobytes(64)..=Size::megabytes(1 << 20);
        /// Whether batches come more slowly when checkpoints come before their time, as they do when WAL outgrows `max_wal_size`.
        checkpoints: bool = true;
        /// The most dead rows of the table, as the server's statistics count them; beyond it batches come more slowly.
        dead_rows_max: Option<Count> = None, in 1_000..=1_000_000_000;
        /// After so many rows of a statement its table is vacuumed before the next batch. It has to read all indexes each time: give it
        /// a tenth of the table or more. Where the role is not the table's owner, it is left to autovacuum.
        vacuum_every: Option<Count> = None, in 1_000..=1_000_000_000;
        /// Whoever has kept dead rows from being cleaned for so long is told in a WARNING: a transaction, a prepared one, a
        /// replication slot, a standby with `hot_standby_feedback`.
        old_snapshot: Option<Period> = Some(Period::minutes(5)), in Period::seconds(1)..=Period::hours(24);
        /// Whether the rows of a `COPY .. FROM STDIN` beyond the first 8 MB are held back by the same signals, peak hours apart: what
        /// its client sends is not read meanwhile, and its transaction stays open.
        copy: bool = true;
        /// The most that is read of a `COPY .. FROM STDIN` in a second.
        copy_bytes_per_second: Option<Size> = None, in Size::kilobytes(64)..=Size::megabytes(1 << 20);
        /// What becomes of a statement whose client is lost, or whose proxy is: `go_on` (a proxy goes on with it, as Postgres itself
        /// would), `stop` (behind the batch that it was at; `lockkeeper resume` goes on). One that is cancelled always stops.
        without_client: AloneWord = AloneWord::GoOn;
    }
}

section! {
    /// What people may do while the proxy runs: `lockkeeper status`, `freeze`, `thaw`, `bulk`, `cancel`, and overrides.
    ["operator"] Operator {
        /// The directory of the control socket, `lockkeeper.<port>.sock` (with `reuse_port` also the process
        /// is in its name), which is the owner's only. Without it there is none, and
        /// the proxy can neither be asked nor frozen. Proxies of one host may share a directory.
        socket_directory: Option<PathBuf> = None, example "/run/lockkeeper" => restart;
        /// Users of the console, which is psql on the database `lockkeeper`, in a file of lines `"user" "SCRAM-SHA-256$..."`. Without it
        /// there is none, and a database of that name is the server's.
        console_users: Option<PathBuf> = None, example "/etc/lockkeeper/console.txt";
        /// What becomes of work that others would feel while the proxy is frozen: `hold`, `refuse` or `warn`.
        frozen_work: TreatmentWord = TreatmentWord::Hold;
        /// How long a statement may be held by a freeze; then it fails with SQLSTATE 55000.
        frozen_hold_for: Option<Period> = Some(Period::hours(12)), in Period::millis(1)..=Period::hours(168);
        /// Roles that may `SET lockkeeper.override = 'ticket: why'`, and so pass peak hours and freezes: `["dba", "oncall_*"]`.
        override_roles: Roles = Roles::default();
    }
}

section! {
    /// What is logged, to standard error.
    ["log"] Log {
        /// `text` for people, `json` for programs.
        format: LogFormat = LogFormat::Text => restart;
        /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,lockkeeper::serve=debug`.
        level: String = "info".into();
    }
}

section! {
    /// A graceful stop (SIGTERM).
    ["stop"] Stop {
        /// How long busy sessions may go on; those that remain are then ended with SQLSTATE 57P01.
        deadline: Period = Period::seconds(25), in Period::millis(0)..=Period::hours(24);
    }
}

/// The list of sections: the file's struct and every walk over it.
macro_rules! sections {
    ($($field:ident: $type:ident = $path:literal),+ $(,)?) => {
        /// The whole configuration, each value with its source.
        #[derive(Debug, Clone, Default)]
        pub struct File {
            $(#[doc = concat!("`[", $path, "]`")] pub $field: $type,)+
            /// `[[rule]]`, the first that matches wins.
            pub rules: Vec<Rule>,
            /// `[[peak]]`
            pub peaks: Vec<Peak>,
        }

        impl File {
            /// The paths of all sections with what they are for and their keys, in the order of the reference.
            pub fn sections() -> Vec<(&'static str, &'static str, Vec<Key>)> {
                vec![$(($path, $type::DOC, $type::keys())),+]
            }

            /// The section with this path.
            pub(super) fn section(&mut self, path: &str) -> Option<&mut dyn Section> {
                match path {
                    $($path => Some(&mut self.$field),)+
                    _ => None,
                }
            }

            /// Every key with its value and source; lists last.
            pub fn shown(&self) -> Vec<Shown> {
                let mut all = Vec::new();
                $(all.extend(self.$field.shown());)+
                all.extend(self.rules.iter().enumerate().flat_map(|(index, rule)| numbered("rule", index, rule)));
                all.extend(self.peaks.iter().enumerate().flat_map(|(index, peak)| numbered("peak", index, peak)));
                all
            }
        }
    };
}

/// The keys of one of several, by its place among them.
fn numbered(list: &str, index: usize, one: &impl Section) -> Vec<Shown> {
    let path = |shown: &Shown| format!("{list}.{}.{}", index + 1, shown.path);
    one.shown().into_iter().map(|shown| Shown { path: path(&shown), ..shown }).collect()
}

sections! {
    listen: Listen = "listen",
    listen_tls: ListenTls = "listen.tls",
    upstream: Upstream = "upstream",
    control: Control = "control",
    ledger: Ledger = "ledger",
    auth: Auth = "auth",
    limits: Limits = "limits",
    guard: Guard = "guard",
    bulk: Bulk = "bulk",
    operator: Operator = "operator",
    log: Log = "log",
    stop: Stop = "stop",
}

impl File {
    /// Sets the key with this path, `guard.max_stall`, from a text.
    pub(super) fn assign(&mut self, key: &Key, text: &str, source: Source) -> Result<(), String> {
        match self.section(key.section) {
            Some(section) => section.assign(key.name, Raw::Text(text), source),
            None => Err("unknown key".to_owned()),
        }
    }
}
