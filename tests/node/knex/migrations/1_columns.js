// Columns for a busy table, and a table beside it.
exports.up = async (knex) => {
    await knex.schema.alterTable("orders", (table) => {
        table.integer("priority").notNullable().defaultTo(0);
        table.uuid("token").notNullable().defaultTo(knex.raw("gen_random_uuid()"));
    });
    await knex.schema.createTable("tags", (table) => {
        table.increments("id");
        table.integer("order_id").notNullable().references("id").inTable("orders").onDelete("CASCADE").index();
        table.enu("state", ["new", "worn"]);
        table.timestamps(true, true);
    });
};

exports.down = async (knex) => {
    await knex.schema.dropTable("tags");
    await knex.schema.alterTable("orders", (table) => table.dropColumns("token", "priority"));
};
