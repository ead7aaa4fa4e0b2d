// Index work in Postgres' own online form, outside the transaction.
exports.up = (pgm) => {
    pgm.noTransaction();
    pgm.createIndex("orders", ["priority", "id"], { name: "orders_by_priority", concurrently: true });
};

exports.down = (pgm) => {
    pgm.noTransaction();
    pgm.dropIndex("orders", ["priority", "id"], { name: "orders_by_priority", concurrently: true });
};
