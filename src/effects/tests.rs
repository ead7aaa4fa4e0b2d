//! Which locks others can meet, and what must be looked up for it.

use super::facts::{Facts, IndexFacts, Relation, RelationKind};
use super::*;
use crate::sql::{Encoding, parse};

fn relation(oid: Oid, kind: RelationKind) -> Relation {
    Relation::new(oid, kind)
}

fn facts() -> Facts {
    let index = IndexFacts {
        table: 1,
        table_name: None,
        below: Vec::new(),
        valid: true,
        in_the_making: false,
        backs_constraint: false,
        partitioned: false,
        definition: String::new(),
    };
    Facts {
        server_version: 150_018,
        relations: [
            (RelationName::bare("t"), relation(1, RelationKind::Table)),
            (RelationName::bare("i"), Relation { index: Some(index), ..relation(2, RelationKind::Index) }),
            (RelationName::bare("mine"), Relation { temporary: true, ..relation(3, RelationKind::Table) }),
        ]
        .into(),
        ..Facts::default()
    }
}

fn effects(text: &str) -> Effects {
    of(&parse(text.as_bytes(), Encoding::Utf8).statements[0], &facts(), &Past::nothing())
}

fn shown(text: &str) -> Vec<String> {
    effects(text).strong().map(|it| format!("{} {:?} {}", it.name, it.oid, it.mode)).collect()
}

#[test]
fn locks_are_those_that_others_can_meet() {
    for (text, expected) in [
        ("ALTER TABLE t ADD c int", vec![r#""t" Some(1) AccessExclusiveLock"#]),
        ("ALTER TABLE mine ADD c int", vec![]),
        ("ALTER TABLE nowhere ADD c int", vec![]),
        ("ALTER TABLE t VALIDATE CONSTRAINT c", vec![]),
        ("CREATE INDEX ON t (a)", vec![r#""t" Some(1) ShareLock"#]),
        ("DROP INDEX i", vec![r#""i" Some(2) AccessExclusiveLock"#, r#""i" Some(1) AccessExclusiveLock"#]),
        ("REINDEX INDEX i", vec![r#""i" Some(2) AccessExclusiveLock"#, r#""i" Some(1) ShareLock"#]),
        ("REINDEX INDEX CONCURRENTLY i", vec![]),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
    assert!(effects("DROP SCHEMA s CASCADE").is_strong());
}

#[test]
fn unreadable_names_are_strong_and_not_looked_up() {
    let script = parse(b"ALTER TABLE na\xEFve ADD c int", Encoding::SingleByte);
    assert!(need(&script).relations.is_empty());
    assert!(of(&script.statements[0], &facts(), &Past::nothing()).is_strong());
}

#[test]
fn only_what_matters_is_needed() {
    let names = |text: &str| {
        need(&parse(text.as_bytes(), Encoding::Utf8))
            .relations
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("SELECT * FROM t; INSERT INTO t VALUES (1); BEGIN; SET a.b = 1"), Vec::<String>::new());
    assert_eq!(
        names(
            "ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES s.b; DROP TABLE a; CREATE INDEX CONCURRENTLY ON c (x)"
        ),
        [r#""a""#, r#""s"."b""#, r#""c""#]
    );
}

#[test]
fn offline_nobody_knows_whether_there_is_a_default_partition() {
    let offline = Facts { offline: true, ..Facts::default() };
    let beyond = |text: &str, past: &Past| {
        of(&parse(text.as_bytes(), Encoding::Utf8).statements[0], &offline, past).beyond
    };
    let partition = "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)";
    for text in [
        partition,
        "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)",
        "ALTER TABLE p DETACH PARTITION p1",
    ] {
        assert!(beyond(text, &Past::nothing()), "{text}");
        let mut made = Past::in_transaction();
        let create = &parse(b"CREATE TABLE p (a int) PARTITION BY LIST (a)", Encoding::Utf8).statements[0];
        made.after(create, &of(create, &offline, &Past::nothing()));
        assert!(!beyond(text, &made), "{text}");
    }
    assert!(!beyond("ALTER TABLE p ADD c int", &Past::nothing()));
}
