// Prisma's schema engine as the command line carries it, over a driver of Node's: its native one is no package of a registry.
import { createRequire } from "node:module";

const { PrismaPg } = createRequire(`${process.env.NODE_PATH}/`)("@prisma/adapter-pg");

export default {
    schema: "schema.prisma",
    migrations: { path: "migrations" },
    experimental: { adapter: true },
    engine: "js",
    // Without the limit it keeps an idle connection for ten seconds before it ends.
    adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL, idleTimeoutMillis: 10 }),
};
