-- How the rows of a leaf can be gone through and written one range after the other. The key is that of the unique index that is
-- best: its columns are never null, in the order that ORDER BY means, and their texts mean just their values.
pg_catalog.json_build_object(
    'key', (
        SELECT (
            SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
            FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY u(number, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
            WHERE u.place <= x.indnkeyatts)
        FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class r ON r.oid = x.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = r.relam
        WHERE x.indrelid = sized.oid AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
        AND m.amname = 'btree' AND NOT EXISTS (
            SELECT 1
            FROM ROWS FROM (
                pg_catalog.unnest(x.indkey::pg_catalog.int2[]), pg_catalog.unnest(x.indclass::pg_catalog.oid[]),
                pg_catalog.unnest(x.indcollation::pg_catalog.oid[]), pg_catalog.unnest(x.indoption::pg_catalog.int2[])
            ) WITH ORDINALITY u(number, class, collated, sort, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
            JOIN pg_catalog.pg_opclass o ON o.oid = u.class
            CROSS JOIN LATERAL (
                WITH RECURSIVE under(oid) AS (
                    SELECT a.atttypid
                    UNION ALL
                    SELECT y.typbasetype FROM under JOIN pg_catalog.pg_type y ON y.oid = under.oid WHERE y.typtype = 'd'
                )
                SELECT y.typname AS name FROM under JOIN pg_catalog.pg_type y ON y.oid = under.oid
                WHERE y.typtype <> 'd') t
            WHERE u.place <= x.indnkeyatts AND NOT (
                a.attnotnull AND u.sort = 0::int2 AND u.collated = a.attcollation AND o.opcdefault
                AND t.name <> ALL ('{float4,float8,interval}'::pg_catalog.name[])
                AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_constraint k
                    WHERE k.conrelid = x.indrelid AND k.contype = 'n' AND NOT k.convalidated
                    AND k.conkey[1] = a.attnum)))
        ORDER BY NOT x.indisprimary, x.indnkeyatts, x.indexrelid LIMIT 1),
    -- The clones of row triggers are called internal up to 14.
    'triggers', (
        SELECT pg_catalog.json_agg(t.tgname ORDER BY t.tgname) FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = sized.oid AND (t.tgtype OPERATOR(pg_catalog.&) 16::int2) <> 0::int2
        AND (NOT t.tgisinternal OR (t.tgparentid <> 0::pg_catalog.oid AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype = 'f')))
        AND pg_catalog.cardinality(t.tgattr::pg_catalog.int2[]) = 0
        AND t.tgenabled = ANY (
            CASE WHEN pg_catalog.current_setting('session_replication_role') = 'replica' THEN '{A,R}' ELSE '{A,O}' END::"char"[])),
    'rules', (
        SELECT pg_catalog.json_agg(w.rulename ORDER BY w.rulename) FROM pg_catalog.pg_rewrite w
        WHERE w.ev_class = sized.oid AND w.ev_type = '2' AND w.ev_enabled <> 'D'),
    'row_security', sized.relrowsecurity AND pg_catalog.row_security_active(sized.oid))
