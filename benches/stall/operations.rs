//! The operations: one line each, and whoever adds a plan adds its line.

/// One change of the schema.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its name.
    pub(crate) id: &'static str,
    /// What has to be there before; the tables are those of `tables.sql`.
    pub(crate) setup: &'static str,
    /// The statement.
    pub(crate) sql: &'static str,
}

const fn plain(id: &'static str, sql: &'static str) -> Operation {
    Operation { id, setup: "", sql }
}

const fn after(setup: &'static str, id: &'static str, sql: &'static str) -> Operation {
    Operation { id, setup, sql }
}

/// A table whose rows the application finds by an index that is no key.
const KEYLESS: &str = "ALTER TABLE orders DROP CONSTRAINT orders_pkey, ALTER id DROP IDENTITY, ALTER id DROP NOT NULL; \
     CREATE SEQUENCE numbers START 500000000; ALTER TABLE orders ALTER id SET DEFAULT nextval('numbers'); \
     CREATE INDEX orders_id ON orders (id)";

/// All of them, in the order of the page.
pub(crate) const ALL: &[Operation] = &[
    plain("create-index", "CREATE INDEX orders_total ON orders (total)"),
    plain("create-unique-index", "CREATE UNIQUE INDEX orders_code ON orders (code)"),
    plain("create-expression-index", "CREATE INDEX orders_lower ON orders (lower(note))"),
    plain("create-partial-index", "CREATE INDEX orders_new ON orders (created_at) WHERE state = 'new'"),
    plain("create-partitioned-index", "CREATE INDEX events_customer ON events (customer)"),
    plain("drop-index", "DROP INDEX orders_customer"),
    plain("reindex-index", "REINDEX INDEX orders_customer"),
    plain("reindex-table", "REINDEX TABLE orders"),
    plain("add-check", "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total >= 0)"),
    plain("add-partitioned-check", "ALTER TABLE events ADD CONSTRAINT positive CHECK (id >= 0)"),
    plain(
        "add-foreign-key",
        "ALTER TABLE orders ADD CONSTRAINT orders_of FOREIGN KEY (customer) REFERENCES customers",
    ),
    plain("set-not-null", "ALTER TABLE orders ALTER code SET NOT NULL"),
    plain("add-unique", "ALTER TABLE orders ADD CONSTRAINT orders_once UNIQUE (code)"),
    after(KEYLESS, "add-primary-key", "ALTER TABLE orders ADD PRIMARY KEY (id)"),
    plain("add-column", "ALTER TABLE orders ADD COLUMN priority int NOT NULL DEFAULT 0"),
    plain("add-checked-column", "ALTER TABLE orders ADD COLUMN priority int DEFAULT 1 CHECK (priority > 0)"),
    plain("add-unique-column", "ALTER TABLE orders ADD COLUMN ticket uuid UNIQUE"),
    plain(
        "add-referencing-column",
        "ALTER TABLE orders ADD COLUMN payer int DEFAULT 1 REFERENCES customers (id)",
    ),
    plain("refresh-materialized-view", "REFRESH MATERIALIZED VIEW turnover"),
    plain(
        "attach-partition",
        "ALTER TABLE events ATTACH PARTITION events_next FOR VALUES FROM (1000000000) TO (2000000000)",
    ),
    after(
        "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total >= 0)",
        "drop-constraint",
        "/* lockkeeper: allow drop-constraint because of the benchmark */ ALTER TABLE orders DROP CONSTRAINT positive",
    ),
    after(
        "ALTER TABLE orders ADD CONSTRAINT orders_of FOREIGN KEY (customer) REFERENCES customers",
        "drop-foreign-key",
        "/* lockkeeper: allow drop-constraint because of the benchmark */ ALTER TABLE orders DROP CONSTRAINT orders_of",
    ),
    after(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "create-trigger",
        "CREATE TRIGGER nothing BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION nothing()",
    ),
    plain(
        "rename-column",
        "/* lockkeeper: allow rename-column because of the benchmark */ ALTER TABLE orders RENAME COLUMN created_at TO made_at",
    ),
    plain("set-partitioned-not-null", "ALTER TABLE events ALTER customer SET NOT NULL"),
    plain("add-partitioned-unique", "ALTER TABLE events ADD CONSTRAINT events_once UNIQUE (customer, id)"),
    plain(
        "add-partitioned-key",
        "ALTER TABLE events ADD CONSTRAINT events_of FOREIGN KEY (customer) REFERENCES customers",
    ),
    plain("add-random-column", "ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()"),
    plain(
        "several-parts",
        "ALTER TABLE orders ADD COLUMN priority int DEFAULT 1 CHECK (priority > 0), ALTER code SET NOT NULL, ADD UNIQUE (code)",
    ),
    after(
        "ALTER TABLE orders ALTER code TYPE varchar(40), ADD CONSTRAINT filled CHECK (code <> '')",
        "change-type",
        "ALTER TABLE orders ALTER code TYPE varchar(60)",
    ),
    plain(
        "create-partition",
        "CREATE TABLE events_later PARTITION OF events FOR VALUES FROM (1000000000) TO (2000000000)",
    ),
    after(
        "ALTER TABLE events ATTACH PARTITION events_next FOR VALUES FROM (1000000000) TO (2000000000)",
        "detach-partition",
        "ALTER TABLE events DETACH PARTITION events_next",
    ),
    after(
        "CREATE INDEX orders_made ON orders (created_at)",
        "drop-column",
        "/* lockkeeper: allow drop-column because of the benchmark */ ALTER TABLE orders DROP COLUMN created_at",
    ),
    after(
        "CREATE TABLE notes (id int PRIMARY KEY, customer int REFERENCES customers)",
        "drop-table",
        "/* lockkeeper: allow drop-table because of the benchmark */ DROP TABLE notes",
    ),
    plain("set-default", "ALTER TABLE orders ALTER COLUMN total SET DEFAULT 0"),
    after(
        "CREATE FUNCTION migrate() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE orders ADD COLUMN priority int; END'",
        "function",
        "SELECT migrate()",
    ),
];
