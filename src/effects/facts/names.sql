-- One JSON object for each table name of $1 that means one: the names in its schema that one picked for an object of that
-- table could meet (ChooseRelationName in indexcmds.c, ConstraintNameExists in pg_constraint.c). Such a name begins with so
-- much of the table's own as is never cut away, and ends as Postgres ends it.
WITH named AS (
    SELECT n.place, c.relnamespace AS own,
        pg_catalog.left(c.relname::text, CASE
            WHEN pg_catalog.octet_length(c.relname::text) = pg_catalog.length(c.relname::text) THEN 20 ELSE 6 END) AS head
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[])) WITH ORDINALITY n(name, place)
    JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name)::pg_catalog.oid
)
SELECT pg_catalog.json_build_object(
    'place', named.place,
    'relations', (
        SELECT pg_catalog.json_agg(r.relname ORDER BY r.relname) FROM pg_catalog.pg_class r
        WHERE r.relnamespace = named.own AND pg_catalog.starts_with(r.relname::text, named.head)
        AND pg_catalog.regexp_match(r.relname::text, '_(key|pkey|excl|idx)[0-9]*$') IS NOT NULL),
    'constraints', (
        SELECT pg_catalog.json_agg(DISTINCT k.conname::text) FROM pg_catalog.pg_constraint k
        WHERE k.connamespace = named.own AND pg_catalog.starts_with(k.conname::text, named.head)
        AND pg_catalog.regexp_match(k.conname::text, '_(key|pkey|excl|check|fkey|not_null)[0-9]*$') IS NOT NULL)
)::text
FROM named
ORDER BY named.place
