//! What peak hours and freezes make of decisions.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::catalogue::facts;
use crate::hazard::HazardSetting;
use crate::judge::policy::Overriding;
use crate::judge::{Curbed, Decision, Judgement, Mode, Moment, Policy, Standing, decide};
use crate::peak::{Cause, Curb, Force, InForce, Treatment, Treatments};
use crate::sql::{Encoding, parse};

fn window(treatments: Treatments) -> Curb {
    Curb {
        cause: Cause::Peak { window: "daily 08:00-20:00 UTC".into() },
        treatments,
        hold_for: Some(Duration::from_hours(1)),
        until: None,
        zone: TimeZone::UTC,
        force: Force::Binding,
    }
}

/// Each kind of work is treated in another way, so that the decision tells which it is.
fn telling() -> Treatments {
    Treatments { strong: Treatment::Hold, bulk: Treatment::Warn, destructive: Treatment::Refuse }
}

fn judged(text: &str, standing: Standing, curbs: Vec<Curb>, policy: &Policy) -> Judgement {
    let script = parse(text.as_bytes(), Encoding::Utf8);
    decide(&script, &facts(150_018), &Moment::new(standing).under(InForce(curbs)), policy)
}

fn course(judgement: &Judgement) -> &'static str {
    match (&judgement.decision, &judgement.curbed) {
        (Decision::Hold(_), Some(Curbed::Held)) => "hold",
        (Decision::Refuse(error), Some(Curbed::Refused)) if error.code.as_str() == "55000" => "refuse",
        (Decision::Refuse(_), None) => "refused anyway",
        (_, Some(Curbed::Overridden(_))) => "override",
        _ if judgement.notices.iter().any(|notice| notice.message.contains("although peak hours")) => "warn",
        _ if judgement.notices.iter().any(|notice| notice.message.contains("would be")) => "told",
        _ => "pass",
    }
}

/// Small tables are as others here, and what destroys data is not refused for that alone.
fn policy() -> Policy {
    let pass = ["drop-table", "drop-column", "truncate-table", "vacuum-full"];
    let hazards = pass.iter().map(|id| ((*id).to_owned(), HazardSetting::Pass)).collect();
    Policy { small_table: 0, hazards, ..Policy::default() }
}

#[test]
fn what_is_strong_bulk_or_destructive() {
    for (text, expected) in [
        ("ALTER TABLE orders ADD c int", "hold"),
        ("LOCK TABLE orders", "hold"),
        ("CREATE INDEX ON orders (no)", "warn"),
        ("CREATE INDEX CONCURRENTLY ON orders (no)", "warn"),
        ("DROP INDEX orders_no_idx", "warn"),
        ("REINDEX TABLE orders", "warn"),
        // It is built under its lock.
        ("CREATE INDEX ON events (no)", "hold"),
        // A lock for a moment, and the reading behind it.
        ("ALTER TABLE orders ADD CONSTRAINT c CHECK (no > 0)", "hold"),
        ("ALTER TABLE orders VALIDATE CONSTRAINT c", "warn"),
        ("DROP TABLE orders", "refuse"),
        ("ALTER TABLE orders DROP no", "refuse"),
        ("TRUNCATE orders", "refuse"),
        ("BEGIN; DROP TABLE orders; COMMIT", "refuse"),
        ("VACUUM FULL orders", "hold"),
        ("CREATE EXTENSION hstore", "hold"),
        ("DO $$ BEGIN EXECUTE x; ALTER TABLE orders ADD c int; END $$", "hold"),
        ("DO $$ BEGIN DROP TABLE orders; END $$", "refuse"),
        // What nobody else can see, what is not there, and what runs later.
        ("ALTER TABLE scratch ADD c int", "pass"),
        ("DROP TABLE scratch", "pass"),
        ("DROP TABLE nowhere", "pass"),
        ("CREATE INDEX IF NOT EXISTS orders_no_idx ON orders (no)", "pass"),
        ("CREATE TABLE made (id int)", "pass"),
        ("CREATE TABLE made (id int); ALTER TABLE made ADD c int; DROP TABLE made", "pass"),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE orders; END $$", "pass"),
        ("SELECT 1", "pass"),
    ] {
        let standing = if text.starts_with("LOCK") { IN_BLOCK } else { Standing::Outside };
        let judgement = judged(text, standing, vec![window(telling())], &policy());
        assert_eq!(course(&judgement), expected, "{text}: {judgement:?}");
    }
}

const IN_BLOCK: Standing = Standing::Explicit { holds_strong: false };

#[test]
fn small_tables_are_read_in_no_time_and_locked_all_the_same() {
    let policy = Policy { small_table: u64::MAX, ..policy() };
    let course_of = |text| course(&judged(text, Standing::Outside, vec![window(telling())], &policy));
    assert_eq!(course_of("ALTER TABLE orders VALIDATE CONSTRAINT c"), "pass");
    assert_eq!(course_of("ALTER TABLE orders ADD c int"), "hold");
}

#[test]
fn circumstances() {
    const ALTER: &str = "ALTER TABLE orders ADD c int";
    let holds = Standing::Explicit { holds_strong: true };
    let told = Curb { force: Force::Told, ..window(telling()) };
    let off = Policy { mode: Mode::Off, ..policy() };
    let observe = Policy { mode: Mode::Observe, ..policy() };
    let overriding =
        Policy { overriding: Overriding::Allowed, override_for: Some("T: why".into()), ..policy() };
    let hazard = |setting| Policy { hazards: vec![("lock-queue".to_owned(), setting)], ..policy() };
    let mild = window(Treatments::all(Treatment::Warn));
    let cases = [
        ("in a block", IN_BLOCK, window(telling()), policy(), "hold"),
        ("among strong locks", holds, window(telling()), policy(), "refuse"),
        ("told", Standing::Outside, told.clone(), policy(), "told"),
        ("told, among strong locks", holds, told, policy(), "told"),
        ("mode off", Standing::Outside, window(telling()), off, "hold"),
        ("mode observe", Standing::Outside, window(telling()), observe, "hold"),
        ("override", Standing::Outside, window(telling()), overriding, "override"),
        ("hazard that waits", Standing::Outside, mild.clone(), hazard(HazardSetting::Hold), "hold"),
        ("hazard that does not", Standing::Outside, mild, hazard(HazardSetting::Plan), "warn"),
        (
            "hazard refused",
            Standing::Outside,
            window(telling()),
            hazard(HazardSetting::Refuse),
            "refused anyway",
        ),
    ];
    for (name, standing, curb, policy, expected) in cases {
        let judgement = judged(ALTER, standing, vec![curb], &policy);
        assert_eq!(course(&judgement), expected, "{name}: {judgement:?}");
    }
    let nothing = judged(ALTER, Standing::Outside, vec![], &hazard(HazardSetting::Hold));
    assert_eq!(course(&nothing), "pass");
}

#[test]
fn words() {
    let freeze = Curb {
        cause: Cause::Freeze { reason: "incident 7.".into(), by: "ann".into() },
        until: Some("2026-11-23T20:00:30Z".parse().expect("a moment")),
        ..window(telling())
    };
    let show = |text: &str, curb: &Curb| {
        let judgement = judged(text, Standing::Outside, vec![curb.clone()], &policy());
        let notice = match judgement.decision {
            Decision::Hold(hold) => hold.told,
            Decision::Refuse(error) => error,
            _ => judgement.notices.last().expect("a word").clone(),
        };
        let part = |part: Option<String>| part.unwrap_or_default();
        format!("{}\n  {}\n  {}", notice.message, part(notice.detail), part(notice.hint))
    };
    let all = [
        show("ALTER TABLE orders ADD c int", &freeze),
        show("DROP TABLE orders", &window(telling())),
        show("CREATE INDEX ON orders (no)", &window(telling())),
    ];
    let all: Vec<&str> = all.iter().flat_map(|one| one.lines()).map(str::trim_end).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    ALTER TABLE is held: the proxy is frozen until 2026-11-23 20:00:30 UTC
      It locks out reads or writes. Frozen by ann: incident 7. It waits outside every lock queue; nothing is locked meanwhile.
      It goes on by itself. Cancel it if it cannot wait. Roles named in operator.override_roles may SET lockkeeper.override = 'ticket: why' to pass.
    DROP TABLE is refused: peak hours are in force
      It destroys data. The window is daily 08:00-20:00 UTC.
      Try again later. Roles named in operator.override_roles may SET lockkeeper.override = 'ticket: why' to pass.
    CREATE INDEX runs although peak hours are in force
      It reads or writes a whole table. The window is daily 08:00-20:00 UTC.
    "#);
}
