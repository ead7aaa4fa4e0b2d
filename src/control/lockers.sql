-- Functions and procedures that may lock what others need: those whose source holds DDL or runs texts, and those that call one of them.
-- Strings and comments count like anything else: a function too many is only watched. Triggers are left out, since nobody calls them
-- by name. In the source one blank stands between words, and a parenthesis right behind the name before it.
WITH RECURSIVE own AS MATERIALIZED (
    SELECT p.oid, p.proname::text AS name, lower(p.proname::text) AS called,
        replace(regexp_replace(lower(p.prosrc), '[^[:alnum:]_$(]+', ' ', 'g'), ' (', '(') AS source
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE l.lanname NOT IN ('c', 'internal') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND p.prokind IN ('f', 'p')
        AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)),
calls AS MATERIALIZED (
    SELECT DISTINCT o.oid, o.called AS caller, m.found[1] AS called
    FROM own o CROSS JOIN LATERAL regexp_matches(o.source, '([[:alnum:]_$]+)\(', 'g') m(found)
    WHERE m.found[1] IN (SELECT k.called FROM own k)),
judged AS MATERIALIZED (
    SELECT o.oid, o.called, o.source ~ (
        '\malter (table|index|view|materialized|sequence|type|domain|trigger|policy|rule|foreign|schema|extension|publication)\M'
        '|\mcreate (unique|index|trigger|constraint|event|rule|policy|table|unlogged|foreign|materialized|extension|publication|statistics|or replace (trigger|rule|view))\M'
        '|\mdrop (table|index|view|materialized|sequence|type|domain|trigger|policy|rule|foreign|schema|extension|owned|function|column|constraint)\M'
        '|\mtruncate\M|\mreindex\M|\mcluster\M|\mrefresh materialized\M|\mlock [a-z_]|\mcomment on\M|\mreassign owned\M') AS ddl,
        strpos(o.source, 'execute') > 0 AS runs
    FROM own o),
lockers AS (
    SELECT oid, called, ddl FROM judged WHERE ddl OR runs
    UNION
    SELECT c.oid, c.caller, l.ddl FROM lockers l JOIN calls c ON c.called = l.called)
SELECT o.name, bool_or(l.ddl) FROM lockers l JOIN own o USING (oid) GROUP BY o.name
