-- Schema `lockkeeper`: what is queued in a transaction and carried out after its COMMIT.
--
-- The whole of it, installed or brought up to date in one transaction, by the role that is to own it. Nobody else gets
-- a right on a table: the functions at the end are what clients may call, each with the rights of the owner and under a search path that
-- nobody can change.

BEGIN;

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';
SET LOCAL standard_conforming_strings = on;

-- One installs at a time.
DO 'BEGIN PERFORM pg_advisory_xact_lock(1818979440, 0); END';

DO $lockkeeper$
DECLARE
    own record;
    there integer;
BEGIN
    SELECT n.oid, n.nspowner, r.rolname, r.rolsuper OR r.rolname = current_user AS trusted INTO own
        FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE n.nspname = 'lockkeeper';
    IF NOT FOUND THEN
        CREATE SCHEMA lockkeeper;
        COMMENT ON SCHEMA lockkeeper IS 'What lockkeeper runs after a COMMIT; installed by lockkeeper init';
        RETURN;
    END IF;
    -- What somebody else has made must not be run with the rights of whoever installs.
    IF NOT own.trusted THEN
        RAISE EXCEPTION 'schema "lockkeeper" belongs to role "%"', own.rolname USING ERRCODE = '42501',
            HINT = 'Install it as that role, or drop the schema if nobody needs it.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = own.oid AND c.relname = 'meta' AND c.relkind = 'r'
            AND c.relowner = own.nspowner)
        OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = own.oid AND p.proowner <> own.nspowner) THEN
        RAISE EXCEPTION 'there is a schema "lockkeeper" that is not of this program' USING ERRCODE = '42P06',
            HINT = 'Rename it, or drop it if nobody needs it.';
    END IF;
    SELECT m.version INTO there FROM lockkeeper.meta m;
    IF there > 2 THEN
        RAISE EXCEPTION 'schema "lockkeeper" has version %, and this program knows versions up to 2', there
            USING ERRCODE = '55000', HINT = 'Use a newer lockkeeper.';
    END IF;
END $lockkeeper$;

CREATE TABLE IF NOT EXISTS lockkeeper.meta (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE IF NOT EXISTS lockkeeper.batch AS integer;

-- What one transaction has queued is a batch; its tasks run in the order of their numbers, one after the other.
CREATE TABLE IF NOT EXISTS lockkeeper.task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch integer NOT NULL,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'done', 'failed', 'dropped')),
    -- The statement; taken away when the task is done, since it may hold what is nobody's business.
    sql text,
    -- What people are shown of it.
    title text NOT NULL,
    tag text NOT NULL,
    settings jsonb NOT NULL,
    background boolean NOT NULL,
    -- Who has logged in and queued it, by number and name: in a restored database a number may be somebody else's.
    login oid NOT NULL,
    queued_by name NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    application_name text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    begun_at timestamptz,
    ended_at timestamptz,
    ended_by name,
    failure text,
    why text,
    CHECK (sql IS NOT NULL OR state IN ('done', 'dropped'))
);

-- Version 2. What the statement named when it was queued, each with its oid, that of an index with its table's; a number may be another
-- relation's in a restored database, where the task is not run then.
ALTER TABLE lockkeeper.task ADD COLUMN IF NOT EXISTS about jsonb;
DROP FUNCTION IF EXISTS lockkeeper.tasks();
-- How far it has come where its work is committed part by part, in the words of whoever carries it out.
ALTER TABLE lockkeeper.task ADD COLUMN IF NOT EXISTS at jsonb;

CREATE INDEX IF NOT EXISTS task_open ON lockkeeper.task (batch, id) WHERE state IN ('queued', 'running', 'failed');
CREATE INDEX IF NOT EXISTS task_ended ON lockkeeper.task (ended_at) WHERE state IN ('done', 'dropped');

-- Whether a session holds the lock of a batch, which is held by whoever carries it out; the number of its process.
CREATE OR REPLACE FUNCTION lockkeeper.holder(batch integer) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $lockkeeper$
    SELECT l.pid FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1818979440 AND l.objid = $1::bigint::oid AND l.objsubid = 2
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    LIMIT 1
$lockkeeper$;

-- Whether a role is the one that has logged in.
CREATE OR REPLACE FUNCTION lockkeeper.is_session(login oid, name name) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $lockkeeper$
    SELECT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = session_user AND r.oid = $1 AND r.rolname = $2)
$lockkeeper$;

-- Whether who has logged in may see such a task and give it up: its own ones, those of roles that it may become, and all of
-- them where it may read the table.
CREATE OR REPLACE FUNCTION lockkeeper.is_seen(login oid, name name) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $lockkeeper$
    SELECT has_table_privilege(session_user, 'lockkeeper.task', 'SELECT')
        OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = $1 AND r.rolname = $2
            AND pg_has_role(session_user, r.oid,
                CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END))
$lockkeeper$;

CREATE OR REPLACE FUNCTION lockkeeper.version() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
    SELECT m.version FROM lockkeeper.meta m
$lockkeeper$;

-- Queues what is to be run in order once the transaction is committed; gives the numbers of the tasks.
CREATE OR REPLACE FUNCTION lockkeeper.queue(tasks jsonb, background boolean DEFAULT false) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
DECLARE
    entry jsonb;
    number integer;
    queuer oid := (SELECT r.oid FROM pg_roles r WHERE r.rolname = session_user);
    made bigint;
BEGIN
    IF (CASE WHEN jsonb_typeof(tasks) = 'array' THEN jsonb_array_length(tasks) BETWEEN 1 AND 1000 END) IS NOT TRUE THEN
        RAISE EXCEPTION 'tasks must be an array of 1 to 1000 tasks' USING ERRCODE = '22023';
    END IF;
    IF octet_length(tasks::text) > 16777216 THEN
        RAISE EXCEPTION 'tasks have more than 16 MB' USING ERRCODE = '54000';
    END IF;
    number := nextval('lockkeeper.batch');
    FOR entry IN SELECT e.value FROM jsonb_array_elements(tasks) WITH ORDINALITY e (value, at) ORDER BY e.at LOOP
        IF (jsonb_typeof(entry) = 'object'
                AND jsonb_typeof(entry -> 'sql') = 'string' AND octet_length(entry ->> 'sql') BETWEEN 1 AND 1048576
                AND jsonb_typeof(entry -> 'title') = 'string' AND length(entry ->> 'title') BETWEEN 1 AND 1000
                AND jsonb_typeof(entry -> 'tag') = 'string' AND length(entry ->> 'tag') BETWEEN 1 AND 100
                AND jsonb_typeof(entry -> 'settings') = 'object') IS NOT TRUE THEN
            RAISE EXCEPTION 'a task must have the texts "sql" (1 MB at most), "title" and "tag", and the object "settings"'
                USING ERRCODE = '22023';
        END IF;
        IF (SELECT count(*) > 50 OR bool_or(jsonb_typeof(s.value) <> 'string' OR octet_length(s.key || s.value::text) > 10000)
                FROM jsonb_each(entry -> 'settings') s) THEN
            RAISE EXCEPTION 'the settings of a task must be 50 texts at most, of 10000 bytes each' USING ERRCODE = '22023';
        END IF;
        IF entry ? 'about' AND (CASE WHEN jsonb_typeof(entry -> 'about') = 'object' THEN octet_length(entry ->> 'about') <= 100000
                AND NOT EXISTS (SELECT FROM jsonb_each(entry -> 'about') a WHERE a.value::text !~ '^[0-9]{1,10}$') END) IS NOT TRUE THEN
            RAISE EXCEPTION 'what a task is about must be an object of oids, of 100000 bytes at most' USING ERRCODE = '22023';
        END IF;
        INSERT INTO lockkeeper.task (batch, sql, title, tag, settings, about, background, login, queued_by, application_name)
            VALUES (number, entry ->> 'sql', entry ->> 'title', entry ->> 'tag', entry -> 'settings', entry -> 'about',
                coalesce(queue.background, false), queuer, session_user, current_setting('application_name'))
            RETURNING id INTO made;
        RETURN NEXT made;
    END LOOP;
END $lockkeeper$;

-- Takes a task up: whether the session is to run it. Until the batch is over the session holds its lock.
CREATE OR REPLACE FUNCTION lockkeeper.begin_task(wanted bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
DECLARE
    number integer;
    mine boolean;
    taken boolean := false;
    squatter record;
BEGIN
    SELECT t.batch INTO number FROM lockkeeper.task t WHERE t.id = wanted AND lockkeeper.is_session(t.login, t.queued_by);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task % of role "%"', wanted, session_user USING ERRCODE = '42501',
            DETAIL = 'A task is run by the role that has logged in and queued it, and by no other.';
    END IF;
    mine := EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid()
        AND l.classid = 1818979440 AND l.objid = number::bigint::oid AND l.objsubid = 2);
    IF NOT mine THEN
        taken := pg_try_advisory_lock(1818979440, number);
        IF NOT taken THEN
            -- Anybody can take any advisory lock: that somebody is in the way must not look like somebody at work.
            SELECT a.pid, a.usename INTO squatter FROM pg_stat_activity a
                WHERE a.pid = lockkeeper.holder(number) AND a.usename IS DISTINCT FROM session_user;
            IF FOUND THEN
                RAISE EXCEPTION 'process % of role "%" keeps the lock of task %', squatter.pid, squatter.usename, wanted
                    USING ERRCODE = '55006', HINT = format('End it: SELECT pg_terminate_backend(%s);', squatter.pid);
            END IF;
            RETURN false;
        END IF;
    END IF;
    -- What another session has done meanwhile is seen only now; where the isolation level forbids that, it has changed the row.
    BEGIN
        IF NOT EXISTS (SELECT FROM lockkeeper.task t WHERE t.batch = number AND t.id < wanted
                AND t.state IN ('queued', 'running', 'failed')) THEN
            UPDATE lockkeeper.task t SET state = 'running', begun_at = clock_timestamp(), attempts = t.attempts + 1,
                    ended_at = NULL, ended_by = NULL, failure = NULL
                WHERE t.id = wanted AND t.state IN ('queued', 'running', 'failed');
            IF FOUND THEN
                RETURN true;
            END IF;
        END IF;
    EXCEPTION
        WHEN serialization_failure THEN
            NULL;
        -- The lock outlives the statement.
        WHEN query_canceled OR OTHERS THEN
            IF taken THEN
                PERFORM pg_advisory_unlock(1818979440, number);
            END IF;
            RAISE;
    END;
    IF taken THEN
        PERFORM pg_advisory_unlock(1818979440, number);
    END IF;
    RETURN false;
END $lockkeeper$;

-- Ends the task that the session runs: done, or failed with these words. Where nothing of the batch is left to do now, its lock is given up.
CREATE OR REPLACE FUNCTION lockkeeper.end_task(wanted bigint, failure text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
DECLARE
    number integer;
BEGIN
    UPDATE lockkeeper.task t SET ended_at = clock_timestamp(), ended_by = session_user,
            state = CASE WHEN end_task.failure IS NULL THEN 'done' ELSE 'failed' END,
            sql = CASE WHEN end_task.failure IS NULL THEN NULL ELSE t.sql END,
            failure = left(end_task.failure, 10000)
        WHERE t.id = wanted AND t.state = 'running' AND lockkeeper.is_session(t.login, t.queued_by)
            AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid()
                AND l.classid = 1818979440 AND l.objid = t.batch::bigint::oid AND l.objsubid = 2)
        RETURNING t.batch INTO number;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task % is not run by this session', wanted USING ERRCODE = '55000';
    END IF;
    IF end_task.failure IS NOT NULL OR NOT EXISTS (
            SELECT FROM lockkeeper.task t WHERE t.batch = number AND t.state IN ('queued', 'running', 'failed')) THEN
        PERFORM pg_advisory_unlock(1818979440, number);
        -- Those that are over are kept for a month.
        BEGIN
            DELETE FROM lockkeeper.task t WHERE t.id IN (SELECT o.id FROM lockkeeper.task o
                WHERE o.state IN ('done', 'dropped') AND o.ended_at < now() - interval '30 days'
                ORDER BY o.ended_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
        EXCEPTION WHEN serialization_failure THEN
            NULL;
        END;
    END IF;
END $lockkeeper$;

-- The task that the session runs, and how far it has come.
CREATE OR REPLACE FUNCTION lockkeeper.my_task() RETURNS TABLE (id bigint, sql text, at jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
    SELECT t.id, t.sql, t.at FROM lockkeeper.task t
    WHERE t.state = 'running' AND lockkeeper.is_session(t.login, t.queued_by)
        AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid()
            AND l.classid = 1818979440 AND l.objid = t.batch::bigint::oid AND l.objsubid = 2)
    ORDER BY t.id LIMIT 1
$lockkeeper$;

-- Notes how far the task that the session runs has come: in the same transaction as the work itself.
CREATE OR REPLACE FUNCTION lockkeeper.advance_task(wanted bigint, at jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
BEGIN
    IF octet_length(advance_task.at::text) > 1048576 THEN
        RAISE EXCEPTION 'how far a task has come takes more than 1 MB to say' USING ERRCODE = '54000';
    END IF;
    UPDATE lockkeeper.task t SET at = advance_task.at
        WHERE t.id = wanted AND t.state = 'running' AND lockkeeper.is_session(t.login, t.queued_by)
            AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid()
                AND l.classid = 1818979440 AND l.objid = t.batch::bigint::oid AND l.objsubid = 2);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task % is not run by this session', wanted USING ERRCODE = '55000';
    END IF;
END $lockkeeper$;

-- Gives a batch back, as it is, for somebody else to go on with.
CREATE OR REPLACE FUNCTION lockkeeper.leave_batch(wanted bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
DECLARE
    number integer;
BEGIN
    SELECT t.batch INTO number FROM lockkeeper.task t WHERE t.id = wanted AND lockkeeper.is_session(t.login, t.queued_by)
        AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid()
            AND l.classid = 1818979440 AND l.objid = t.batch::bigint::oid AND l.objsubid = 2);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the batch of task % is not run by this session', wanted USING ERRCODE = '55000';
    END IF;
    -- That was no attempt.
    UPDATE lockkeeper.task t SET state = 'queued', background = true, attempts = greatest(t.attempts - 1, 0) WHERE t.batch = number AND t.state = 'running';
    PERFORM pg_advisory_unlock(1818979440, number);
END $lockkeeper$;

-- Gives a task up, with the reason; the later ones of its batch stay.
CREATE OR REPLACE FUNCTION lockkeeper.drop_task(wanted bigint, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
DECLARE
    number integer;
    was text;
    runner integer;
BEGIN
    SELECT t.batch, t.state INTO number, was FROM lockkeeper.task t
        WHERE t.id = wanted AND lockkeeper.is_seen(t.login, t.queued_by);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task % that role "%" may give up', wanted, session_user USING ERRCODE = '42501';
    END IF;
    IF length(btrim(why)) BETWEEN 1 AND 1000 IS NOT TRUE THEN
        RAISE EXCEPTION 'say in up to 1000 characters why task % is given up', wanted USING ERRCODE = '22023';
    END IF;
    IF was IN ('done', 'dropped') THEN
        RAISE EXCEPTION 'task % is % already', wanted, was USING ERRCODE = '55000';
    END IF;
    runner := lockkeeper.holder(number);
    IF was = 'running' AND NOT pg_try_advisory_xact_lock(1818979440, number) THEN
        RAISE EXCEPTION 'task % is being carried out by process %', wanted, runner USING ERRCODE = '55006',
            HINT = format('Cancel that first: SELECT pg_cancel_backend(%s);', runner);
    END IF;
    -- Whoever has begun it meanwhile has changed the row.
    UPDATE lockkeeper.task t SET state = 'dropped', sql = NULL, ended_at = clock_timestamp(), ended_by = session_user,
            why = btrim(drop_task.why)
        WHERE t.id = wanted AND t.state = was;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task % has been taken up meanwhile', wanted USING ERRCODE = '55006';
    END IF;
END $lockkeeper$;

-- The tasks that who has logged in may see. One that is marked as running while nobody holds the lock of its batch is left over.
CREATE OR REPLACE FUNCTION lockkeeper.tasks() RETURNS TABLE (
    id bigint, batch integer, state text, title text, tag text, sql text, settings jsonb, background boolean,
    queued_by name, queued_at timestamptz, application_name text, attempts integer, begun_at timestamptz,
    ended_at timestamptz, ended_by name, failure text, why text, pid integer, mine boolean, about jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockkeeper$
    WITH held AS MATERIALIZED (
        SELECT l.objid, a.usesysid AS login, min(l.pid) AS pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1818979440 AND l.objsubid = 2
            AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        GROUP BY l.objid, a.usesysid)
    SELECT t.id, t.batch, CASE WHEN t.state = 'running' AND h.pid IS NULL THEN 'left over' ELSE t.state END,
        t.title, t.tag, t.sql, t.settings, t.background, t.queued_by, t.queued_at, t.application_name, t.attempts,
        t.begun_at, t.ended_at, t.ended_by, t.failure, t.why,
        CASE WHEN t.state IN ('queued', 'running', 'failed') THEN h.pid END,
        lockkeeper.is_session(t.login, t.queued_by), t.about
    FROM lockkeeper.task t LEFT JOIN held h ON h.objid = t.batch::bigint::oid AND h.login = t.login
    WHERE lockkeeper.is_seen(t.login, t.queued_by)
    ORDER BY t.id
$lockkeeper$;

REVOKE ALL ON ALL TABLES IN SCHEMA lockkeeper FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA lockkeeper FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA lockkeeper FROM PUBLIC;
REVOKE ALL ON SCHEMA lockkeeper FROM PUBLIC;
GRANT USAGE ON SCHEMA lockkeeper TO PUBLIC;
GRANT EXECUTE ON FUNCTION
    lockkeeper.version(), lockkeeper.queue(jsonb, boolean), lockkeeper.begin_task(bigint), lockkeeper.end_task(bigint, text),
    lockkeeper.leave_batch(bigint), lockkeeper.drop_task(bigint, text), lockkeeper.my_task(),
    lockkeeper.advance_task(bigint, jsonb), lockkeeper.tasks() TO PUBLIC;

INSERT INTO lockkeeper.meta AS m (version) VALUES (2) ON CONFLICT (only_row) DO UPDATE SET version = excluded.version
    WHERE m.version <> excluded.version;

COMMIT;
