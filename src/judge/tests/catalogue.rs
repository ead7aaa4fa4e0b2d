//! The small catalogue that the tests judge against.

use crate::base::RelationName;
use crate::effects::facts::{
    ColumnFacts, ConstraintFacts, Facts, FillFacts, IndexFacts, PartitionFacts, PartitionKey, Reference,
    Relation, RelationKind, TableFacts, TableIndex, TypeFacts, TypeKind, TypedColumn,
};
use crate::sql::form::{ConstraintKind, TypeName};

fn relation(oid: u32, kind: RelationKind) -> Relation {
    Relation { bytes: Some(40 << 30), table: Some(Box::default()), ..Relation::new(oid, kind) }
}

fn index(oid: u32, backs_constraint: bool, partitioned: bool) -> Relation {
    let kind = if partitioned { RelationKind::PartitionedIndex } else { RelationKind::Index };
    let definition = "CREATE INDEX orders_no_idx ON public.orders USING btree (no, id)".to_owned();
    let facts = IndexFacts {
        table: 1,
        table_name: Some(public("orders")),
        below: Vec::new(),
        valid: true,
        in_the_making: false,
        backs_constraint,
        partitioned,
        definition,
    };
    Relation { index: Some(facts), table: None, ..relation(oid, kind) }
}

fn invalid(oid: u32) -> Relation {
    let whole = index(oid, false, false);
    Relation { index: whole.index.clone().map(|index| IndexFacts { valid: false, ..index }), ..whole }
}

fn column(name: &str, ty: &str, base: &str, modifier: i32) -> ColumnFacts {
    ColumnFacts {
        name: name.to_owned(),
        ty: ty.to_owned(),
        base: (base.to_owned(), modifier),
        not_null: name == "id",
        default: None,
        identity: false,
        stored: false,
    }
}

fn constraint(name: &str, kind: ConstraintKind, column: &str, definition: &str) -> ConstraintFacts {
    ConstraintFacts {
        name: name.to_owned(),
        kind,
        columns: vec![column.to_owned()],
        validated: true,
        commented: false,
        part: false,
        reference_partitions: Vec::new(),
        references_oid: (kind == ConstraintKind::Foreign).then_some(2),
        restorable: true,
        references: (kind == ConstraintKind::Foreign).then(|| public("customers")),
        definition: definition.to_owned(),
    }
}

fn table_index(name: &str, column: &str, constraint: Option<&str>) -> TableIndex {
    TableIndex {
        name: public(name),
        oid: 11,
        needs: vec![column.to_owned()],
        restorable: constraint.is_none(),
        columns: vec![column.to_owned()],
        expressions: false,
        partial: false,
        method: "btree".to_owned(),
        unique: constraint.is_some(),
        valid: true,
        placed: false,
        labels: vec![column.to_owned()],
        shape: format!("btree {column}"),
        constraint: constraint.map(str::to_owned),
        definition: format!("CREATE INDEX {name} ON public.orders USING btree ({column})"),
    }
}

fn partition(name: &str, oid: u32, default: bool) -> PartitionFacts {
    PartitionFacts {
        name: public(name),
        oid,
        parent: public("events"),
        leaf: true,
        default,
        foreign: false,
        constraints: Vec::new(),
        not_null: Vec::new(),
        odd_not_null: Vec::new(),
        owned: true,
        own_keys: Vec::new(),
        indexes: Vec::new(),
        bytes: Some(10 << 30),
        fill: by_id(),
    }
}

fn by_id() -> FillFacts {
    FillFacts { key: vec!["id".to_owned()], ..FillFacts::default() }
}

fn public(name: &str) -> RelationName {
    RelationName::qualified("public", name)
}

/// `orders`, the table that most cases are about: 40 GB, 200 million rows.
fn orders() -> TableFacts {
    TableFacts {
        name: Some(public("orders")),
        owned: true,
        rows: Some(200_000_000),
        fill: by_id(),
        columns: vec![
            column("id", "bigint", "int8", -1),
            column("no", "integer", "int4", -1),
            column("customer_id", "bigint", "int8", -1),
            column("status", "character varying(20)", "varchar", 24),
            column("amount", "numeric(10,2)", "numeric", (10 << 16 | 2) + 4),
            column("note", "text", "text", -1),
            column("created", "timestamp without time zone", "timestamp", -1),
            column("price", "integer", "int4", -1),
            column("total", "integer", "int4", -1),
            column("code", "character varying(20)", "varchar", 24),
        ],
        constraints: vec![
            constraint("orders_pkey", ConstraintKind::PrimaryKey, "id", "PRIMARY KEY (id)"),
            constraint(
                "orders_customer_id_fkey",
                ConstraintKind::Foreign,
                "customer_id",
                "FOREIGN KEY (customer_id) REFERENCES customers(id)",
            ),
            constraint("orders_price_check", ConstraintKind::Check, "price", "CHECK ((price > 0))"),
            constraint("orders_total_check", ConstraintKind::Check, "total", "CHECK ((total IS NOT NULL))"),
            constraint(
                "orders_code_check",
                ConstraintKind::Check,
                "code",
                "CHECK (((code)::text <> ''::text))",
            ),
            ConstraintFacts {
                validated: false,
                ..constraint(
                    "orders_note_check",
                    ConstraintKind::Check,
                    "note",
                    "CHECK ((note <> ''::text)) NOT VALID",
                )
            },
        ],
        indexes: vec![
            table_index("orders_pkey", "id", Some("orders_pkey")),
            TableIndex {
                columns: vec!["no".to_owned(), "id".to_owned()],
                needs: vec!["no".to_owned(), "id".to_owned()],
                ..table_index("orders_no_idx", "no", None)
            },
            table_index("orders_created_idx", "created", None),
        ],
        ..TableFacts::default()
    }
}

fn customers() -> TableFacts {
    TableFacts {
        name: Some(public("customers")),
        owned: true,
        rows: Some(5_000_000),
        columns: vec![column("id", "bigint", "int8", -1), column("email", "text", "text", -1)],
        constraints: vec![constraint("customers_pkey", ConstraintKind::PrimaryKey, "id", "PRIMARY KEY (id)")],
        indexes: vec![table_index("customers_pkey", "id", Some("customers_pkey"))],
        referenced_by: vec![Reference {
            table: public("orders"),
            oid: 1,
            constraint: "orders_customer_id_fkey".to_owned(),
            columns: vec!["id".to_owned()],
            validated: true,
            definition: "FOREIGN KEY (customer_id) REFERENCES customers(id)".to_owned(),
            restorable: true,
            own: true,
            bytes: Some(40 << 30),
        }],
        ..TableFacts::default()
    }
}

/// `events`, in ranges, with a default partition.
fn events() -> TableFacts {
    TableFacts {
        name: Some(public("events")),
        partitionable: true,
        columns: vec![column("id", "bigint", "int8", -1), column("no", "integer", "int4", -1)],
        partition_key: Some(PartitionKey { range: true, column: "id".to_owned() }),
        partitions: vec![partition("events_2025", 31, false), partition("events_rest", 32, true)],
        ..TableFacts::default()
    }
}

/// A partitioned table without a default partition.
fn measures() -> TableFacts {
    let partition_key = Some(PartitionKey { range: true, column: "price".to_owned() });
    TableFacts {
        name: Some(public("measures")),
        partitionable: true,
        columns: vec![column("price", "integer", "int4", -1)],
        partition_key,
        ..TableFacts::default()
    }
}

/// A partition of it.
fn measures_1() -> TableFacts {
    TableFacts {
        name: Some(public("measures_1")),
        parent: Some(public("measures")),
        parent_oid: Some(16),
        owned: true,
        detachable: true,
        bound: Some("FOR VALUES FROM (1) TO (2)".to_owned()),
        bound_condition: Some("((price IS NOT NULL) AND (price >= 1) AND (price < 2))".to_owned()),
        ..TableFacts::default()
    }
}

/// A partitioned table with an index, a foreign key and others that refer to it.
fn sales() -> TableFacts {
    let words = "FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE";
    TableFacts {
        name: Some(public("sales")),
        columns: orders().columns,
        constraints: vec![constraint("sales_customer_fkey", ConstraintKind::Foreign, "customer_id", words)],
        indexes: ["created", "amount"].map(|it| table_index(&format!("sales_{it}_idx"), it, None)).to_vec(),
        partition_key: events().partition_key,
        referenced_by: vec![Reference {
            table: public("refunds"),
            oid: 19,
            constraint: "refunds_sale_id_fkey".to_owned(),
            definition: "FOREIGN KEY (sale_id) REFERENCES sales(id)".to_owned(),
            bytes: Some(4 << 30),
            ..customers().referenced_by.remove(0)
        }],
        ..TableFacts::default()
    }
}

/// A materialized view with a key.
fn daily() -> TableFacts {
    let key = TableIndex { unique: true, ..table_index("daily_day_idx", "day", None) };
    let columns = vec![column("day", "date", "date", -1)];
    TableFacts { refreshable: true, columns, indexes: vec![key], ..TableFacts::default() }
}

/// A table with ten indexes.
fn crowded() -> TableFacts {
    let indexes = (0..10).map(|number| table_index(&format!("crowded_{number}_idx"), "a", None)).collect();
    TableFacts { name: Some(public("crowded")), indexes, ..TableFacts::default() }
}

fn with(oid: u32, kind: RelationKind, table: TableFacts) -> Relation {
    Relation { table: Some(Box::new(table)), ..relation(oid, kind) }
}

fn types() -> Vec<(TypeName, TypeFacts)> {
    let name = |name: &str| TypeName { name: name.to_owned(), ..TypeName::default() };
    let facts = |kind, base: &str| TypeFacts {
        modified: false,
        kind,
        base: base.to_owned(),
        users: vec![(public("orders"), 40 << 30)],
        columns: Vec::new(),
    };
    let feelings = TypedColumn { table: public("orders"), oid: 1, column: "feeling".to_owned() };
    vec![
        (name("positive"), facts(TypeKind::ConstrainedDomain, "int4")),
        (name("label"), facts(TypeKind::Domain, "text")),
        (name("mood"), TypeFacts { columns: vec![feelings], ..facts(TypeKind::Enum, "mood") }),
    ]
}

pub(super) fn facts(server_version: u32) -> Facts {
    let leaf =
        TableFacts { parent: Some(public("events")), columns: events().columns, ..TableFacts::default() };
    let relations = [
        ("orders", with(1, RelationKind::Table, orders())),
        ("customers", with(2, RelationKind::Table, customers())),
        ("events", with(3, RelationKind::PartitionedTable, events())),
        ("events_2025", with(31, RelationKind::Table, leaf)),
        ("measures_1", with(17, RelationKind::Table, measures_1())),
        ("sales", with(20, RelationKind::PartitionedTable, sales())),
        ("sales_1", with(21, RelationKind::Table, TableFacts { parent_oid: Some(20), ..measures_1() })),
        ("crowded", with(10, RelationKind::Table, crowded())),
        ("settings", Relation { bytes: Some(65_536), ..with(9, RelationKind::Table, customers()) }),
        ("scratch", Relation { temporary: true, ..relation(4, RelationKind::Table) }),
        ("fresh", Relation { new_in_transaction: true, ..relation(5, RelationKind::Table) }),
        ("totals", relation(6, RelationKind::MaterializedView)),
        ("measures", with(16, RelationKind::PartitionedTable, measures())),
        ("daily", with(15, RelationKind::MaterializedView, daily())),
        ("bookings", Relation { plain_reindex_only: true, ..relation(7, RelationKind::Table) }),
        ("pg_class", Relation { system: true, ..relation(1259, RelationKind::Table) }),
        ("a_view", relation(8, RelationKind::View)),
        ("address", relation(17, RelationKind::Other)),
        ("orders_no_idx", index(11, false, false)),
        ("orders_broken_idx", invalid(14)),
        ("orders_pkey", index(12, true, false)),
        ("events_idx", index(13, false, true)),
    ];
    let leaf =
        |partition: &PartitionFacts| (partition.name.clone(), relation(partition.oid, RelationKind::Table));
    let leaves: Vec<_> = events().partitions.iter().map(leaf).collect();
    Facts {
        server_version,
        utc: Some(false),
        relations: relations
            .into_iter()
            .map(|(name, it)| (RelationName::bare(name), it))
            .chain(leaves)
            .chain([(public("orders_no_idx"), index(11, false, false))])
            .collect(),
        types: types(),
        ..Facts::default()
    }
}

/// What is known offline: nothing but the version.
pub(super) fn offline(server_version: u32) -> Facts {
    Facts { server_version, offline: true, ..Facts::default() }
}
