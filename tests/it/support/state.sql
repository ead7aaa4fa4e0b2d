WITH own AS (
    SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'lockkeeper')
), relation AS (
    SELECT c.*, own.nspname || '.' || c.relname AS name FROM pg_class c JOIN own ON own.oid = c.relnamespace
)
SELECT 'relation' AS what, name, concat_ws(' ', relkind, relpersistence, relispartition, relchecks, relacl,
    relreplident, relispopulated, relrowsecurity, reloptions::text), pg_get_expr(relpartbound, oid),
    CASE WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END
FROM relation
UNION ALL
SELECT 'column', name || '.' || attname, concat_ws(' ', attnum, attnotnull, format_type(atttypid, atttypmod), attislocal,
    attinhcount, attisdropped, attidentity, attgenerated, attstorage, attcollation::regcollation, attacl, attoptions),
    pg_get_expr(d.adbin, d.adrelid), NULL
FROM relation JOIN pg_attribute a ON a.attrelid = relation.oid AND attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
SELECT 'constraint', coalesce(name, contypid::regtype::text) || '.' || conname, pg_get_constraintdef(k.oid),
    concat_ws(' ', contype, convalidated, condeferrable, condeferred, conislocal, coninhcount, 
        -- Of keys it means nothing, and says only how they were made.
        connoinherit AND contype NOT IN ('f', 'p', 'u'), conkey, confkey,
    conindid::regclass, (SELECT conname FROM pg_constraint p WHERE p.oid = k.conparentid)), obj_description(k.oid, 'pg_constraint')
FROM pg_constraint k JOIN own ON own.oid = connamespace LEFT JOIN relation ON relation.oid = conrelid
UNION ALL
SELECT 'index', name, pg_get_indexdef(indexrelid), concat_ws(' ', indisunique, indisprimary, indisvalid, indisready,
    indislive, indimmediate, indisreplident, indisclustered, indnkeyatts), NULL
FROM pg_index JOIN relation ON relation.oid = indexrelid
UNION ALL
SELECT 'trigger', name, tgfoid::regproc::text, tgenabled::text, concat_ws(' ', tgtype, tgdeferrable, tginitdeferred, tgisinternal)
FROM pg_trigger JOIN relation ON relation.oid = tgrelid
UNION ALL
SELECT 'inherits', inhrelid::regclass::text, inhparent::regclass::text, inhseqno::text, NULL FROM pg_inherits
UNION ALL
SELECT 'depends', regexp_replace(pg_describe_object(classid, objid, objsubid), '_[0-9]+', ''),
    regexp_replace(pg_describe_object(refclassid, refobjid, refobjsubid), '_[0-9]+', ''), deptype::text, NULL
FROM pg_depend d WHERE objid >= 16384 AND pg_describe_object(classid, objid, objsubid) || ' ' || pg_describe_object(refclassid, refobjid, refobjsubid) !~ '\mlockkeeper\M'
-- A trigger of a foreign key that is attached needs its parent's, beside its own key; one that is made with its parent's
-- (`CreateTriggerFiringOn` in trigger.c) needs its key alone, and goes with it and with its parent's all the same.
AND NOT (deptype IN ('P', 'S') AND EXISTS (
    SELECT FROM pg_trigger g JOIN pg_constraint k ON k.oid = g.tgconstraint
    WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid AND k.contype = 'f'))
ORDER BY 1, 2, 3, 4, 5
