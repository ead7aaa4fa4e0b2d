-- One JSON object for each name of $1 that means functions: the worst volatility among them. Nobody knows how stable one is of somebody's
-- own that is called like one of Postgres'.
SELECT pg_catalog.json_build_object('place', n.place, 'volatility', pg_catalog.max(
    CASE WHEN p.provolatile = 's' AND s.nspname <> 'pg_catalog' AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_proc o
        WHERE o.proname = p.proname AND o.pronamespace = 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid)
    THEN 'v' ELSE p.provolatile::text END))::text
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]))
    WITH ORDINALITY n(schema, name, place)
JOIN pg_catalog.pg_proc p ON p.proname = n.name::pg_catalog.name
JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace
WHERE CASE WHEN n.schema = '' THEN s.nspname = ANY (pg_catalog.current_schemas(true)) ELSE s.nspname = n.schema::pg_catalog.name END
-- Up to 14 one of the timezones was volatile: that of a time with time zone, which nobody means (pg_proc.dat).
AND NOT (p.proname = 'timezone' AND s.nspname = 'pg_catalog' AND p.prorettype = 'timetz'::pg_catalog.regtype)
GROUP BY n.place
ORDER BY n.place
