//! The pure parts' times: triage of an ordinary statement (to stay under 100 ns), a cold parse (under 50 µs).

use std::hint::black_box;

use criterion::{Criterion, criterion_main};
use lockkeeper::effects::facts::Facts;
use lockkeeper::judge::{Moment, Policy, Standing, decide};
use lockkeeper::sql::{Dialect, Encoding, Memory, parse, triage};

/// 200 bytes, as an ORM writes them.
const ORDINARY: &str = "SELECT o.id, o.customer_id, o.state, o.total, c.name AS customer_name FROM orders AS o JOIN \
                        customers AS c ON c.id = o.customer_id WHERE o.state = $1 AND o.created_at >= $2 \
                        ORDER BY o.id DESC LIMIT 50";

/// The same with a semicolon in a literal, which triage cannot pass.
const WITH_SEMICOLON: &str =
    "SELECT o.id FROM orders AS o WHERE o.note = 'this; that' ORDER BY o.id LIMIT 50";

const ALTER: &str = "ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT '', ADD CONSTRAINT orders_customer_fkey \
                     FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID";

const CREATE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS orders_customer_idx ON orders USING btree (customer_id, id)";

/// Every measurement.
fn pure(criterion: &mut Criterion) {
    assert_eq!(ORDINARY.len(), 200);
    criterion.bench_function("triage, ordinary, 200 bytes", |bench| {
        bench.iter(|| triage(black_box(ORDINARY.as_bytes())));
    });
    let dialect = Dialect::from(Encoding::Utf8);
    let mut memory = Memory::new(1 << 20);
    memory.learn(WITH_SEMICOLON.as_bytes(), dialect);
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
}

mod group {
    criterion::criterion_group!(benches, super::pure);
}
criterion_main!(group::benches);
