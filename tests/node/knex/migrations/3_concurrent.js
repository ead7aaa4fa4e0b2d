// Index work in Postgres' own online form, outside the transaction.
exports.config = { transaction: false };

exports.up = async (knex) => {
    await knex.raw("CREATE INDEX CONCURRENTLY orders_by_priority ON orders (priority, id)");
};

exports.down = async (knex) => {
    await knex.raw("DROP INDEX CONCURRENTLY orders_by_priority");
};
