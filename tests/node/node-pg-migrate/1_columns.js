// Columns for a busy table, and a table beside it.
exports.up = (pgm) => {
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
