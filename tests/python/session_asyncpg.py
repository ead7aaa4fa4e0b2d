"""What applications do with asyncpg (extended protocol only); prints what they see, so that two ways can be compared."""

import asyncio
import sys

import asyncpg


def show(label, value):
    print(f"{label}: {value!r}", flush=True)


async def main(url):
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE point (id int PRIMARY KEY, at timestamptz, tags text[])")
    await connection.executemany(
        "INSERT INTO point VALUES ($1, '2024-01-02 03:04:05+00', $2)", [(n, ["a", str(n)]) for n in range(300)]
    )
    show("row", tuple(await connection.fetchrow("SELECT id, at, tags FROM point WHERE id = $1", 7)))
    show("tag", await connection.execute("UPDATE point SET tags = '{}' WHERE id < $1", 10))
    show("copied", await connection.copy_records_to_table("point", records=[(n, None, None) for n in range(300, 5000)]))

    async with connection.transaction():
        total = 0
        async for row in connection.cursor("SELECT id FROM point", prefetch=100):
            total += row["id"]
        show("cursor", total)
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO point VALUES (1)")
        except asyncpg.UniqueViolationError as trouble:
            show("savepoint", (trouble.sqlstate, trouble.constraint_name))
        show("in transaction", connection.is_in_transaction())

    statement = await connection.prepare("SELECT $1::int + 1")
    show("prepared", [await statement.fetchval(n) for n in (1, 2)])
    show("types", [attribute.type.name for attribute in statement.get_attributes()])
    try:
        await connection.fetch("SELECT pg_sleep(60)", timeout=0.3)
    except asyncio.TimeoutError:
        show("cancelled", await connection.fetchval("SELECT 'alive'"))

    heard = asyncio.get_running_loop().create_future()
    await connection.add_listener("news", lambda *note: heard.done() or heard.set_result(note[2:]))
    other = await asyncpg.connect(url)
    await other.execute("SELECT pg_notify('news', 'extra')")
    show("notified", await asyncio.wait_for(heard, 30))
    await other.close()
    await connection.execute("DROP TABLE point")
    await connection.close()

    async with asyncpg.create_pool(url, min_size=2, max_size=4) as pool:
        show("pool", sum(await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(100)))))


asyncio.run(main(sys.argv[1]))
