//! The pure parts' times: triage of an ordinary statement (to stay under 100 ns), a cold parse, and a cold analysis of an
//! ALTER TABLE from its text to the decision (each under 50 µs), a statement of one row whose shape is known (under 1 µs), the review of a file of 10,000 statements (under 2 s).

use std::hint::black_box;

use criterion::{Criterion, criterion_main};
use lockkeeper::effects::facts::{Facts, Offline};
use lockkeeper::effects::need;
use lockkeeper::judge::{Moment, Policy, Standing, decide};
use lockkeeper::review::{Options, review};
use lockkeeper::sql::advisory::may_want;
use lockkeeper::sql::shape::{Escapes, Known, may_write, names_search_path};
use lockkeeper::sql::{Dialect, Encoding, Memory, Shapes, parse, triage};

/// 200 bytes, as an ORM writes them.
const ORDINARY: &str = "SELECT o.id, o.customer_id, o.state, o.total, c.name AS customer_name FROM orders AS o JOIN \
                        customers AS c ON c.id = o.customer_id WHERE o.state = $1 AND o.created_at >= $2 \
                        ORDER BY o.id DESC LIMIT 50";

/// The same with a semicolon in a literal, which triage cannot pass.
const WITH_SEMICOLON: &str =
    "SELECT o.id FROM orders AS o WHERE o.note = 'this; that' ORDER BY o.id LIMIT 50";

/// 200 bytes, of one row.
const PINNED_LONG: &str = "UPDATE orders SET state = 'sent', carrier = 'a carrier of some name', tracking = 'AB-1234-5678-90', \
                           note = 'left with the neighbours, who are at home', updated_at = now(), version = 7 WHERE id = 12345";

const PINNED: &str = "UPDATE orders SET state = 'sent' WHERE id = 7";

const ALTER: &str = "ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT '', ADD CONSTRAINT orders_customer_fkey \
                     FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID";

const CREATE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS orders_customer_idx ON orders USING btree (customer_id, id)";

/// Every measurement.
fn pure(criterion: &mut Criterion) {
    assert_eq!((ORDINARY.len(), PINNED_LONG.len()), (200, 200));
    criterion.bench_function("triage, ordinary, 200 bytes", |bench| {
        bench.iter(|| triage(black_box(ORDINARY.as_bytes())));
    });
    criterion.bench_function("a lock that is waited for, ordinary, 200 bytes", |bench| {
        bench.iter(|| may_want(black_box(ORDINARY.as_bytes())));
    });
    let dialect = Dialect::from(Encoding::Utf8);
    let mut memory = Memory::new(1 << 20);
    memory.learn(WITH_SEMICOLON.as_bytes(), dialect);
    let mut shapes = Shapes::default();
    for (name, text) in [("an UPDATE of one row, known shape", PINNED), ("the same, 200 bytes", PINNED_LONG)]
    {
        let text = text.as_bytes();
        if let Some(shape) = shapes.of(text, Escapes::Marked, 1) {
            shapes.learn(shape, Known::One, u64::MAX);
        }
        criterion.bench_function(name, |bench| {
            bench.iter(|| {
                let text = black_box(text);
                let known = |shapes: &Shapes| shapes.know(shapes.of(text, Escapes::Marked, 1)?, 0);
                (names_search_path(text), may_write(text), known(&shapes))
            });
        });
    }
    criterion.bench_function("memory, known text", |bench| {
        bench.iter(|| memory.knows(black_box(WITH_SEMICOLON.as_bytes()), dialect));
    });
    for (name, text) in [
        ("parse, SELECT with a semicolon", WITH_SEMICOLON),
        ("parse, ALTER TABLE", ALTER),
        ("parse, CREATE INDEX", CREATE_INDEX),
    ] {
        criterion.bench_function(name, |bench| bench.iter(|| parse(black_box(text.as_bytes()), dialect)));
    }
    let (facts, moment) = (Facts::default(), Moment::new(Standing::Outside));
    let (script, policy) = (parse(ALTER.as_bytes(), dialect), Policy::default());
    criterion.bench_function("judge, ALTER TABLE", |bench| {
        bench.iter(|| decide(black_box(&script), &facts, &moment, &policy));
    });
    let offline = Offline { server_version: 180_000 };
    let unknown = offline.facts();
    criterion.bench_function("cold analysis, ALTER TABLE", |bench| {
        bench.iter(|| {
            let script = parse(black_box(ALTER.as_bytes()), dialect);
            black_box(need(&script));
            decide(&script, &unknown, &moment, &policy)
        });
    });
}

/// A file as `pg_dump` and migration tools write them.
fn file(statements: usize) -> String {
    let one = |number: usize| match number % 5 {
        0 => format!(
            "CREATE TABLE public.t{number} (id bigint NOT NULL, note text, at timestamptz DEFAULT now());\n"
        ),
        1 => format!("ALTER TABLE ONLY public.t{} ADD CONSTRAINT k{number} PRIMARY KEY (id);\n", number - 1),
        2 => format!("CREATE INDEX i{number} ON public.orders USING btree (note, at);\n"),
        3 => format!("ALTER TABLE public.orders ADD CONSTRAINT c{number} CHECK (id > {number}) NOT VALID;\n"),
        _ => format!("COMMENT ON TABLE public.t{} IS 'table; {number}';\n", number - 4),
    };
    (0..statements).map(one).collect()
}

/// Long enough to be measured a few times only.
fn long(criterion: &mut Criterion) {
    let text = file(10_000);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let mut group = criterion.benchmark_group("review");
    group.sample_size(10);
    group.bench_function("a file of 10,000 statements", |bench| {
        bench.iter(|| {
            let mut offline = Offline { server_version: 180_000 };
            runtime.block_on(review("dump.sql", &text, &mut offline, &Options::default()))
        });
    });
    group.finish();
}

mod group {
    criterion::criterion_group!(benches, super::pure, super::long);
}
criterion_main!(group::benches);
