//! Postgres' own regression statements: what its grammar takes is understood, and nothing does harm.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use lockkeeper::cluster::Options;
use lockkeeper::effects::facts::Offline;
use lockkeeper::review::{self, split};
use lockkeeper::sql::statement::{Kind, Opaque, Readable};
use lockkeeper::sql::{Encoding, Script, parse};

use crate::support::raw::{self, Raw};
use crate::support::{cluster_with, each_major};

/// Of the statements that the server's grammar takes, so many in a thousand are understood at least.
const UNDERSTOOD_MIN: usize = 999;

/// The server is sent so many statements before its answers are read.
const BATCH: usize = 200;

/// The files, by name.
fn files() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/corpus");
    let listed = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; ./dev setup fetches it", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    paths.sort();
    assert!(paths.len() > 200, "{} files are not all of them", paths.len());
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("read");
        (path, String::from_utf8_lossy(&bytes).into_owned())
    };
    paths.into_iter().map(read).collect()
}

fn is_understood(script: &Script) -> bool {
    let unread = |kind: &Kind| matches!(kind, Kind::Opaque(Opaque::Unread));
    script.readable == Readable::Whole && !script.statements.iter().any(|it| unread(&it.kind))
}

/// Whether the server's grammar takes each; it is asked to read them, not to run them.
fn accepted(session: &mut Raw, statements: &[String]) -> Vec<bool> {
    let mut accepted = Vec::new();
    for batch in statements.chunks(BATCH) {
        let asked: Vec<u8> =
            batch.iter().flat_map(|sql| [raw::parse("", sql), raw::sync()].concat()).collect();
        session.send(&asked);
        for _ in batch {
            let answer = session.until_ready();
            // 42601 is what the grammar says, and the analysis behind it too: those count as refused.
            accepted.push(!answer.iter().any(|frame| frame.tag == b'E' && frame.sqlstate() == "42601"));
        }
    }
    accepted
}

#[test]
fn what_the_server_takes_is_understood() {
    let newest = each_major().swap_remove(0);
    let cluster = cluster_with(&Options::new().installation(newest));
    let mut session = Raw::session(cluster.addr());
    let (mut taken, mut missed) = (0, Vec::new());
    for (path, text) in files() {
        let split = split(&text);
        let sql = |piece: &Range<usize>| split.text.get(piece.clone()).unwrap_or_default().replace('\0', "");
        let statements: Vec<String> = split.pieces.iter().map(sql).collect();
        let accepted = accepted(&mut session, &statements);
        taken += accepted.iter().filter(|it| **it).count();
        let missing = statements
            .iter()
            .zip(accepted)
            .filter(|(sql, accepted)| *accepted && !is_understood(&parse(sql.as_bytes(), Encoding::Utf8)));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        missed.extend(missing.map(|(sql, _)| format!("{name}: {sql}")));
    }
    let understood = taken - missed.len();
    let missed = missed.join("\n");
    println!("{understood} of {taken} statements are understood; not:\n{missed}");
    assert!(taken > 10_000, "{taken} statements are not all of them");
    assert!(understood * 1000 >= taken * UNDERSTOOD_MIN, "{understood} of {taken}; not:\n{missed}");
}

#[test]
fn every_file_is_reviewed_to_its_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let (mut statements, mut findings) = (0, 0);
    for (path, text) in files() {
        let name = path.display().to_string();
        let mut offline = Offline { server_version: 180_000 };
        let options = review::Options::default();
        let report = runtime.block_on(review::review(&name, &text, &mut offline, &options)).expect("offline");
        statements += report.count;
        findings += report.findings.len();
        for found in &report.findings {
            assert!(found.at.lines.get(found.at.span.clone()).is_some(), "{name}: {}", found.id);
        }
    }
    println!("{findings} findings in {statements} statements");
    assert!(statements > 10_000 && findings > 1_000, "{findings} findings in {statements} statements");
}
