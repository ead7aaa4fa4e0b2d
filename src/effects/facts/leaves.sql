-- One JSON object for each leaf below the partitioned table $1.
SELECT pg_catalog.json_build_object(
    'name', ARRAY[sized.nspname, sized.relname], 'oid', sized.oid::bigint, 'foreign', sized.relkind = 'f', 'fill', {fill},
    -- What it may have of its own.
    'constraints', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', k.conname, 'kind', k.contype, 'definition', pg_catalog.pg_get_constraintdef(k.oid),
            'references', (
                SELECT ARRAY[s.nspname, r.relname] FROM pg_catalog.pg_class r
                JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE r.oid = k.confrelid),
            'columns', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                FROM ROWS FROM (pg_catalog.unnest(k.conkey)) WITH ORDINALITY u(number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number)) ORDER BY k.oid)
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = sized.oid),
    'referenced_by', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'table', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint, 'constraint', k.conname,
            'definition', pg_catalog.pg_get_constraintdef(k.oid),
            'columns', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                FROM ROWS FROM (pg_catalog.unnest(k.confkey)) WITH ORDINALITY u(number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number)) ORDER BY k.oid)
        FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE k.confrelid = sized.oid AND k.contype = 'f' AND k.conrelid <> sized.oid
        -- Those that refer to the whole, too, are known from there.
        AND k.conrelid NOT IN (
            SELECT w.conrelid FROM pg_catalog.pg_constraint w WHERE w.confrelid = $1::pg_catalog.oid)))::text
FROM (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relreplident, c.relpersistence, s.nspname
    FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) p
    JOIN pg_catalog.pg_class c ON c.oid = p.relid::pg_catalog.oid
    JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    WHERE p.isleaf AND p.level > 0
) sized
ORDER BY sized.oid
