// Sequelize's query interface under Umzug, as its manual sets it up: migrate.js up | down.
const { Sequelize, DataTypes } = require("sequelize");
const { Umzug, SequelizeStorage } = require("umzug");

const sequelize = new Sequelize(process.env.DATABASE_URL, { logging: false });
const columns = {
    name: "1_columns",
    async up({ context }) {
        await context.sequelize.transaction(async (transaction) => {
            const priority = { type: DataTypes.INTEGER, allowNull: false, defaultValue: 0 };
            await context.addColumn("orders", "priority", priority, { transaction });
            const token = { type: DataTypes.UUID, defaultValue: Sequelize.fn("gen_random_uuid") };
            await context.addColumn("orders", "token", token, { transaction });
            const order = { type: DataTypes.INTEGER, references: { model: "orders", key: "id" }, onDelete: "CASCADE" };
            const id = { type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true };
            await context.createTable("tags", { id, order_id: order }, { transaction });
        });
    },
    async down({ context }) {
        await context.dropTable("tags");
        await context.removeColumn("orders", "token");
        await context.removeColumn("orders", "priority");
    },
};
const constraints = {
    name: "2_constraints",
    async up({ context }) {
        await context.addIndex("orders", ["customer"], { name: "orders_customer" });
        await context.addConstraint("orders", { type: "unique", fields: ["note"], name: "orders_note_key" });
        const references = { table: "customers", field: "id" };
        const key = { type: "foreign key", fields: ["customer"], name: "orders_customer_fkey", references };
        await context.addConstraint("orders", key);
        await context.changeColumn("orders", "customer", { type: DataTypes.INTEGER, allowNull: false });
    },
    async down({ context }) {
        await context.changeColumn("orders", "customer", { type: DataTypes.INTEGER, allowNull: true });
        await context.removeConstraint("orders", "orders_customer_fkey");
        await context.removeConstraint("orders", "orders_note_key");
        await context.removeIndex("orders", "orders_customer");
    },
};
const data = {
    name: "3_data",
    async up({ context }) {
        await context.bulkUpdate("orders", { note: Sequelize.literal("upper(note)") }, {});
        await context.removeIndex("orders", "orders_old");
        await context.removeColumn("orders", "old");
        await context.sequelize.query("CREATE VIEW numbers AS SELECT 1 AS number");
    },
    async down({ context }) {
        await context.sequelize.query("DROP VIEW numbers");
        await context.addColumn("orders", "old", { type: DataTypes.TEXT });
        await context.addIndex("orders", ["old"], { name: "orders_old" });
    },
};
const umzug = new Umzug({
    migrations: [columns, constraints, data],
    context: sequelize.getQueryInterface(),
    storage: new SequelizeStorage({ sequelize }),
});

async function main() {
    await (process.argv[2] === "up" ? umzug.up() : umzug.down({ to: 0 }));
    await sequelize.close();
}

main().catch((trouble) => {
    console.error(trouble);
    process.exit(1);
});
