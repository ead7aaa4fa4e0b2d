-- One JSON object for each table name of $1 that means one: the names in its schema, and in those of its partitions, that one
-- picked for an object of them could meet (ChooseRelationName in indexcmds.c, ConstraintNameExists in pg_constraint.c). Such
-- a name begins with so much of the table's own as is never cut away, and ends as Postgres ends it.
WITH RECURSIVE tree(place, oid) AS (
    SELECT n.place, pg_catalog.to_regclass(n.name)::pg_catalog.oid
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[])) WITH ORDINALITY n(name, place)
    UNION
    SELECT tree.place, h.inhrelid FROM tree JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid
    JOIN pg_catalog.pg_class p ON p.oid = h.inhrelid AND p.relispartition
),
named AS (
    SELECT DISTINCT tree.place, c.relnamespace AS own,
        pg_catalog.left(c.relname::text, CASE
            WHEN pg_catalog.octet_length(c.relname::text) = pg_catalog.length(c.relname::text) THEN 20 ELSE 6 END) AS head
    FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
)
SELECT pg_catalog.json_build_object(
    'place', places.place,
    'relations', (
        SELECT pg_catalog.json_agg(DISTINCT r.relname::text) FROM named
        JOIN pg_catalog.pg_class r ON r.relnamespace = named.own AND pg_catalog.starts_with(r.relname::text, named.head)
        WHERE named.place = places.place
        AND pg_catalog.regexp_match(r.relname::text, '_(key|pkey|excl|idx|seq|fill)[0-9]*$') IS NOT NULL),
    'constraints', (
        SELECT pg_catalog.json_agg(DISTINCT k.conname::text) FROM named
        JOIN pg_catalog.pg_constraint k
        ON k.connamespace = named.own AND pg_catalog.starts_with(k.conname::text, named.head)
        WHERE named.place = places.place
        AND pg_catalog.regexp_match(k.conname::text, '_(key|pkey|excl|check|fkey|not_null)[0-9]*$') IS NOT NULL)
)::text
FROM (SELECT DISTINCT named.place FROM named) places
ORDER BY places.place
