// An ordinary TypeORM data source, whose migrations are the SQL that its generator writes.
const { DataSource, TableForeignKey, TableIndex, TableColumn, TableUnique, TableCheck } = require("typeorm");

class Columns1700000000001 {
    async up(runner) {
        await runner.query('UPDATE "orders" SET "note" = upper("note")');
        await runner.addColumn("orders", new TableColumn({ name: "priority", type: "int", default: 0 }));
        const token = { name: "token", type: "uuid", default: "gen_random_uuid()" };
        await runner.addColumn("orders", new TableColumn(token));
        await runner.query('CREATE TABLE "tags" ("id" SERIAL NOT NULL, "word" text, CONSTRAINT "PK_tags" PRIMARY KEY ("id"))');
    }

    async down(runner) {
        await runner.dropTable("tags");
        await runner.dropColumn("orders", "token");
        await runner.dropColumn("orders", "priority");
    }
}

class Constraints1700000000002 {
    async up(runner) {
        await runner.createIndex("orders", new TableIndex({ name: "orders_customer", columnNames: ["customer"] }));
        const unique = new TableUnique({ name: "orders_note_key", columnNames: ["note"] });
        await runner.createUniqueConstraint("orders", unique);
        const key = { name: "orders_customer_fkey", columnNames: ["customer"] };
        const target = { referencedTableName: "customers", referencedColumnNames: ["id"] };
        await runner.createForeignKey("orders", new TableForeignKey({ ...key, ...target }));
        const check = new TableCheck({ name: "orders_priority_check", expression: "priority >= 0" });
        await runner.createCheckConstraint("orders", check);
        await runner.query('ALTER TABLE "orders" ALTER COLUMN "customer" SET NOT NULL');
    }

    async down(runner) {
        await runner.query('ALTER TABLE "orders" ALTER COLUMN "customer" DROP NOT NULL');
        await runner.dropCheckConstraint("orders", "orders_priority_check");
        await runner.dropForeignKey("orders", "orders_customer_fkey");
        await runner.dropUniqueConstraint("orders", "orders_note_key");
        await runner.dropIndex("orders", "orders_customer");
    }
}

class Data1700000000003 {
    async up(runner) {
        await runner.query(`ALTER TYPE "mood" ADD VALUE 'calm' AFTER 'sad'`);
        await runner.query('DROP INDEX "public"."orders_old"');
        await runner.query('ALTER TABLE "orders" DROP COLUMN "old"');
        await runner.query("CREATE VIEW numbers AS SELECT 1 AS number");
    }

    async down(runner) {
        await runner.query("DROP VIEW numbers");
        await runner.query('ALTER TABLE "orders" ADD "old" text');
        await runner.query('CREATE INDEX "orders_old" ON "orders" ("old")');
    }
}

module.exports = new DataSource({
    type: "postgres",
    url: process.env.DATABASE_URL,
    migrations: [Columns1700000000001, Constraints1700000000002, Data1700000000003],
});
