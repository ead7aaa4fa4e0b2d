-- One JSON object for each name of $1 that means a relation. Operators are qualified when the text is read, since the
-- search path that is in force is not ours.
--
-- Builds of other roles are shown without their tables, so that any of them may be the one.
--
-- Asking for a size, or for an expression as SQL, waits for an AccessExclusiveLock: where somebody has or wants one (busy),
-- pages as last counted do, and expressions stay unknown.
WITH named AS (
    SELECT n.place, c.*, s.nspname, EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks l
        WHERE l.relation = coalesce(x.indrelid, c.oid) AND l.mode = 'AccessExclusiveLock'
        AND l.pid <> pg_catalog.pg_backend_pid()) AS busy
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[])) WITH ORDINALITY n(name, place)
    JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name)::pg_catalog.oid
    JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid
),
top AS (
    SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS xid
),
tree AS (
    SELECT named.oid AS root, p.relid::pg_catalog.oid AS oid, p.isleaf AS leaf, p.level AS depth,
        p.parentrelid::pg_catalog.oid AS parent
    FROM named, LATERAL pg_catalog.pg_partition_tree(named.oid::pg_catalog.regclass) p
    WHERE named.relkind = 'p'
    UNION ALL
    -- An index is as big as its table, as far as others wait for it.
    SELECT named.oid, coalesce(i.indrelid, named.oid), true, 0, NULL
    FROM named LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = named.oid
    WHERE named.relkind <> 'p'
),
sized AS (
    SELECT sized.*, CASE WHEN sized.leaf AND sized.relkind = ANY ('{r,f}'::"char"[]) OR sized.relkind = 'p' AND sized.oid = sized.root
        THEN {fill} END AS fill
    FROM (
        SELECT tree.root, tree.oid, tree.leaf, tree.depth, c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relreplident,
            c.relpersistence, s.nspname,
            (SELECT ARRAY[ps.nspname, pc.relname] FROM pg_catalog.pg_class pc
                JOIN pg_catalog.pg_namespace ps ON ps.oid = pc.relnamespace WHERE pc.oid = tree.parent) AS parent,
            EXISTS (SELECT 1 FROM pg_catalog.pg_partitioned_table d WHERE d.partdefid = c.oid) AS is_default,
            CASE WHEN EXISTS (
                SELECT 1 FROM pg_catalog.pg_locks l
                WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid())
            THEN c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint
            ELSE pg_catalog.pg_table_size(c.oid::pg_catalog.regclass) END AS bytes
        FROM tree
        JOIN pg_catalog.pg_class c ON c.oid = tree.oid
        JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    ) sized
)
SELECT pg_catalog.json_build_object(
    'place', named.place,
    'oid', named.oid::bigint,
    'kind', named.relkind,
    'name', ARRAY[named.nspname, named.relname],
    'temporary', named.relpersistence = 't',
    'unlogged', named.relpersistence = 'u',
    'method', (SELECT m.amname FROM pg_catalog.pg_am m WHERE m.oid = named.relam),
    'tablespace', (
        SELECT t.spcname FROM pg_catalog.pg_tablespace t
        WHERE t.oid = CASE WHEN named.reltablespace <> 0::pg_catalog.oid THEN named.reltablespace ELSE (
            SELECT d.dattablespace FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) END),
    'new', {new},
    'system', named.nspname = ANY ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[]),
    'plain_reindex_only', coalesce(i.indisexclusion, false) OR EXISTS (
        SELECT 1 FROM pg_catalog.pg_index t
        WHERE t.indrelid = named.oid AND (t.indisexclusion OR NOT t.indisvalid)),
    'index', CASE WHEN i.indrelid IS NOT NULL THEN pg_catalog.json_build_object(
        'table', i.indrelid::bigint,
        'table_name', (
            SELECT ARRAY[s.nspname, r.relname] FROM pg_catalog.pg_class r
            JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE r.oid = i.indrelid),
        'below', CASE WHEN named.relkind = 'I' THEN (
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'name', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint) ORDER BY r.oid)
            FROM pg_catalog.pg_partition_tree(i.indrelid::pg_catalog.regclass) p
            JOIN pg_catalog.pg_class r ON r.oid = p.relid::pg_catalog.oid
            JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
            WHERE p.level > 0) END,
        'valid', i.indisvalid,
        'definition', CASE WHEN NOT named.busy THEN pg_catalog.pg_get_indexdef(named.oid) END,
        'partitioned', named.relispartition OR named.relkind = 'I',
        'in_the_making', NOT i.indisvalid AND EXISTS (
            SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p
            WHERE p.index_relid = named.oid
            -- It is told a moment after the index is there which it is.
            OR (p.relid = i.indrelid AND p.index_relid = 0::pg_catalog.oid)
            OR (p.relid IS NULL AND p.datname = pg_catalog.current_database())),
        'backs_constraint', EXISTS (
            SELECT 1 FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.objid = named.oid
            AND d.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AND d.deptype = 'i')
        ) END,
    'rows', CASE WHEN named.reltuples >= 0 THEN named.reltuples::bigint END,
    'bytes', (SELECT pg_catalog.sum(sized.bytes) FROM sized WHERE sized.root = named.oid),
    'columns', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', a.attname, 'ty', pg_catalog.format_type(a.atttypid, a.atttypmod), 'base', t.name,
            'modifier', a.atttypmod, 'not_null', a.attnotnull, 'identity', a.attidentity <> '',
            'stored', a.attgenerated = 's', 'default', CASE WHEN NOT named.busy THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        -- Under its domains.
        CROSS JOIN LATERAL (
            WITH RECURSIVE under(oid) AS (
                SELECT a.atttypid
                UNION ALL
                SELECT y.typbasetype FROM under JOIN pg_catalog.pg_type y ON y.oid = under.oid WHERE y.typtype = 'd'
            )
            SELECT y.typname AS name FROM under JOIN pg_catalog.pg_type y ON y.oid = under.oid
            WHERE y.typtype <> 'd') t
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = named.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'constraints', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', k.conname, 'kind', k.contype, 'validated', k.convalidated,
            'definition', CASE WHEN NOT named.busy THEN pg_catalog.pg_get_constraintdef(k.oid) END,
            'part', EXISTS (
                SELECT 1 FROM pg_catalog.pg_constraint w WHERE w.oid = k.conparentid AND w.conrelid = k.conrelid),
            'restorable', k.conparentid = 0::pg_catalog.oid AND NOT EXISTS (
                SELECT 1 FROM pg_catalog.pg_description o
                WHERE o.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AND o.objoid = k.oid)
                AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O'),
            'references_oid', CASE WHEN k.contype = 'f' THEN k.confrelid::bigint END,
            'references', (
                SELECT ARRAY[s.nspname, r.relname] FROM pg_catalog.pg_class r
                JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE r.oid = k.confrelid),
            'commented', EXISTS (
                SELECT 1 FROM pg_catalog.pg_description d WHERE d.objoid = k.oid
                AND d.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid),
            'reference_partitions', (
                WITH RECURSIVE below(oid) AS (
                    SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = k.confrelid AND k.contype = 'f'
                    UNION
                    SELECT h.inhrelid FROM below JOIN pg_catalog.pg_inherits h ON h.inhparent = below.oid
                )
                SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                    'name', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint) ORDER BY r.oid)
                FROM below JOIN pg_catalog.pg_class r ON r.oid = below.oid AND r.relispartition
                JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace),
            'columns', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                FROM ROWS FROM (pg_catalog.unnest(k.conkey)) WITH ORDINALITY u(number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number)) ORDER BY k.oid)
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = named.oid),
    'indexes', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[s.nspname, r.relname], 'method', m.amname, 'unique', x.indisunique, 'valid', x.indisvalid,
            'partial', x.indpred IS NOT NULL,
            'expressions', x.indexprs IS NOT NULL OR x.indpred IS NOT NULL,
            'definition', CASE WHEN NOT named.busy THEN pg_catalog.pg_get_indexdef(x.indexrelid) END,
            'oid', x.indexrelid::bigint,
            'placed', r.reltablespace <> 0::pg_catalog.oid,
            'labels', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = x.indexrelid),
            -- What CompareIndexInfo (index.c) compares, by the names of the columns.
            'shape', CASE WHEN NOT named.busy THEN pg_catalog.json_build_array(
                m.amname, x.indisunique, pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(x), 'indnullsnotdistinct'),
                x.indisexclusion, x.indnatts, x.indnkeyatts, (
                    SELECT pg_catalog.json_agg(coalesce(a.attname::text, '') ORDER BY u.place)
                    FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY u(number, place)
                    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number),
                x.indcollation::text, (
                    SELECT pg_catalog.json_agg(o.opcfamily::bigint ORDER BY u.place)
                    FROM ROWS FROM (pg_catalog.unnest(x.indclass::pg_catalog.oid[])) WITH ORDINALITY u(oid, place)
                    JOIN pg_catalog.pg_opclass o ON o.oid = u.oid),
                pg_catalog.pg_get_expr(x.indexprs, x.indrelid), pg_catalog.pg_get_expr(x.indpred, x.indrelid))::text END,
            'restorable', NOT r.relispartition AND r.reltablespace = 0::pg_catalog.oid AND x.indisvalid
                AND NOT x.indisreplident AND NOT x.indisclustered AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_description o
                    WHERE o.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND o.objoid = r.oid)
                AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = r.oid AND a.attstattarget >= 0)
                AND NOT EXISTS (
                    -- A constraint, or an extension.
                    SELECT 1 FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.objid = r.oid
                    AND d.deptype = ANY (ARRAY['i', 'e']::"char"[]))
                AND NOT EXISTS (
                    -- A foreign key of somebody.
                    SELECT 1 FROM pg_catalog.pg_depend d
                    WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.refobjid = r.oid),
            'needs', (
                SELECT pg_catalog.json_agg(DISTINCT a.attname) FROM pg_catalog.pg_depend d
                JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.objid = r.oid
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                AND d.refobjid = x.indrelid AND d.refobjsubid > 0),
            'constraint', (
                SELECT k.conname FROM pg_catalog.pg_constraint k
                WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid
                AND k.contype = ANY (ARRAY['p', 'u', 'x']::"char"[]) LIMIT 1),
            'columns', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY u(number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
                WHERE u.place <= x.indnkeyatts)) ORDER BY x.indexrelid)
        FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class r ON r.oid = x.indexrelid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        JOIN pg_catalog.pg_am m ON m.oid = r.relam
        WHERE x.indrelid = named.oid),
    'referenced_by', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'table', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint, 'constraint', k.conname,
            'validated', k.convalidated, 'own', k.conparentid = 0::pg_catalog.oid,
            'bytes', (
                -- With what is below it.
                SELECT pg_catalog.sum(CASE WHEN EXISTS (
                    SELECT 1 FROM pg_catalog.pg_locks l
                    WHERE l.relation = b.oid AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid())
                THEN b.relpages::bigint * pg_catalog.current_setting('block_size')::bigint
                ELSE pg_catalog.pg_table_size(b.oid::pg_catalog.regclass) END)
                FROM pg_catalog.pg_class b WHERE b.oid = k.conrelid OR b.oid IN (
                    SELECT t.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(k.conrelid::pg_catalog.regclass) t)),
            'definition', CASE WHEN NOT named.busy AND NOT EXISTS (
                SELECT 1 FROM pg_catalog.pg_locks l
                WHERE l.relation = k.conrelid AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid())
                THEN pg_catalog.pg_get_constraintdef(k.oid) END,
            'restorable', k.conparentid = 0::pg_catalog.oid AND r.relkind = 'r' AND NOT r.relispartition
                AND pg_catalog.pg_has_role(r.relowner, 'USAGE') AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_description o
                    WHERE o.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AND o.objoid = k.oid)
                AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O'),
            'columns', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                FROM ROWS FROM (pg_catalog.unnest(k.confkey)) WITH ORDINALITY u(number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number)) ORDER BY k.oid)
        FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE k.confrelid = named.oid AND k.contype = 'f' AND k.conrelid <> named.oid),
    'truncated_with', (
        WITH RECURSIVE reached(oid) AS (
            SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.confrelid = named.oid AND k.contype = 'f'
            UNION
            SELECT k.conrelid FROM reached JOIN pg_catalog.pg_constraint k ON k.confrelid = reached.oid
            WHERE k.contype = 'f'
        )
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint) ORDER BY r.oid)
        FROM reached JOIN pg_catalog.pg_class r ON r.oid = reached.oid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE r.oid <> named.oid),
    'views', (
        -- Views that read it, and those that read these; with the columns of it that they need.
        WITH RECURSIVE reached(oid, number) AS (
            SELECT w.ev_class, d.refobjsubid FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
            WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
            AND d.refobjid = named.oid AND w.ev_class <> named.oid
            UNION
            SELECT w.ev_class, reached.number FROM reached JOIN pg_catalog.pg_depend d ON d.refobjid = reached.oid
            JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
            WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
        )
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint,
            'columns', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = named.oid AND a.attnum > 0
                AND a.attnum IN (SELECT reached.number FROM reached WHERE reached.oid = r.oid))) ORDER BY r.oid)
        FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE r.oid IN (SELECT reached.oid FROM reached) AND r.relkind = ANY (ARRAY['v', 'm']::"char"[])),
    'seen_by', (
        -- Who sees its rows: what it inherits from and what inherits from it, partitions among them, and views on any of these.
        WITH RECURSIVE above(oid) AS (
            SELECT named.oid WHERE named.relkind = ANY (ARRAY['r', 'p']::"char"[])
            UNION
            SELECT h.inhparent FROM above JOIN pg_catalog.pg_inherits h ON h.inhrelid = above.oid
        ),
        below(oid) AS (
            SELECT named.oid WHERE named.relkind = ANY (ARRAY['r', 'p']::"char"[])
            UNION
            SELECT h.inhrelid FROM below JOIN pg_catalog.pg_inherits h ON h.inhparent = below.oid
        ),
        seen(oid) AS (
            (SELECT above.oid FROM above UNION SELECT below.oid FROM below)
            UNION
            SELECT v.oid FROM seen JOIN pg_catalog.pg_depend d ON d.refobjid = seen.oid
            JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
            JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind = 'v'
            WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
        )
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint) ORDER BY r.oid)
        FROM seen JOIN pg_catalog.pg_class r ON r.oid = seen.oid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE r.oid <> named.oid),
    'reads', (
        WITH RECURSIVE reached(oid) AS (
            SELECT named.oid WHERE named.relkind = ANY (ARRAY['v', 'm']::"char"[])
            UNION
            SELECT d.refobjid FROM reached
            JOIN pg_catalog.pg_class v ON v.oid = reached.oid AND (v.relkind = 'v' OR v.oid = named.oid)
            JOIN pg_catalog.pg_rewrite w ON w.ev_class = v.oid
            JOIN pg_catalog.pg_depend d ON d.objid = w.oid
            WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
        )
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint) ORDER BY r.oid)
        FROM reached JOIN pg_catalog.pg_class r ON r.oid = reached.oid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE r.oid <> named.oid),
    'partitions', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[sized.nspname, sized.relname], 'oid', sized.oid::bigint, 'leaf', sized.leaf,
            'foreign', sized.relkind = 'f',
            'constraints', (
                SELECT pg_catalog.json_agg(k.conname ORDER BY k.oid) FROM pg_catalog.pg_constraint k
                WHERE k.conrelid = sized.oid),
            'not_null', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = sized.oid AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped),
            'odd_not_null', (
                SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_constraint k
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
                WHERE k.conrelid = sized.oid AND k.contype = 'n' AND (NOT k.convalidated OR k.connoinherit)),
            'fill', sized.fill,
            'owned', pg_catalog.pg_has_role(sized.relowner, 'USAGE'),
            'own_keys', (
                SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                    'references', k.confrelid::bigint, 'validated', k.convalidated,
                    'rules', pg_catalog.concat(
                        k.confmatchtype, k.confupdtype, k.confdeltype, k.condeferrable, k.condeferred),
                    'columns', (
                        SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                        FROM ROWS FROM (pg_catalog.unnest(k.conkey)) WITH ORDINALITY u(number, place)
                        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number),
                    'reference_columns', (
                        SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
                        FROM ROWS FROM (pg_catalog.unnest(k.confkey)) WITH ORDINALITY u(number, place)
                        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number)) ORDER BY k.oid)
                FROM pg_catalog.pg_constraint k
                WHERE k.conrelid = sized.oid AND k.contype = 'f' AND k.conparentid = 0::pg_catalog.oid),
            'indexes', (
                SELECT pg_catalog.json_agg((
                    SELECT pg_catalog.json_agg(coalesce(a.attname::text, '') ORDER BY u.place)
                    FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY u(number, place)
                    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
                    WHERE u.place <= x.indnkeyatts))
                FROM pg_catalog.pg_index x
                WHERE x.indrelid = sized.oid AND NOT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.indexrelid)),
            'default', sized.is_default, 'parent', sized.parent, 'bytes', sized.bytes) ORDER BY sized.depth, sized.oid)
        FROM sized WHERE sized.root = named.oid AND sized.oid <> named.oid AND named.relkind = 'p'),
    'owned', pg_catalog.pg_has_role(named.relowner, 'USAGE'),
    'needed', (
        -- What DROP without CASCADE would stumble over (findDependentObjects in dependency.c), by the column that it needs: all
        -- that goes with the table or the column by itself, and what needs something of that and does not go by itself.
        WITH RECURSIVE below(class, oid, sub, root, kind) AS (
            SELECT d.classid, d.objid, d.objsubid, d.refobjsubid, d.deptype FROM pg_catalog.pg_depend d
            WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.refobjid = named.oid
            AND named.relkind = 'r'
            UNION
            SELECT d.classid, d.objid, d.objsubid, below.root, d.deptype FROM below
            JOIN pg_catalog.pg_depend d ON d.refclassid = below.class AND d.refobjid = below.oid
            AND (below.sub = 0 OR d.refobjsubid = below.sub)
            WHERE below.kind <> 'n'
        )
        SELECT pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_object('column', a.attname, 'inside', EXISTS (
            SELECT 1 FROM below own WHERE own.class = n.class AND own.oid = n.oid AND own.kind <> 'n')))
        FROM below n LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = named.oid AND a.attnum = n.root AND n.root > 0
        WHERE n.kind = 'n' AND NOT EXISTS (
            SELECT 1 FROM below own
            WHERE own.class = n.class AND own.oid = n.oid AND own.kind <> 'n' AND own.root = n.root)),
    'unpopulated', named.relkind = 'm' AND NOT named.relispopulated,
    'refreshable', named.relkind = 'm' AND named.relispopulated AND pg_catalog.has_database_privilege(
        named.relowner, (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()), 'TEMP'),
    'partition_key', (
        SELECT pg_catalog.json_build_object('range', k.partstrat = 'r', 'column', a.attname)
        FROM pg_catalog.pg_partitioned_table k
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.partrelid AND a.attnum = k.partattrs[0]
        JOIN pg_catalog.pg_opclass o ON o.oid = k.partclass[0]
        JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
        WHERE k.partrelid = named.oid AND k.partnatts = 1 AND k.partexprs IS NULL AND k.partstrat <> 'h'
        AND o.opcdefault AND m.amname = 'btree' AND k.partcollation[0] = a.attcollation),
    -- The columns by which rows find their partitions, at every level; one that is no column is null.
    'partition_columns', CASE WHEN named.relkind = 'p' THEN (
        SELECT pg_catalog.json_agg(DISTINCT a.attname)
        FROM pg_catalog.pg_partitioned_table k
        CROSS JOIN LATERAL pg_catalog.unnest(k.partattrs::pg_catalog.int2[]) u(number)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.partrelid AND a.attnum = u.number AND a.attnum > 0
        WHERE k.partrelid = named.oid OR k.partrelid IN (
            SELECT t.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(named.oid::pg_catalog.regclass) t)) END,
    'heirs', (
        WITH RECURSIVE below(oid) AS (
            SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = named.oid AND named.relkind = 'r'
            UNION
            SELECT h.inhrelid FROM below JOIN pg_catalog.pg_inherits h ON h.inhparent = below.oid
        )
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', ARRAY[s.nspname, r.relname], 'oid', r.oid::bigint,
            'bytes', CASE WHEN EXISTS (
                SELECT 1 FROM pg_catalog.pg_locks l
                WHERE l.relation = r.oid AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid())
            THEN r.relpages::bigint * pg_catalog.current_setting('block_size')::bigint
            ELSE pg_catalog.pg_table_size(r.oid::pg_catalog.regclass) END) ORDER BY r.oid)
        FROM below JOIN pg_catalog.pg_class r ON r.oid = below.oid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace),
    'fill', (SELECT sized.fill FROM sized WHERE sized.root = named.oid AND sized.oid = named.oid LIMIT 1),
    'owner', CASE WHEN pg_catalog.pg_get_userbyid(named.relowner) <> current_user
        THEN pg_catalog.pg_get_userbyid(named.relowner) END,
    'has_kin', EXISTS (
        SELECT 1 FROM pg_catalog.pg_inherits h
        WHERE (h.inhparent = named.oid AND named.relkind <> 'p') OR (h.inhrelid = named.oid AND NOT named.relispartition)),
    'parent', (
        SELECT ARRAY[s.nspname, r.relname] FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class r ON r.oid = h.inhparent
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE h.inhrelid = named.oid AND named.relispartition),
    'bound', CASE WHEN named.relispartition AND NOT named.busy
        THEN pg_catalog.pg_get_expr(named.relpartbound, named.oid) END,
    'bound_condition', CASE WHEN named.relispartition AND NOT named.busy
        THEN pg_catalog.pg_get_partition_constraintdef(named.oid) END,
    'partitionable', named.relkind = 'p' AND named.reltablespace = 0::pg_catalog.oid AND named.relam = 0::pg_catalog.oid
        AND pg_catalog.pg_has_role(named.relowner, 'USAGE') AND pg_catalog.has_table_privilege(named.oid, 'SELECT'),
    'parent_oid', (
        SELECT h.inhparent::bigint FROM pg_catalog.pg_inherits h WHERE h.inhrelid = named.oid AND named.relispartition),
    'detachable', EXISTS (
        -- Beside no default partition and none that is half detached; foreign keys lock other tables while it is detached.
        SELECT 1 FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_partitioned_table d ON d.partrelid = h.inhparent
        JOIN pg_catalog.pg_class r ON r.oid = h.inhparent
        WHERE h.inhrelid = named.oid AND named.relispartition AND d.partdefid = 0::pg_catalog.oid
        AND pg_catalog.pg_has_role(r.relowner, 'USAGE')
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_inherits o WHERE o.inhparent = h.inhparent
            AND pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(o), 'inhdetachpending') = 'true')
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.conrelid = h.inhparent AND k.contype = 'f')
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.confrelid = h.inhparent AND k.contype = 'f')),
    'pending', (
        -- The mark is there since 14.
        SELECT ARRAY[s.nspname, r.relname] FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class r ON r.oid = h.inhrelid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE h.inhparent = named.oid AND named.relkind = 'p'
        AND pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(h), 'inhdetachpending') = 'true' LIMIT 1),
    'default_beside', (
        SELECT ARRAY[s.nspname, r.relname] FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_partitioned_table d ON d.partrelid = h.inhparent
        JOIN pg_catalog.pg_class r ON r.oid = d.partdefid
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE h.inhrelid = named.oid AND named.relispartition AND r.oid <> named.oid)
)::text
FROM named
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = named.oid
ORDER BY named.place
