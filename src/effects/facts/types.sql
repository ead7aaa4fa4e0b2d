-- One JSON object for each name of $1 that means a type.
WITH RECURSIVE named AS (
    SELECT n.place, t.oid
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[])) WITH ORDINALITY n(name, place)
    JOIN pg_catalog.pg_type t ON t.oid = pg_catalog.to_regtype(n.name)::pg_catalog.oid
),
chain AS (
    SELECT named.oid AS root, t.oid, t.typname, t.typtype, t.typbasetype, t.typnotnull, -1 AS modifier, t.typtypmod
    FROM named JOIN pg_catalog.pg_type t ON t.oid = named.oid
    UNION ALL
    SELECT chain.root, t.oid, t.typname, t.typtype, t.typbasetype, t.typnotnull, chain.typtypmod, t.typtypmod
    FROM chain JOIN pg_catalog.pg_type t ON t.oid = chain.typbasetype
    WHERE chain.typtype = 'd'
)
SELECT pg_catalog.json_build_object(
    'place', named.place,
    'kind', (SELECT chain.typtype FROM chain WHERE chain.root = named.oid AND chain.oid = named.oid),
    'constrained', EXISTS (
        SELECT 1 FROM chain WHERE chain.root = named.oid AND (
            chain.typnotnull
            OR EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.contypid = chain.oid))),
    'base', (SELECT chain.typname FROM chain WHERE chain.root = named.oid AND chain.typtype <> 'd' LIMIT 1),
    'modifier', (SELECT chain.modifier FROM chain WHERE chain.root = named.oid AND chain.typtype <> 'd' LIMIT 1),
    'users', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[s.nspname, c.relname],
            'bytes', c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint) ORDER BY c.oid)
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
        WHERE c.relkind = ANY (ARRAY['r', 'm', 'p']::"char"[]) AND EXISTS (
            SELECT 1 FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.atttypid = named.oid AND NOT a.attisdropped)),
    'columns', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'table', ARRAY[s.nspname, c.relname], 'oid', c.oid::bigint, 'column', a.attname) ORDER BY c.oid, a.attnum)
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
        WHERE c.relkind = ANY (ARRAY['r', 'm', 'p', 'f']::"char"[]) AND NOT a.attisdropped AND (
            a.atttypid = named.oid
            OR a.atttypid = (SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = named.oid)))
)::text
FROM named
ORDER BY named.place
