// Other rows, and what nobody needs any more.
exports.up = (pgm) => {
    pgm.addTypeValue("mood", "calm", { after: "sad" });
    pgm.dropIndex("orders", "old", { name: "orders_old" });
    pgm.dropColumns("orders", "old");
    pgm.createView("numbers", {}, "SELECT 1 AS number");
};

exports.down = (pgm) => {
    pgm.dropView("numbers");
    pgm.addColumns("orders", { old: "text" });
    pgm.createIndex("orders", "old", { name: "orders_old" });
};
