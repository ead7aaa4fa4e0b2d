-- A relation is new in this transaction when the oldest row of its columns was written by a transaction that is visible
-- here and still in progress: ALTER TABLE rewrites the pg_class row, but never the rows of the system columns.
coalesce((
    SELECT pg_catalog.pg_xact_status(x.xid::text::pg_catalog.xid8) = 'in progress'
    FROM (
        SELECT CASE WHEN y.near > (y.xid + 2147483648) THEN y.near - 4294967296 ELSE y.near END AS xid
        FROM (
            SELECT top.xid, ((top.xid >> 32) << 32) + a.xmin::text::bigint AS near
            FROM top, (
                SELECT a.xmin FROM pg_catalog.pg_attribute a WHERE a.attrelid = named.oid ORDER BY a.attnum LIMIT 1
            ) a
        ) y
    ) x
    WHERE x.xid >= 0), false)
