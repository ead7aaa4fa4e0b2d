// Drizzle's migrator over a folder that its kit would have written: migrate.js FOLDER. It only goes up.
const { Pool } = require("pg");
const { drizzle } = require("drizzle-orm/node-postgres");
const { migrate } = require("drizzle-orm/node-postgres/migrator");

async function main() {
    const pool = new Pool({ connectionString: process.env.DATABASE_URL });
    try {
        await migrate(drizzle(pool), { migrationsFolder: process.argv[2] });
    } finally {
        await pool.end();
    }
}

main().catch((trouble) => {
    console.error(trouble);
    process.exit(1);
});
