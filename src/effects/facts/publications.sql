-- The publications that publish updates of a table in a way that the server then refuses to update it (CheckCmdReplicaIdentity in
-- execReplication.c), each with what is wrong. Schemas, filters, lists of columns and generated columns came after 13.
CASE WHEN sized.relpersistence = 'p' AND sized.relkind = 'r' THEN (
    WITH kin AS (
        SELECT c.oid, c.relnamespace AS namespace FROM pg_catalog.pg_class c
        WHERE c.oid = sized.oid OR c.oid = ANY (ARRAY(
            SELECT h.relid::pg_catalog.oid
            FROM ROWS FROM (pg_catalog.pg_partition_ancestors(sized.oid::pg_catalog.regclass)) h(relid)))
    ),
    published AS (
        SELECT p.oid, p.pubname, p.pubviaroot,
            pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(p), 'pubgencols') AS generated
        FROM pg_catalog.pg_publication p
        WHERE p.pubupdate AND (p.puballtables OR EXISTS (
            SELECT 1 FROM kin JOIN pg_catalog.pg_publication_rel l ON l.prrelid = kin.oid AND l.prpubid = p.oid)
            OR EXISTS (
                SELECT 1 FROM pg_catalog.pg_depend mine
                JOIN pg_catalog.pg_depend other ON other.classid = mine.classid AND other.objid = mine.objid
                JOIN kin ON kin.namespace = other.refobjid
                WHERE mine.refclassid = 'pg_catalog.pg_publication'::pg_catalog.regclass::pg_catalog.oid
                AND mine.refobjid = p.oid
                AND mine.classid = pg_catalog.to_regclass('pg_catalog.pg_publication_namespace')::pg_catalog.oid
                AND other.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid))
    ),
    limited AS (
        SELECT l.prpubid AS pub, l.prrelid AS table, pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(l), 'prqual') AS filter,
            pg_catalog.translate(pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(l), 'prattrs'), '[]', '{}')::pg_catalog.int2[] AS list
        FROM pg_catalog.pg_publication_rel l JOIN published p ON p.oid = l.prpubid JOIN kin ON kin.oid = l.prrelid
        WHERE kin.oid = sized.oid OR p.pubviaroot
    ),
    identity AS (
        SELECT (
            SELECT pg_catalog.array_agg(a.attname)
            FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY u(number, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
            WHERE u.place <= x.indnkeyatts) AS columns
        FROM pg_catalog.pg_index x
        WHERE x.indrelid = sized.oid AND x.indisunique AND x.indisvalid AND x.indimmediate AND x.indpred IS NULL
        AND ((sized.relreplident = 'd' AND x.indisprimary) OR (sized.relreplident = 'i' AND x.indisreplident))
    ),
    judged AS (
        SELECT p.pubname, CASE
            WHEN sized.relreplident <> 'f' AND NOT EXISTS (SELECT 1 FROM identity) THEN 'no_identity'
            WHEN sized.relreplident <> 'f' AND EXISTS (
                SELECT 1 FROM limited l CROSS JOIN identity i
                CROSS JOIN LATERAL pg_catalog.regexp_matches(l.filter, ':varattno ([0-9]+)', 'g') v(found)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = l.table AND a.attnum = v.found[1]::pg_catalog.int2
                WHERE l.pub = p.oid AND a.attname <> ALL (i.columns)) THEN 'filter'
            WHEN EXISTS (
                SELECT 1 FROM limited l
                WHERE l.pub = p.oid AND l.list IS NOT NULL AND (sized.relreplident = 'f' OR EXISTS (
                    SELECT 1 FROM identity i CROSS JOIN LATERAL pg_catalog.unnest(i.columns) own(name)
                    WHERE NOT EXISTS (
                        SELECT 1 FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid = l.table AND a.attname = own.name AND a.attnum = ANY (l.list))))) THEN 'list'
            WHEN p.generated IS NOT NULL AND EXISTS (
                SELECT 1 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = sized.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND (a.attgenerated = 'v' OR (a.attgenerated = 's' AND p.generated <> 's'))
                AND (sized.relreplident = 'f' OR EXISTS (SELECT 1 FROM identity i WHERE a.attname = ANY (i.columns)))
                AND NOT EXISTS (
                    SELECT 1 FROM limited l WHERE l.pub = p.oid AND l.list IS NOT NULL)) THEN 'generated'
            END AS wrong
        FROM published p
    )
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', judged.pubname, 'wrong', judged.wrong) ORDER BY judged.pubname)
    FROM judged WHERE judged.wrong IS NOT NULL) END
