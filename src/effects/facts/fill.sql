-- How the rows of a table can be gone through and written one range after the other, and what is in the way of that. The key is
-- that of the unique index that is best: its columns are never null, in the order that ORDER BY means, and their texts mean just
-- their values to the operators that compare them.
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
            JOIN pg_catalog.pg_type i ON i.oid = o.opcintype
            CROSS JOIN LATERAL (
                -- The type under its domains, and those that it consists of.
                WITH RECURSIVE parts(oid, inside) AS (
                    SELECT a.atttypid, false
                    UNION
                    SELECT n.oid, parts.inside OR n.inside
                    FROM parts JOIN pg_catalog.pg_type y ON y.oid = parts.oid CROSS JOIN LATERAL (
                        SELECT y.typbasetype, false WHERE y.typtype = 'd'
                        UNION ALL
                        SELECT y.typelem, true WHERE y.typcategory = 'A' AND y.typelem <> 0::pg_catalog.oid
                        UNION ALL
                        -- Ranges of several pieces are there since 14.
                        SELECT g.rngsubtype, true FROM pg_catalog.pg_range g WHERE g.rngtypid = y.oid OR y.oid::text =
                            pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(g), 'rngmultitypid')
                        UNION ALL
                        SELECT f.atttypid, true FROM pg_catalog.pg_attribute f
                        WHERE f.attrelid = y.typrelid AND y.typtype = 'c' AND f.attnum > 0 AND NOT f.attisdropped
                    ) n(oid, inside)
                )
                SELECT
                    pg_catalog.bool_or(NOT parts.inside AND y.typtype <> 'd' AND (
                        y.oid = o.opcintype OR y.typname = ANY ('{varchar,cidr}'::pg_catalog.name[])
                        OR i.typname = ANY ('{anyarray,anyenum,anyrange,anymultirange}'::pg_catalog.name[]))) AS read_as_written,
                    -- Their texts depend on settings that may round them, or have time zones in them that may mean something else.
                    pg_catalog.bool_or(y.typname = ANY ('{float4,float8,interval}'::pg_catalog.name[]) OR (
                        y.typname = 'timestamptz'
                        AND NOT pg_catalog.starts_with(pg_catalog.current_setting('DateStyle'), 'ISO'))) AS rounded
                FROM parts JOIN pg_catalog.pg_type y ON y.oid = parts.oid) t
            WHERE u.place <= x.indnkeyatts AND NOT (
                -- What is computed moves with what it is computed from.
                a.attnotnull AND a.attgenerated = '' AND u.sort = 0::int2 AND u.collated = a.attcollation AND o.opcdefault
                AND t.read_as_written AND NOT t.rounded
                -- An operator of another schema is not what the search path finds.
                AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_amop p
                    WHERE p.amopfamily = o.opcfamily AND p.amoplefttype = o.opcintype AND p.amoprighttype = o.opcintype
                    AND p.amopstrategy = ANY ('{2,4}'::int2[]) AND NOT pg_catalog.pg_operator_is_visible(p.amopopr))
                AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_constraint k
                    WHERE k.conrelid = x.indrelid AND k.contype = 'n' AND NOT k.convalidated
                    AND k.conkey[1] = a.attnum)))
        ORDER BY NOT x.indisprimary, x.indnkeyatts, r.relname LIMIT 1),
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
    'delete_rules', (
        SELECT pg_catalog.json_agg(w.rulename ORDER BY w.rulename) FROM pg_catalog.pg_rewrite w
        WHERE w.ev_class = sized.oid AND w.ev_type = '4' AND w.ev_enabled <> 'D'),
    -- Triggers that fire once for a statement, or see all rows of one together.
    'statement_triggers', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', t.tgname, 'update', (t.tgtype OPERATOR(pg_catalog.&) 16::int2) <> 0::int2,
            'delete', (t.tgtype OPERATOR(pg_catalog.&) 8::int2) <> 0::int2) ORDER BY t.tgname)
        FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = sized.oid AND NOT t.tgisinternal
        AND ((t.tgtype OPERATOR(pg_catalog.&) 1::int2) = 0::int2 OR t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL)
        AND t.tgenabled = ANY (
            CASE WHEN pg_catalog.current_setting('session_replication_role') = 'replica' THEN '{A,R}' ELSE '{A,O}' END::"char"[])),
    -- Of the others those that fire behind the change of a row: what comes before it is about the row itself, mostly.
    'row_triggers', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', t.tgname, 'update', (t.tgtype OPERATOR(pg_catalog.&) 16::int2) <> 0::int2,
            'delete', (t.tgtype OPERATOR(pg_catalog.&) 8::int2) <> 0::int2) ORDER BY t.tgname)
        FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = sized.oid AND NOT t.tgisinternal AND (t.tgtype OPERATOR(pg_catalog.&) 2::int2) = 0::int2
        AND NOT ((t.tgtype OPERATOR(pg_catalog.&) 1::int2) = 0::int2 OR t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL)
        AND t.tgenabled = ANY (
            CASE WHEN pg_catalog.current_setting('session_replication_role') = 'replica' THEN '{A,R}' ELSE '{A,O}' END::"char"[])),
    -- Whoever may not change a row may not lock it either.
    'lockable', pg_catalog.has_any_column_privilege(sized.oid, 'UPDATE'),
    'row_security', sized.relrowsecurity AND pg_catalog.row_security_active(sized.oid),
    -- A new column has no rights of its own; USAGE is that of the schema.
    'rights_missing', (
        SELECT pg_catalog.json_agg(v.word ORDER BY v.word)
        FROM (VALUES ('SELECT'), ('UPDATE'), ('USAGE')) v(word)
        WHERE NOT CASE WHEN v.word = 'USAGE' THEN pg_catalog.has_schema_privilege(sized.nspname::text, v.word)
            ELSE pg_catalog.has_table_privilege(sized.oid, v.word) END),
    -- What is NOT ENFORCED (18) is never looked at.
    'not_valid', (
        SELECT pg_catalog.json_agg(k.conname ORDER BY k.conname) FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = sized.oid AND k.contype = ANY ('{c,n}'::"char"[]) AND NOT k.convalidated
        AND coalesce(pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(k), 'conenforced'), 'true') = 'true'),
    'publications', {publications})
