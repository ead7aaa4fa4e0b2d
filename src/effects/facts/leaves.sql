-- One JSON object for each leaf below the partitioned table $1.
SELECT pg_catalog.json_build_object(
    'name', ARRAY[sized.nspname, sized.relname], 'oid', sized.oid::bigint, 'foreign', sized.relkind = 'f', 'fill', {fill})::text
FROM (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relreplident, c.relpersistence, s.nspname
    FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) p
    JOIN pg_catalog.pg_class c ON c.oid = p.relid::pg_catalog.oid
    JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    WHERE p.isleaf AND p.level > 0
) sized
ORDER BY sized.oid
