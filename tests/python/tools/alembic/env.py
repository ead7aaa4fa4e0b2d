"""An ordinary Alembic environment for any driver; the URL, and whether each revision has its own transaction, come from outside."""

import asyncio
import os

from alembic import context
from sqlalchemy import create_engine, pool

url = os.environ["DATABASE_URL"]
options = {
    "target_metadata": None,
    "transaction_per_migration": os.environ.get("PER_MIGRATION") == "yes",
}


def migrate(connection=None, **how):
    context.configure(connection=connection, **how, **options)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_by_async_driver():
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    migrate(dialect_name="postgresql", literal_binds=True)
elif "asyncpg" in url:
    asyncio.run(migrate_by_async_driver())
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        migrate(connection)
