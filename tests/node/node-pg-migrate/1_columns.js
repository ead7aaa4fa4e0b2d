// Columns for a busy table, and a table beside it.
exports.up = (pgm) => {
    pgm.sql("UPDATE orders SET note = upper(note)");
    pgm.addColumns("orders", {
        priority: { type: "integer", notNull: true, default: 0 },
        token: { type: "uuid", notNull: true, default: pgm.func("gen_random_uuid()") },
    });
    pgm.createTable("tags", {
        id: "id",
        order_id: { type: "integer", notNull: true, references: "orders", onDelete: "CASCADE" },
        word: { type: "text", unique: true },
    });
    pgm.createIndex("tags", "order_id");
};

exports.down = (pgm) => {
    pgm.dropTable("tags");
    pgm.dropColumns("orders", ["token", "priority"]);
};
