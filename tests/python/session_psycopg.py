"""What applications do with psycopg 3; prints what they see, so that two ways to a server can be compared."""

import sys
import threading

import psycopg
from psycopg import errors, sql

url = sys.argv[1]


def show(label, value):
    print(f"{label}: {value!r}", flush=True)


with psycopg.connect(url, autocommit=True) as connection:
    connection.add_notice_handler(lambda note: show("notice", (note.severity, note.sqlstate, note.message_primary)))
    show("parameters", [connection.info.parameter_status(name) for name in ("server_encoding", "DateStyle", "TimeZone")])
    connection.execute("CREATE TABLE person (id int PRIMARY KEY, name text, born date)")
    connection.execute("DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'careful'; END $$")

    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO person VALUES (%s, %s, %s) RETURNING id", [(1, "Ada", None), (2, "Grå", "1906-12-09")], returning=True)
        show("returning", cursor.fetchall())
        with cursor.copy("COPY person FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text", "date"])
            for number in range(3, 2003):
                copy.write_row((number, "x" * (number % 50), None))
        show("copied", cursor.rowcount)
        with cursor.copy("COPY (SELECT id, name FROM person ORDER BY id LIMIT 3) TO STDOUT") as copy:
            show("copy out", list(copy.rows()))

    with connection.transaction():
        with connection.cursor(name="portal") as cursor:
            cursor.execute("SELECT id FROM person ORDER BY id")
            show("portal", [cursor.fetchmany(2), cursor.fetchone()])

    for round in range(8):  # from the sixth on it is prepared
        row = connection.execute("SELECT name FROM person WHERE id = %s", [2]).fetchone()
    show("prepared", row)
    show("binary", connection.execute("SELECT %b::int8, %b::text", [1 << 40, "ü"], binary=True).fetchone())

    try:
        with connection.transaction():
            connection.execute("UPDATE person SET name = 'lost'")
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO person VALUES (1)")
            except errors.UniqueViolation as trouble:
                show("savepoint", (trouble.sqlstate, trouble.diag.constraint_name, trouble.diag.message_detail))
            show("still open", connection.info.transaction_status.name)
            raise psycopg.Rollback
    finally:
        show("rolled back", connection.execute("SELECT count(*) FROM person WHERE name = 'lost'").fetchone())

    with connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int * 2", [number]) for number in range(50)]
        pipeline.sync()
        show("pipeline", sum(cursor.fetchone()[0] for cursor in cursors))
    try:
        with connection.pipeline():
            connection.execute("SELECT 1")
            connection.execute("SELECT 1 / 0")
            connection.execute("SELECT 2")
    except errors.DivisionByZero as trouble:
        show("pipeline error", trouble.sqlstate)
    show("after it", connection.execute("SELECT 3").fetchone())

    try:
        connection.execute("SELECT 1; SELECT nothing")
    except errors.UndefinedColumn as trouble:
        show("two in one", (trouble.sqlstate, trouble.diag.statement_position))
    try:
        connection.execute(sql.SQL("SELEKT 1"))
    except errors.SyntaxError as trouble:
        show("syntax", (trouble.diag.message_primary, trouble.diag.statement_position))

    timer = threading.Timer(0.2, connection.cancel)
    timer.start()
    try:
        connection.execute("SELECT pg_sleep(60)")
    except errors.QueryCanceled as trouble:
        show("cancelled", trouble.sqlstate)
    timer.join()

    with psycopg.connect(url, autocommit=True) as other:
        connection.execute("LISTEN news")
        other.execute("NOTIFY news, 'read all about it'")
        note = next(connection.notifies(timeout=30))
        show("notified", (note.channel, note.payload, note.pid == other.info.backend_pid))

    show("big", len(connection.execute("SELECT repeat('x', 3000000)").fetchone()[0]))
    show("many", len(connection.execute("SELECT generate_series(1, 20000)").fetchall()))
    connection.execute("DROP TABLE person")
