//! Random scripts of statements reach one database straight and its twin through the proxy: all answers are equal, and so are both
//! databases in the end.

mod answer;
mod forms;
mod pair;
mod script;
mod sessions;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use lockkeeper::cluster::{Installation, Options};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::pair::{Counts, Pair};
use self::script::{Script, script};
use crate::support::proxy::{DESTRUCTIVE_PASSES, Setup};
use crate::support::stage::Person;
use crate::support::{cluster_with, each_major};

/// Scripts that were found to end otherwise, each mended since.
const FOUND: [&str; 21] = [
    // What takes the place of a simple Query leaves the unnamed portal open, which the server counts as a use of its table.
    "simple: BEGIN
    pipeline: SELECT count(*) FROM c
    simple: ALTER TABLE c ALTER COLUMN n TYPE int
    simple: COMMIT",
    // A name that was prepared anew in a failed transaction meant the old statement still.
    "simple: BEGIN
    simple: DECLARE u CURSOR FOR SELECT id, n FROM b ORDER BY 1, 2
    named: ALTER TABLE b ADD COLUMN x int
    named: COMMIT
    again:",
    // The indexes of partitions got names that were taken, where that of their parent was given.
    "simple: CREATE INDEX ON p (n)
    simple: CREATE INDEX i ON p (n)
    simple: ALTER TABLE p ADD UNIQUE (id)
    simple: ALTER TABLE p ADD CONSTRAINT k UNIQUE (id)",
    // A key that cannot be was refused in other words.
    "simple: ALTER TABLE a ADD CONSTRAINT k UNIQUE (x)
    simple: ALTER TABLE c ADD PRIMARY KEY (y)",
    // A concurrent build that comes first in its batch is not in a transaction.
    "pipeline: CREATE INDEX CONCURRENTLY i ON a (n) ;; SELECT 1 ;; SELECT 2",
    // Behind questions of the proxy's in the same batch a LOCK TABLE was not refused.
    "pipeline: LOCK TABLE a",
    // What stood behind a statement of a message that failed by itself was run.
    "simple: SAVEPOINT one ;; CREATE INDEX i ON a (n)",
    // A failed transaction that goes on as the next one kept its queue.
    "simple: BEGIN
    simple: CREATE INDEX i ON a (n)
    simple: ROLLBACK TO one
    simple: COMMIT AND CHAIN
    simple: COMMIT",
    // What was to be dropped and was not there was dropped if it exists.
    "simple: BEGIN
    simple: ALTER TABLE a DROP CONSTRAINT l, ADD CONSTRAINT k CHECK (n > -1)
    simple: COMMIT
    simple: ALTER TABLE a DROP CONSTRAINT l, ADD CONSTRAINT k CHECK (n > -1)",
    // What fails behind the COMMIT of a message was not told from a difference where a transaction was open before it.
    "simple: BEGIN
    simple: COMMIT AND CHAIN
    simple: BEGIN ;; CREATE UNIQUE INDEX i ON p (n) ;; COMMIT",
    // A name meant one statement straight, where that had failed, and the next one through the proxy, where that was deferred.
    "simple: BEGIN
    named: ALTER TABLE c ADD CONSTRAINT k UNIQUE (n) ;; ALTER INDEX i RENAME TO i
    again:",
    // The planner was asked about what is only prepared.
    "simple: BEGIN
    pipeline: PREPARE q AS UPDATE p SET n = 4 WHERE id = 7 ;; CREATE TABLE a (id int)
    simple: COMMIT",
    // What is made unless it exists was queued behind what makes it.
    "simple: BEGIN
    simple: CREATE INDEX i ON a (n)
    simple: CREATE INDEX IF NOT EXISTS i ON c (id)
    simple: COMMIT",
    // The same where more stands behind it.
    "pipeline: LOCK TABLE b ;; DELETE FROM a",
    // A key over rows that it forbids was refused before the COMMIT in other words.
    "simple: INSERT INTO p (id, n, t) VALUES (1, 1, NULL)
    simple: BEGIN
    simple: ALTER TABLE p ADD PRIMARY KEY (t)
    simple: COMMIT",
    // An index that is made unless it exists was not looked at where it does, or is to.
    "simple: BEGIN
    simple: CREATE INDEX j ON a (n)
    simple: CREATE INDEX IF NOT EXISTS j ON a (x)
    simple: COMMIT",
    "simple: CREATE INDEX j ON a (n)
    simple: CREATE INDEX IF NOT EXISTS j ON a (lower(x))
    simple: BEGIN
    pipeline: CREATE INDEX IF NOT EXISTS j ON a (x)",
    "simple: BEGIN
    simple: CREATE INDEX IF NOT EXISTS i ON a (n)
    simple: CREATE INDEX IF NOT EXISTS i ON d (n)
    simple: COMMIT",
    // Names of what is queued are those of its own search_path.
    "simple: BEGIN
    simple: CREATE UNIQUE INDEX i ON a (n)
    simple: SET LOCAL search_path = other, public
    simple: DROP INDEX i, j
    simple: COMMIT",
    // What is queued behind an index was not known to have nothing left to do where its table goes.
    "simple: BEGIN
    simple: CREATE UNIQUE INDEX i ON b (t)
    simple: ALTER INDEX i SET (fillfactor = 70) ;; DROP TABLE b, c
    simple: COMMIT",
    // What came behind that was queued, too.
    "simple: BEGIN
    simple: CREATE INDEX i ON b (n)
    simple: DROP TABLE b
    simple: REINDEX INDEX i
    simple: COMMIT",
];

/// Hazards that refuse what the model wants to see done.
const MORE_PASSES: &str = "rename-enum-value=pass,change-type-reindex=pass";

/// So many threads, each with a pair of databases of its own.
const THREADS: usize = 2;

/// The scripts that each thread runs on the newest version: 1,024, or four times what `PROPTEST_CASES` says.
fn cases() -> u32 {
    4 * Config::default().cases
}

/// Who else is at work on the side that is reached through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nobody,
    /// Somebody who reads two tables after the other two, in a transaction each, so that statements wait for locks and transactions are sent
    /// once more.
    Reader,
}

/// Such a reader, who ends also where a script makes a difference.
struct Reads {
    over: Arc<AtomicBool>,
    at_work: Option<JoinHandle<()>>,
}

impl Reads {
    fn begin(server: SocketAddr, number: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let at_work = thread::spawn(move || {
            let mut reader = Person::called(server, &[("database", &format!("online{number}"))]);
            while !ends.load(Ordering::Relaxed) {
                for tables in ["a, b", "c, p"] {
                    // They may not be there.
                    let reads = format!("SELECT count(*) FROM {tables}");
                    for sql in
                        ["BEGIN", &reads, "SELECT pg_sleep(0.015)", "ROLLBACK", "SELECT pg_sleep(0.005)"]
                    {
                        reader.query(sql);
                    }
                }
            }
        });
        Self { over, at_work: Some(at_work) }
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(at_work) = self.at_work.take() {
            let _ended = at_work.join();
        }
    }
}

/// Runs scripts on one version with such a configuration, and those that were found before.
fn hold(installation: &Installation, cases: u32, (config, beside): (&str, Beside)) -> Counts {
    let options = Options::new().installation(installation.clone()).conf("autovacuum = off");
    let cluster = cluster_with(&options);
    let hazards = format!("{DESTRUCTIVE_PASSES},{MORE_PASSES}");
    let proxy = Setup::new(&cluster.addr())
        .config(&format!("[control]\nurl = \"{}\"", cluster.url("postgres")))
        .config(config)
        .variable("LOCKKEEPER_GUARD_HAZARDS", &hazards)
        .start();
    let (server, through) = (cluster.addr(), proxy.addr());
    let one = |number: usize| {
        let mut pair = Pair::new(server, through, number);
        let _reads = (beside == Beside::Reader).then(|| Reads::begin(server, number));
        for text in FOUND.iter().skip(number).step_by(THREADS) {
            let script = Script::read(text);
            pair.run(&script).unwrap_or_else(|difference| panic!("{script:?}\n{difference}"));
        }
        search(pair, cases, number)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || one(number))).collect();
        let counts = threads.into_iter().map(|thread| thread.join().expect("no difference"));
        let all = counts.fold(Counts::default(), Counts::and);
        Counts { missed: cluster.log().matches("canceling statement due to lock timeout").count(), ..all }
    })
}

/// The same scripts each time, so that what is green stays green; others for whoever says how many, as `./dev fuzz model` does.
fn runner(config: Config, number: usize) -> TestRunner {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return TestRunner::new(config);
    }
    let seed = [u8::try_from(number).expect("few threads"); 32];
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// Looks for a script that makes a difference.
fn search(pair: Pair, cases: u32, number: usize) -> Counts {
    let pair = RefCell::new(pair);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let found = runner(config, number)
        .run(&script(), |script| pair.borrow_mut().run(&script).map_err(TestCaseError::fail));
    match found {
        Err(TestError::Fail(difference, script)) => panic!("{script:?}\n{difference}"),
        other => other.expect("a script"),
    }
    pair.into_inner().counts
}

#[test]
fn a_script_leads_to_the_same_end_with_the_same_answers() {
    let newest = each_major().swap_remove(0);
    let counts = hold(&newest, cases(), ("", Beside::Nobody));
    // Something of everything was among them, and few went too far to be compared.
    for count in [counts.failed, counts.refused, counts.planned, counts.deferred] {
        assert!(count >= counts.scripts / 100, "{counts:?}");
    }
    assert!(counts.unfinished <= counts.scripts / 5, "{counts:?}");
}

#[test]
fn a_script_leads_to_the_same_end_on_others() {
    for installation in each_major().into_iter().skip(1) {
        hold(&installation, cases() / 64, ("", Beside::Nobody));
    }
}

/// Writes of few rows are cut into batches, too, and deferred in transactions.
#[test]
fn a_script_with_writes_in_batches_leads_to_the_same_end() {
    let newest = each_major().swap_remove(0);
    let counts = hold(&newest, cases() / 8, ("[bulk]\nrows = 3", Beside::Nobody));
    for count in [counts.failed, counts.refused, counts.planned, counts.deferred, counts.cut] {
        assert!(count >= counts.scripts / 100, "{counts:?}");
    }
    assert!(counts.unfinished <= counts.scripts / 5, "{counts:?}");
}

/// What waits for locks, gives way and is sent once more is answered as if it had been alone.
#[test]
fn a_script_beside_a_reader_leads_to_the_same_end() {
    let newest = each_major().swap_remove(0);
    let counts = hold(&newest, cases() / 8, ("", Beside::Reader));
    assert!(counts.missed >= counts.scripts / 100, "{counts:?}");
    assert!(counts.unfinished <= counts.scripts / 5, "{counts:?}");
}
