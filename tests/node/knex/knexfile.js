// An ordinary Knex project; where its database is comes from outside.
module.exports = {
    client: "pg",
    connection: process.env.DATABASE_URL,
    migrations: { directory: `${__dirname}/migrations` },
};
