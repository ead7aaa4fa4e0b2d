// Other rows, and what nobody needs any more.
exports.up = (pgm) => {
    pgm.addTypeValue("mood", "calm", { after: "sad" });
    pgm.sql("UPDATE orders SET note = upper(note)");
    pgm.dropIndex("orders", "old", { name: "orders_old" });
    pgm.dropColumns("orders", "old");
    pgm.createView("order_notes", {}, "SELECT id, note FROM orders");
};

exports.down = (pgm) => {
    pgm.dropView("order_notes");
    pgm.addColumns("orders", { old: "text" });
    pgm.createIndex("orders", "old", { name: "orders_old" });
};
