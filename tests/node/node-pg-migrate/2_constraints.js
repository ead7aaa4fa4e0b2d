// What the busy table shall keep to.
exports.up = (pgm) => {
    pgm.createIndex("orders", "customer", { name: "orders_customer" });
    pgm.addConstraint("orders", "orders_note_key", { unique: "note" });
    pgm.addConstraint("orders", "orders_customer_fkey", {
        foreignKeys: { columns: "customer", references: "customers (id)" },
    });
    pgm.addConstraint("orders", "orders_priority_check", { check: "priority >= 0" });
    pgm.alterColumn("orders", "customer", { notNull: true });
};

exports.down = (pgm) => {
    pgm.alterColumn("orders", "customer", { notNull: false });
    pgm.dropConstraint("orders", "orders_priority_check");
    pgm.dropConstraint("orders", "orders_customer_fkey");
    pgm.dropConstraint("orders", "orders_note_key");
    pgm.dropIndex("orders", "customer", { name: "orders_customer" });
};
