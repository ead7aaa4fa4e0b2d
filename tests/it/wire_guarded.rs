//! Statements that are looked after, in the odd corners of the protocol: the client hears what Postgres would have said,
//! but for notices, and the server reaches the same state.

use crate::support::raw::{
    Frame, bind, close, copy_data, copy_done, describe, execute, flush, framed, parse, query, sync, tags,
};
use crate::wire::{Pair, Talk, done, errors};

/// A pair with a table that stays, so that statements on it are looked after.
fn pair() -> Pair {
    let pair = Pair::new();
    pair.straight().rows("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'one')");
    pair
}

/// Runs a script both ways; without notices the same must be heard, and the table looks the same afterwards.
fn same_but_notices(pair: &Pair, script: impl Fn(&mut Talk)) -> Vec<Frame> {
    pair.same_masking(
        but_notices_and_places,
        |talk| {
            talk.log_in(&[]);
            script(talk);
            talk.query("SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped");
            talk.query("SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1");
            talk.query("SELECT a + 0, b || '' FROM t ORDER BY 1, 2");
            talk.query("SHOW lock_timeout; SHOW statement_timeout");
            talk.query("SELECT name FROM pg_prepared_statements ORDER BY 1; SELECT name FROM pg_cursors");
            talk.query("DROP TABLE t; CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'one')");
        },
    )
}

/// Of an error everything but the place in Postgres' source, which an error of ours has not.
fn but_notices_and_places(frame: &mut Frame) -> bool {
    if frame.tag == b'E' {
        let fields: Vec<&[u8]> = frame.body.split(|byte| *byte == 0).collect();
        frame.body = fields
            .into_iter()
            .filter(|field| !field.starts_with(b"F") && !field.starts_with(b"L") && !field.starts_with(b"R"))
            .collect::<Vec<_>>()
            .join(&0);
    }
    frame.tag != b'N'
}

/// A statement by the extended protocol under its own name, without Sync.
fn extended(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", "", &[]), describe(b'P', ""), execute("", 0)].concat()
}

#[test]
fn split_into_single_bytes() {
    let pair = pair();
    same_but_notices(&pair, |talk| {
        talk.client.send_bytewise(&query("ALTER TABLE t ADD c int"));
        talk.ready();
        talk.client.send_bytewise(&[extended("CREATE INDEX t_a ON t (a)"), sync()].concat());
        talk.ready();
        talk.client.send_bytewise(&[query("DROP INDEX t_a"), query("SELECT 1")].concat());
        talk.ready();
        talk.ready();
    });
}

#[test]
fn between_other_messages() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        talk.send(
            &[query("SELECT 1"), query("ALTER TABLE t ADD c int"), query("SELECT 2"), query("SELECT 3")]
                .concat(),
        );
        for _ in 0..4 {
            talk.ready();
        }
        let batch = [
            extended("INSERT INTO t VALUES (2, 'two')"),
            extended("ALTER TABLE t ADD d int"),
            extended("INSERT INTO t (a, d) VALUES (3, 4)"),
            sync(),
        ];
        talk.send(&batch.concat());
        talk.ready();
        talk.send(&[extended("ALTER TABLE t ADD e int"), extended("SELECT 5"), sync()].concat());
        talk.ready();
        talk.send(&[extended("SELECT 6"), sync(), extended("ALTER TABLE t ADD f int"), sync()].concat());
        talk.send(&[extended("SELECT 7"), sync(), query("DROP TABLE IF EXISTS nothing")].concat());
        for _ in 0..4 {
            talk.ready();
        }
    });
    assert_eq!(errors(&frames), Vec::<String>::new());
}

#[test]
fn a_batch_that_fails_leaves_nothing() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        let first = extended("INSERT INTO t VALUES (2, 'must not stay')");
        // The statement that is looked after fails, or one behind it does; an ignored one is not run.
        talk.send(
            &[first.clone(), extended("ALTER TABLE t ADD a int"), extended("SELECT 1"), sync()].concat(),
        );
        talk.ready();
        talk.send(
            &[first.clone(), extended("ALTER TABLE t ADD c int"), extended("SELECT 1/0"), sync()].concat(),
        );
        talk.ready();
        talk.send(&[extended("SELECT 1/0"), extended("ALTER TABLE t ADD c int"), sync()].concat());
        talk.ready();
        talk.send(
            &[extended("SELECT 1/0"), query("ALTER TABLE t ADD c int"), sync(), query("SELECT 1")].concat(),
        );
        talk.ready();
        talk.ready();
        talk.send(&[extended("SELECT 1/0"), flush()].concat());
        talk.until(b'E');
        talk.send(&[query("CREATE INDEX ON t (a)"), extended("ALTER TABLE t ADD c int"), sync()].concat());
        talk.ready();
        talk.send(
            &[extended("ALTER TABLE nowhere ADD c int"), query("ALTER TABLE t ADD c int"), sync()].concat(),
        );
        talk.ready();
    });
    assert_eq!(errors(&frames), ["42701", "22012", "22012", "22012", "22012", "42P01"]);
}

#[test]
fn a_batch_of_statements_that_are_looked_after_is_one_transaction() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        let alter = |sql: &str| extended(&format!("ALTER TABLE {sql}"));
        talk.send(&[alter("t ADD c int"), alter("nowhere ADD c int"), sync()].concat());
        talk.ready();
        talk.send(&[alter("t ADD c int"), alter("t ADD d int"), alter("t ADD a int"), sync()].concat());
        talk.ready();
        talk.send(&[alter("t ADD c int"), query("ALTER TABLE nowhere ADD c int")].concat());
        talk.ready();
        talk.send(&[alter("t ADD c int"), alter("t ADD d int"), sync()].concat());
        talk.ready();
    });
    assert_eq!(errors(&frames), ["42P01", "42701", "42P01"]);
}

#[test]
fn a_query_behind_an_open_batch_is_part_of_its_transaction() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        let first = extended("INSERT INTO t VALUES (2, 'must not stay')");
        talk.send(&[first.clone(), query("ALTER TABLE nowhere ADD c int")].concat());
        talk.ready();
        talk.send(&[first, query("ALTER TABLE t ADD a int")].concat());
        talk.ready();
        talk.send(
            &[extended("INSERT INTO t VALUES (3, 'stays')"), query("ALTER TABLE t ADD c int")].concat(),
        );
        talk.ready();
    });
    assert_eq!(errors(&frames), ["42P01", "42701"]);
}

#[test]
fn in_transactions() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        talk.query("BEGIN");
        talk.query("INSERT INTO t VALUES (2, 'undone')");
        talk.query("ALTER TABLE t ADD c int");
        talk.query("ROLLBACK");
        talk.query("BEGIN");
        talk.query("ALTER TABLE nowhere ADD c int");
        talk.query("ALTER TABLE t ADD c int");
        talk.query("CREATE INDEX ON t (a)");
        talk.query("SELECT 1");
        talk.query("ROLLBACK");
        talk.query("BEGIN; SAVEPOINT s");
        talk.query("ALTER TABLE t ADD c int");
        talk.query("ROLLBACK TO s; ALTER TABLE t ADD d int");
        talk.query("COMMIT");
        // As JDBC does it: BEGIN and the first statement in one segment.
        talk.send(&[extended("BEGIN"), extended("ALTER TABLE t ADD e int"), sync()].concat());
        talk.ready();
        talk.send(&[extended("ALTER TABLE t ADD f int"), extended("COMMIT"), sync()].concat());
        talk.ready();
        talk.send(&[extended("BEGIN"), extended("ALTER TABLE nowhere ADD e int"), sync()].concat());
        talk.ready();
        talk.send(&[extended("ALTER TABLE t ADD g int"), sync(), query("ROLLBACK")].concat());
        talk.ready();
        talk.ready();
    });
    assert_eq!(errors(&frames), ["42P01", "25P02", "25P02", "25P02", "42P01", "25P02"]);
}

#[test]
fn several_statements_in_one_message() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        talk.query("SELECT 1; ALTER TABLE t ADD c int; SELECT 2");
        talk.query("INSERT INTO t VALUES (2, 'undone'); ALTER TABLE t ADD c int; SELECT 3");
        talk.query("BEGIN; ALTER TABLE t ADD d int; COMMIT; SELECT 4");
        talk.query(
            "CREATE TABLE new (a int); CREATE INDEX ON new (a); INSERT INTO new VALUES (1); DROP TABLE new",
        );
        talk.query("BEGIN; ALTER TABLE nowhere ADD d int");
        talk.query("SELECT 'ignored'");
        talk.query("ROLLBACK");
        talk.query("BEGIN; ALTER TABLE t ADD a int");
        talk.query("ROLLBACK");
        talk.query("SHOW lock_timeout");
        talk.query("BEGIN; ALTER TABLE t ADD f int");
        talk.query("SHOW lock_timeout");
        talk.query("ROLLBACK");
        talk.send(&[parse("", "SHOW lock_timeout"), bind("", "", &[]), execute("", 0), sync()].concat());
        talk.ready();
        talk.query("BEGIN");
        talk.query("ALTER TABLE t ADD g int; ALTER TABLE t ADD h int");
        talk.query("SHOW lock_timeout");
        talk.query("ALTER TABLE t ADD i int; COMMIT");
        talk.query("SET lock_timeout = '7s'; ALTER TABLE t ADD e int");
        talk.query("SHOW lock_timeout");
        talk.query("BEGIN; ALTER TABLE t ADD f int");
        talk.query("SELECT 'inside'");
        talk.query("ROLLBACK");
        talk.query("RESET lock_timeout; CREATE INDEX t_a ON t (a); DROP INDEX t_a");
    });
    assert_eq!(errors(&frames), ["42701", "42P01", "25P02", "42701"]);
}

#[test]
fn rows_of_a_statement_that_is_looked_after() {
    let pair = pair();
    pair.straight().rows("CREATE PROCEDURE double(INOUT a int) LANGUAGE plpgsql AS 'BEGIN a := 2 * a; END'");
    same_but_notices(&pair, |talk| {
        talk.query("CALL double(4)");
        talk.query("BEGIN; CALL double(5)");
        talk.query("CALL double(6)");
        talk.query("COMMIT");
        talk.send(&[parse("s", "CALL double($1)"), bind("", "s", &[Some("7")]), describe(b'P', "")].concat());
        talk.send(&[execute("", 0), sync(), bind("", "s", &[Some("8")]), execute("", 0), sync()].concat());
        talk.ready();
        talk.ready();
        // Row by row: the first Execute is not told that there are no more.
        talk.send(&[bind("", "s", &[Some("11")]), execute("", 1), execute("", 1), sync()].concat());
        talk.ready();
        talk.send(&[bind("", "s", &[Some("12")]), execute("", 1), sync(), query("SELECT 1")].concat());
        talk.ready();
        talk.ready();
        talk.send(&[bind("", "s", &[Some("no number")]), execute("", 0), sync()].concat());
        talk.ready();
        talk.query("BEGIN");
        talk.send(&[bind("", "s", &[Some("9")]), execute("", 0), bind("", "s", &[Some("10")])].concat());
        talk.send(&[execute("", 0), sync()].concat());
        talk.ready();
        talk.query("COMMIT");
    });
}

#[test]
fn copy_behind_a_statement_in_the_same_message() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        talk.send(&query("ALTER TABLE t ADD c int; COPY t FROM STDIN; ALTER TABLE t ADD d int"));
        talk.until(b'G');
        talk.send(&[copy_data(b"2\ttwo\t3\n"), copy_done()].concat());
        talk.ready();
        talk.query("ALTER TABLE t ADD e int; COPY t (a) TO STDOUT");
    });
    assert_eq!(errors(&frames), Vec::<String>::new());
}

#[test]
fn named_statements_are_judged_at_each_execute() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        talk.send(&[parse("s", "ALTER TABLE t ADD c int"), describe(b'S', "s"), sync()].concat());
        talk.ready();
        let run = [bind("", "s", &[]), execute("", 0), sync()].concat();
        talk.send(&run);
        talk.ready();
        talk.query("ALTER TABLE t DROP c");
        talk.send(&run);
        talk.ready();
        talk.send(&run);
        talk.ready();
        // The name is taken, then free, then another statement's.
        talk.send(&[parse("s", "SELECT 1"), sync()].concat());
        talk.ready();
        talk.send(
            &[close(b'S', "s"), parse("s", "SELECT 2"), bind("", "s", &[]), execute("", 0), sync()].concat(),
        );
        talk.ready();
        talk.query("DEALLOCATE s");
        talk.send(&[parse("s", "ALTER TABLE t ADD d int"), bind("p", "s", &[]), sync()].concat());
        talk.ready();
        talk.query("DISCARD ALL");
        talk.send(&[parse("s", "SELECT 3"), bind("p", "s", &[]), execute("p", 0), sync()].concat());
        talk.ready();
        talk.send(&[parse("", "ALTER TABLE t ADD e int"), parse("", "SELECT 4"), bind("", "", &[])].concat());
        talk.send(&[execute("", 0), sync()].concat());
        talk.ready();
        talk.send(&[parse("", "SELECT 5"), parse("", "ALTER TABLE t ADD f int"), bind("", "", &[])].concat());
        talk.send(&[execute("", 0), sync()].concat());
        talk.ready();
        talk.send(
            &[parse("", "ALTER TABLE t ADD g int"), bind("", "", &[Some("too many")]), execute("", 0)]
                .concat(),
        );
        talk.send(&sync());
        talk.ready();
    });
    assert_eq!(errors(&frames), ["42701", "42P05", "08P01"]);
}

#[test]
fn portals_are_run_once_and_end_with_their_transaction() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        let made = [parse("s", "ALTER TABLE t ADD IF NOT EXISTS c int"), bind("p", "s", &[])].concat();
        talk.send(&[made, execute("p", 0), execute("p", 0), sync()].concat());
        talk.ready();
        talk.send(&[execute("p", 0), sync()].concat());
        talk.ready();
        talk.send(&[bind("p", "s", &[]), sync(), execute("p", 0), sync()].concat());
        talk.ready();
        talk.ready();
        talk.query("BEGIN");
        talk.send(&[bind("p", "s", &[]), sync(), execute("p", 0), sync(), execute("p", 0), sync()].concat());
        talk.ready();
        talk.ready();
        talk.ready();
        talk.query("ROLLBACK");
        talk.send(&[bind("p", "s", &[]), close(b'P', "p"), execute("p", 0), sync()].concat());
        talk.ready();
        talk.send(
            &[bind("p", "s", &[]), parse("", "SELECT 1/0"), bind("", "", &[]), execute("", 0), sync()]
                .concat(),
        );
        talk.ready();
        talk.send(&[execute("p", 0), sync()].concat());
        talk.ready();
    });
    assert_eq!(errors(&frames), ["55000", "34000", "34000", "55000", "34000", "22012", "34000"]);
}

#[test]
fn flush_answers_without_sync() {
    let pair = pair();
    same_but_notices(&pair, |talk| {
        talk.send(&[parse("", "ALTER TABLE t ADD c int"), describe(b'S', ""), flush()].concat());
        talk.until(b'n');
        talk.send(&[bind("", "", &[]), execute("", 0), flush()].concat());
        talk.until(b'C');
        talk.send(&sync());
        talk.ready();
        talk.send(&[extended("ALTER TABLE t ADD c int"), flush()].concat());
        talk.until(b'E');
        talk.send(&sync());
        talk.ready();
    });
}

#[test]
fn a_zero_byte_in_the_text_is_the_servers_to_refuse() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        for text in [
            &b"SELECT 1\0ALTER TABLE t ADD c int\0"[..],
            b"ALTER TABLE t ADD c int\0SELECT 1\0",
            b"ALTER TABLE t ADD c int",
        ] {
            talk.send(&framed(b'Q', text));
            talk.ready();
        }
        talk.send(&[framed(b'P', b"\0ALTER TABLE t ADD c int\0\0\0junk"), sync()].concat());
        talk.ready();
        talk.send(&[framed(b'P', b"\0ALTER TABLE t ADD c int\0"), sync()].concat());
        talk.ready();
        talk.send(&[framed(b'E', b"no end"), sync()].concat());
        talk.ready();
        talk.send(&[extended("ALTER TABLE t ADD d int"), framed(b'E', b"\0\0\0\0\0more"), sync()].concat());
        talk.ready();
    });
    assert!(errors(&frames).iter().all(|code| code == "08P01"), "{:?}", errors(&frames));
}

#[test]
fn comments_quotes_and_odd_spellings() {
    let pair = pair();
    same_but_notices(&pair, |talk| {
        talk.query(
            "/* one /* two */ */ ALTER -- three\n /**/ TABLE\tt/*;*/ADD \"c;\" text DEFAULT $x$;$x$;;",
        );
        talk.query("ALTER TABLE t ADD d text DEFAULT E'\\';--', ADD e text DEFAULT U&'\\0041'");
        talk.query("DO $do$ BEGIN EXECUTE 'ALTER TABLE t ADD f int'; END $do$");
        talk.query(";;ALTER TABLE t ADD g int");
        talk.query("(SELECT 1); ALTER TABLE t ADD h int");
        talk.query("WITH x AS (SELECT 1) TABLE x; ALTER TABLE t ADD i int");
        talk.query("SET standard_conforming_strings = off");
        talk.query("SELECT '\\'; ALTER TABLE t ADD j int; --'");
        talk.query("RESET standard_conforming_strings");
        talk.query("SELECT '\\'; ALTER TABLE t ADD k int; --'");
    });
}

#[test]
fn encodings_in_which_a_backslash_may_be_half_a_letter() {
    let pair = pair();
    // In SJIS the letter 表 is 0x95 0x5C, whose second byte is a backslash elsewhere.
    let texts: [&[u8]; 4] = [
        b"ALTER TABLE t ADD c text DEFAULT '\x95\x5c'",
        b"SELECT E'\x95\x5c'; ALTER TABLE t ADD d int; --'",
        b"ALTER TABLE t ADD \"\x95\x5c\" int",
        b"SELECT '\x95\x5c', 'x'; CREATE INDEX ON t (a)",
    ];
    same_but_notices(&pair, |talk| {
        talk.query("SET client_encoding = 'SJIS'");
        for text in texts {
            talk.send(&framed(b'Q', &[text, b"\0"].concat()));
            talk.ready();
        }
        talk.send(
            &[framed(b'P', &[b"\0", texts[0], b"\0\0\0"].concat()), bind("", "", &[]), sync()].concat(),
        );
        talk.ready();
        talk.query("RESET client_encoding");
    });
}

#[test]
fn pipelines_of_many_guarded_statements() {
    let pair = pair();
    let frames = same_but_notices(&pair, |talk| {
        let one =
            |n: i32| [extended(&format!("ALTER TABLE t ADD c{n} int")), sync(), query("SELECT 1")].concat();
        talk.send(&(0..20).flat_map(one).collect::<Vec<u8>>());
        for _ in 0..40 {
            talk.ready();
        }
    });
    assert!(tags(&frames).contains("12nCZTDCZ12nCZTDCZ"), "{}", tags(&frames));
    assert_eq!(done(&frames).iter().filter(|tag| *tag == "ALTER TABLE").count(), 20);
}

/// Clients that close their statement before the Sync have sent one statement all the same.
#[test]
fn closing_before_the_sync_makes_no_difference() {
    let pair = pair();
    let closing = [close(b'P', ""), describe(b'S', ""), close(b'S', ""), sync()].concat();
    same_but_notices(&pair, |talk| {
        talk.send(&[extended("CREATE INDEX t_a ON t (a)"), closing.clone()].concat());
        talk.ready();
        talk.client.send_bytewise(&[extended("CREATE INDEX t_b ON t (b)"), closing.clone()].concat());
        talk.ready();
        // What runs before the Sync belongs to its transaction.
        let more = [close(b'P', ""), extended("INSERT INTO t VALUES (2, 'two')"), sync()].concat();
        talk.send(&[extended("ALTER TABLE t ADD c int"), more].concat());
        talk.ready();
    });
    let mut client = pair.through();
    client.send(&[extended("CREATE INDEX t_a ON t (a)"), closing].concat());
    let notices = client.until_ready().into_iter().filter(|frame| frame.tag == b'N');
    let said: Vec<String> = notices.map(|frame| String::from_utf8_lossy(&frame.body).into_owned()).collect();
    assert!(said.iter().any(|it| it.contains("CREATE INDEX CONCURRENTLY")), "{said:?}");
}
