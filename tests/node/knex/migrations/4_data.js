// Other rows, and what nobody needs any more.
exports.up = async (knex) => {
    await knex.raw("ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad'");
    await knex("orders").update({ note: knex.raw("upper(note)") });
    await knex.schema.alterTable("orders", (table) => table.dropColumn("old"));
    await knex.schema.createView("order_notes", (view) => view.as(knex("orders").select("id", "note")));
};

exports.down = async (knex) => {
    await knex.schema.dropView("order_notes");
    await knex.schema.alterTable("orders", (table) => table.text("old").index("orders_old"));
};
