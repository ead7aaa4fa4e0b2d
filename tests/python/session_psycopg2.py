"""What applications do with psycopg2; prints what they see, so that two ways to a server can be compared."""

import io
import sys

import psycopg2
import psycopg2.errors
import psycopg2.extras

connection = psycopg2.connect(sys.argv[1])


def show(label, value):
    print(f"{label}: {value!r}", flush=True)


with connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE item (id serial PRIMARY KEY, note text)")
    psycopg2.extras.execute_values(cursor, "INSERT INTO item (note) VALUES %s", [(f"note {n}",) for n in range(500)])
    cursor.copy_from(io.StringIO("1001\tone\n1002\t\\N\n"), "item")
    cursor.execute("SELECT count(*), count(note) FROM item")
    show("rows", cursor.fetchone())

with connection.cursor() as cursor:
    try:
        cursor.execute("INSERT INTO item VALUES (1)")
    except psycopg2.errors.UniqueViolation as trouble:
        show("unique", (trouble.pgcode, trouble.diag.table_name))
    try:
        cursor.execute("SELECT 1")
    except psycopg2.errors.InFailedSqlTransaction as trouble:
        show("failed", trouble.pgcode)
    connection.rollback()
    cursor.execute("SELECT 1")
    show("again", cursor.fetchone())
connection.commit()

with connection, connection.cursor("named") as cursor:
    cursor.itersize = 7
    cursor.execute("SELECT id FROM item ORDER BY id")
    show("named", sum(row[0] for row in cursor))

connection.autocommit = True
with connection.cursor() as cursor:
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT note FROM item ORDER BY id LIMIT 2) TO STDOUT", out)
    show("copy", out.getvalue())
connection.autocommit = False
with connection:
    large = connection.lobject(0, "wb")
    large.write(b"large" * 100000)
    oid = large.oid
    large.close()
with connection:
    large = connection.lobject(oid, "rb")
    show("large object", len(large.read()))
    large.close()

connection.tpc_begin("one")
with connection.cursor() as cursor:
    cursor.execute("INSERT INTO item VALUES (5000, 'two phases')")
connection.tpc_prepare()
connection.tpc_commit()
with connection, connection.cursor() as cursor:
    cursor.execute("SELECT note FROM item WHERE id = 5000")
    show("two phases", cursor.fetchone())
    cursor.execute("DROP TABLE item")
connection.close()
