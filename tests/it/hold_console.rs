//! The console: psql on the database `lockkeeper`, with users of its own.

use std::fmt::Write as _;
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::certificates::Authority;
use crate::support::eventually;
use crate::support::programs::{Ran, psql, run};
use crate::support::raw::{self, Raw};
use crate::support::stage::{Stage, Way};

/// A stage whose proxy has a console for `ann`.
struct Consoled {
    stage: Stage,
    folder: TempDir,
}

impl Consoled {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let users = folder.path().join("users.txt");
        std::fs::write(&users, "").expect("written");
        let config = format!("[operator]\nconsole_users = {:?}\n{more}", users.display().to_string());
        let consoled = Self { stage: Stage::with(&config), folder };
        consoled.let_in(&["ann"]);
        consoled
    }

    /// Writes the file of users anew; their password is `right`.
    fn let_in(&self, users: &[&str]) {
        let mut text = String::new();
        for user in users {
            let sql = [
                format!("CREATE ROLE \"{user}\" PASSWORD 'right'"),
                format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'"),
                format!("DROP ROLE \"{user}\""),
            ];
            let mut admin = self.stage.straight();
            admin.all(&[&sql[0]]);
            writeln!(text, "\"{user}\" \"{}\"", admin.table(&sql[1])).expect("a line");
            admin.all(&[&sql[2]]);
        }
        std::fs::write(self.users(), text).expect("written");
    }

    fn users(&self) -> PathBuf {
        self.folder.path().join("users.txt")
    }

    fn psql(&self, conninfo: &str, commands: &[&str]) -> Ran {
        let port = self.stage.proxy.addr().port();
        let conninfo = format!("host=localhost hostaddr=127.0.0.1 port={port} dbname=lockkeeper {conninfo}");
        let mut command = psql(&self.stage.cluster, &conninfo);
        for one in commands {
            command.args(["-c", one]);
        }
        run(command)
    }

    fn ann(&self, commands: &[&str]) -> Ran {
        self.psql("user=ann password=right", commands)
    }
}

#[test]
fn a_freeze_by_psql() {
    let consoled = Consoled::new();
    assert_eq!(consoled.ann(&["SHOW FREEZE"]).ok(), "");
    consoled.ann(&["FREEZE 'it''s on fire' FOR '2h';"]).ok();
    let shown = consoled.ann(&["SHOW FREEZE"]).ok();
    assert!(shown.starts_with("it's on fire|ann|2"), "{shown}");
    let mut client = consoled.stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD c int");
    let told = eventually("the word that it is held", || {
        let frame = client.raw.frame();
        (frame.tag == b'N').then_some(frame)
    });
    assert!(told.field(b'D').expect("a detail").contains("Frozen by ann: it's on fire."), "{told:?}");
    let status = consoled.ann(&["SHOW STATUS"]).ok();
    assert!(status.contains("|held|ALTER TABLE|postgres|postgres|"), "{status}");
    consoled.ann(&["THAW"]).ok();
    assert_eq!(client.answer().tag(), "ALTER TABLE");
    let status = consoled.ann(&["SHOW STATUS"]).ok();
    assert!(status.contains("|done|ALTER TABLE|postgres|postgres|"), "{status}");
    consoled.stage.through().all(&["CREATE INDEX ON orders (note)"]);
    let steps = consoled.ann(&["SHOW STEPS"]).ok();
    assert!(steps.contains("|1|CREATE INDEX|ShareUpdateExclusiveLock|done|"), "{steps}");
    assert!(consoled.ann(&["SHOW HELP"]).ok().contains("THAW|end the freeze"));
}

#[test]
fn peak_hours_by_psql() {
    let consoled = Consoled::with("[[peak]]\nfrom = \"00:00\"\nto = \"24:00\"\nbulk = \"warn\"\n");
    let shown = consoled.ann(&["SHOW PEAK"]).ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(
        lines[0].starts_with("daily 00:00-24:00 UTC||2") && lines[0].ends_with("|hold|warn|hold"),
        "{shown}"
    );
}

#[test]
fn only_its_own_users_come_in() {
    let consoled = Consoled::new();
    for who in ["user=ann password=wrong", "user=eve password=right", "user=postgres password=right"] {
        let ran = consoled.psql(who, &["SHOW STATUS"]);
        assert_eq!(ran.code, 2, "{who}: {}", ran.stdout);
        assert!(ran.stderr.contains("password authentication failed for user"), "{who}: {}", ran.stderr);
    }
    // Who was taken out stays out, who was put in comes in, without a word to the proxy.
    consoled.let_in(&["bob"]);
    assert_eq!(consoled.ann(&["SHOW FREEZE"]).code, 2);
    assert_eq!(consoled.psql("user=bob password=right", &["SHOW FREEZE"]).code, 0);
}

#[test]
fn without_users_the_database_is_the_servers() {
    let stage = Stage::new();
    let mut client = Raw::connect(stage.proxy.addr());
    client.send(&raw::startup(raw::PROTOCOL_3_0, &[("user", "postgres"), ("database", "lockkeeper")]));
    let error = client.until_end().into_iter().find(|frame| frame.tag == b'E').expect("an error");
    assert_eq!(error.sqlstate(), "3D000");
}

#[test]
fn several_commands_of_a_line() {
    let consoled = Consoled::new();
    let ran = consoled.ann(&["FREEZE 'a; b' FOR '2min'; SHOW FREEZE; THAW; SHOW FREEZE;"]).ok();
    let rows: Vec<&str> = ran.lines().filter(|line| line.contains('|')).collect();
    assert_eq!(rows.len(), 1, "{ran}");
    assert!(rows[0].starts_with("a; b|ann|2"), "{ran}");
    // Where one cannot be read none is carried out; where one fails those before it have been.
    assert_eq!(consoled.ann(&["FREEZE 'x'; SHOW TABLES"]).code, 1);
    assert_eq!(consoled.ann(&["SHOW FREEZE"]).ok(), "");
    let failed = consoled.ann(&["FREEZE 'x'; FREEZE ''; THAW"]);
    assert!(failed.stderr.contains("a freeze needs a reason"), "{}", failed.stderr);
    assert!(consoled.ann(&["SHOW FREEZE"]).ok().starts_with("x|ann|2"));
}

#[test]
fn what_is_wrong_is_said_precisely() {
    let consoled = Consoled::new();
    for (command, told) in [
        (
            "FREEZE orders FOR '2m'",
            "the reason of a freeze stands in quotes: FREEZE 'the replica lags' FOR '2min'; it holds for all tables",
        ),
        ("FREEZE", "a freeze needs a reason, which stands in quotes"),
        ("FREEZE FOR '2m'", "a freeze needs a reason, which stands in quotes"),
        ("FREEZE 'x' FOR 2m", "how long a freeze lasts stands in quotes: FREEZE 'reason' FOR '2h'"),
        (
            "FREEZE 'x' FOR '2m'",
            "how long a freeze lasts cannot be read: unit \"m\" is not known, allowed are us, ms, s, min, h, d",
        ),
        ("FREEZE 'x' CANCEL", "nothing stands but FOR '2h' and CANCEL RUNNING"),
        ("FREEZE 'x' CANCEL RUNNING FOR '2m'", "in this order"),
        ("THAW orders", "nothing stands behind THAW"),
        ("SHOW", "SHOW wants to know what"),
        ("SHOW POOLS", "SHOW knows HELP, STATUS, STEPS, BULK, FREEZE and PEAK, not POOLS"),
    ] {
        let ran = consoled.ann(&[command]);
        assert!(ran.code == 1 && ran.stderr.contains(told), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains("HINT:  SHOW HELP lists what there is"), "{command}: {}", ran.stderr);
    }
}

/// What a driver would send, and what nobody should.
#[test]
fn what_it_does_not_know_is_an_error() {
    let consoled = Consoled::new();
    let ran = consoled.ann(&["SELECT 1"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("the console does not know this command"), "{}", ran.stderr);
    assert!(consoled.ann(&["FREEZE 'x' FOR 'ever'"]).stderr.contains("ERROR"));
    assert!(consoled.ann(&["FREEZE ''"]).stderr.contains("a freeze needs a reason"));
    assert_eq!(consoled.ann(&["", ";", "SHOW FREEZE"]).code, 0);
    let endless = vec![b'p'; 70_000];
    for nonsense in [&b"p\0\0\0\x04"[..], b"Q\0\0\0\x05\0", b"\0\0\0\0\0", &endless] {
        let mut client = Raw::connect(consoled.stage.proxy.addr());
        client.send(&raw::startup(raw::PROTOCOL_3_2, &[("user", "ann"), ("database", "lockkeeper")]));
        client.send(nonsense);
        let last = client.until_end();
        assert!(last.iter().any(|frame| frame.tag == b'E'), "{last:?}");
        assert!(last.iter().all(|frame| frame.tag != b'Z'), "{last:?}");
    }
    assert_eq!(consoled.ann(&["SHOW FREEZE"]).code, 0);
}

#[test]
fn it_is_there_when_all_else_is_full_and_ends_with_the_proxy() {
    let mut consoled = Consoled::with("[limits]\nconnections = 1\n");
    let _only = consoled.stage.through();
    assert_eq!(consoled.ann(&["SHOW FREEZE"]).code, 0);
    consoled.stage.proxy.signal(Signal::INT);
    assert!(consoled.stage.proxy.wait().success());
}

#[test]
fn proofs_are_bound_to_the_channel() {
    let authority = Authority::new();
    let issued = authority.server("server");
    let tls = format!(
        "[listen.tls]\nsslmode = \"allow\"\ncert = {:?}\nkey = {:?}\n",
        issued.certificate.display().to_string(),
        issued.key.display().to_string()
    );
    let consoled = Consoled::with(&tls);
    for more in [
        "sslmode=require channel_binding=require",
        "sslmode=require channel_binding=disable",
        "sslmode=disable",
    ] {
        let ran = consoled.psql(&format!("user=ann password=right {more}"), &["SHOW FREEZE"]);
        assert_eq!(ran.code, 0, "{more}: {}", ran.stderr);
        let ran = consoled.psql(&format!("user=ann password=wrong {more}"), &["SHOW FREEZE"]);
        assert_eq!(ran.code, 2, "{more}");
    }
}
