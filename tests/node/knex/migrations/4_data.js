// Other rows, and what nobody needs any more.
exports.up = async (knex) => {
    await knex.raw("ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad'");
    await knex("orders").update({ note: knex.raw("upper(note)") });
    await knex.schema.alterTable("orders", (table) => table.dropColumn("old"));
    await knex.schema.createView("numbers", (view) => view.as(knex.select(knex.raw("1 AS number"))));
};

exports.down = async (knex) => {
    await knex.schema.dropView("numbers");
    await knex.schema.alterTable("orders", (table) => table.text("old").index("orders_old"));
};
