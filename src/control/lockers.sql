-- Functions and procedures that may lock what others need: those whose source holds DDL, outside comments, or runs texts; and those
-- that call one of them. Triggers are left out, since nobody calls them by name.
WITH RECURSIVE own AS MATERIALIZED (
    SELECT p.oid, p.proname::text AS name, lower(p.proname::text) AS called,
        regexp_replace(regexp_replace(lower(p.prosrc), '/\*.*?\*/', ' ', 'g'), '--[^\n]*', ' ', 'g') AS source
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE l.lanname NOT IN ('c', 'internal') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND p.prokind IN ('f', 'p')
        AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)),
written AS MATERIALIZED (
    SELECT o.oid, o.source ~ (
        '\malter\s+(table|index|view|materialized|sequence|type|domain|trigger|policy|rule|foreign|schema|extension|publication)\M'
        '|\mcreate\s+(unique|index|trigger|constraint|event|rule|policy|table|foreign|materialized|extension|publication|statistics|or\s+replace\s+(trigger|rule|view))\M'
        '|\mdrop\s+(table|index|view|materialized|sequence|type|domain|trigger|policy|rule|foreign|schema|extension|owned|function|column|constraint)\M'
        '|\mtruncate\M|\mreindex\M|\mcluster\M|\mrefresh\s+materialized\M|\mlock\s+[a-z_"]|\mcomment\s+on\M|\mreassign\s+owned\M') AS ddl
    FROM own o),
lockers AS (
    SELECT o.oid, w.ddl FROM own o JOIN written w USING (oid) WHERE w.ddl OR o.source ~ '\mexecute\M'
    UNION
    SELECT o.oid, l.ddl FROM lockers l JOIN own k ON k.oid = l.oid
    JOIN own o ON o.oid <> k.oid AND strpos(o.source, k.called) > 0
        AND k.called ~ '^\w+$' AND o.source ~ ('\m' || k.called || '"?\s*\('))
SELECT o.name, bool_or(l.ddl), bool_or(o.source ~ '\m(commit|rollback|call)\M')
FROM lockers l JOIN own o USING (oid) GROUP BY o.name
