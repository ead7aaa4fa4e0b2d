// What the busy table shall keep to.
exports.up = async (knex) => {
    await knex.schema.alterTable("orders", (table) => {
        table.index(["customer"], "orders_customer");
        table.unique(["note"], { indexName: "orders_note_key" });
        table.foreign("customer", "orders_customer_fkey").references("customers.id");
        table.check("priority >= 0", {}, "orders_priority_check");
        table.dropNullable("customer");
    });
};

exports.down = async (knex) => {
    await knex.schema.alterTable("orders", (table) => {
        table.setNullable("customer");
        table.dropChecks(["orders_priority_check"]);
        table.dropForeign("customer", "orders_customer_fkey");
        table.dropUnique(["note"], "orders_note_key");
        table.dropIndex("customer", "orders_customer");
    });
};
