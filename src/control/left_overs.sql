-- What looks unfinished: what it is, its name, the statement that finishes or removes it, and whether somebody works on its table
-- at this moment, so that it may be nothing of the kind. Columns that older servers lack are read by way of JSON.
WITH worked_on AS (
    SELECT l.relation FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
        AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
        AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
), relations AS (
    SELECT c.oid, c.relkind, c.relname, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relpersistence <> 't'
), found AS (
    SELECT i.indrelid AS held,
        CASE WHEN r.relkind = 'I' THEN 'an index of a partitioned table lacks parts: no query uses it'
             WHEN r.relname ~ '_ccnew[0-9]*$' THEN 'a REINDEX CONCURRENTLY has left an unfinished copy: every write pays for it'
             WHEN r.relname ~ '_ccold[0-9]*$' THEN 'a REINDEX CONCURRENTLY has left what it replaced: every write may pay for it'
             ELSE 'an index is invalid: no query uses it, every write pays for it' END AS what,
        r.name,
        CASE WHEN k.conname IS NOT NULL THEN pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', t.name, k.conname)
             WHEN r.relkind = 'I' THEN 'DROP INDEX ' || r.name
             ELSE 'DROP INDEX CONCURRENTLY ' || r.name END AS statement,
        i.indexrelid AS oid
    FROM pg_catalog.pg_index i JOIN relations r ON r.oid = i.indexrelid JOIN relations t ON t.oid = i.indrelid
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
    WHERE NOT i.indisvalid
    UNION ALL
    SELECT h.inhparent, 'a partition waits for the end of its DETACH CONCURRENTLY', child.name,
        pg_catalog.format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', parent.name, child.name), h.inhrelid
    FROM pg_catalog.pg_inherits h JOIN relations parent ON parent.oid = h.inhparent JOIN relations child ON child.oid = h.inhrelid
    WHERE pg_catalog.to_jsonb(h) ->> 'inhdetachpending' = 'true'
    UNION ALL
    SELECT d.objoid, 'a column was being filled when that was cut off: rows may lack their value',
        pg_catalog.format('%I on %s', a.attname, r.name),
        pg_catalog.format('ALTER TABLE %s DROP COLUMN %I', r.name, a.attname), d.objoid
    FROM pg_catalog.pg_description d JOIN relations r ON r.oid = d.objoid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
    WHERE d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.description ~ '^lockkeeper fills this column, process [0-9]+$'
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_stat_activity s WHERE s.pid::text = substring(d.description FROM '[0-9]+$'))
    UNION ALL
    SELECT k.conrelid,
        CASE WHEN helps THEN 'a CHECK that was to be the proof for another statement is still there'
             ELSE 'a constraint is NOT VALID: rows from before it came are not proved' END,
        pg_catalog.format('%I on %s', k.conname, r.name),
        CASE WHEN helps THEN pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', r.name, k.conname)
             ELSE pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', r.name, k.conname) END,
        k.oid
    FROM pg_catalog.pg_constraint k JOIN relations r ON r.oid = k.conrelid
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
    CROSS JOIN LATERAL (SELECT k.contype = 'c' AND (k.conname ~ '_bounds_check[0-9]*$' OR k.conname ~ '_not_null[0-9]*$'
        AND pg_catalog.pg_get_expr(k.conbin, k.conrelid) = pg_catalog.format('(%I IS NOT NULL)', a.attname)) AS helps) AS it
    WHERE (helps OR NOT k.convalidated) AND k.contype IN ('c', 'f', 'n') AND k.conparentid = 0 AND k.conislocal
        AND coalesce(pg_catalog.to_jsonb(k) ->> 'conenforced', 'true') = 'true'
)
SELECT found.what, found.name, found.statement, found.held IN (SELECT w.relation FROM worked_on w) AS busy, found.oid
FROM found ORDER BY 2, 1 LIMIT 1000
