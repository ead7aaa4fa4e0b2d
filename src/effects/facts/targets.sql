-- One JSON object for each name of $1 that means a relation: what tells whether a write of its rows can be a big one. It is asked
-- before statements of the application, so that it asks for nothing else.
--
-- Asking for a size waits for an AccessExclusiveLock: where somebody has or wants one, pages as last counted do.
WITH named AS (
    SELECT n.place, c.*, s.nspname
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[])) WITH ORDINALITY n(name, place)
    JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name)::pg_catalog.oid
    JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
),
top AS (
    SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS xid
)
SELECT pg_catalog.json_build_object(
    'place', named.place,
    'oid', named.oid::bigint,
    'kind', named.relkind,
    'name', ARRAY[named.nspname, named.relname],
    'temporary', named.relpersistence = 't',
    'new', {new},
    'system', named.nspname = ANY ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[]),
    -- With all that inherits from it, partitions among them.
    'bytes', (
        WITH RECURSIVE below(oid) AS (
            SELECT named.oid
            UNION
            SELECT h.inhrelid FROM below JOIN pg_catalog.pg_inherits h ON h.inhparent = below.oid
        )
        SELECT pg_catalog.sum(CASE WHEN EXISTS (
            SELECT 1 FROM pg_catalog.pg_locks l
            WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid())
        THEN c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint
        ELSE pg_catalog.pg_table_size(c.oid::pg_catalog.regclass) END)
        FROM below JOIN pg_catalog.pg_class c ON c.oid = below.oid
        WHERE named.relkind = ANY ('{r,p}'::"char"[])),
    'indexes', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[named.nspname, x.indexrelid::text], 'oid', x.indexrelid::bigint, 'method', '', 'unique', true, 'valid', true,
            'columns', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY u(number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
                WHERE u.place <= x.indnkeyatts)) ORDER BY x.indexrelid)
        FROM pg_catalog.pg_index x
        WHERE x.indrelid = named.oid AND x.indisunique AND x.indisvalid AND x.indexprs IS NULL AND x.indpred IS NULL)
)::text
FROM named
ORDER BY named.place
