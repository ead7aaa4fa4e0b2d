"""An ordinary Alembic environment: the URL, and whether each revision has a transaction of its own, come from outside."""

import os

from alembic import context
from sqlalchemy import create_engine, pool

options = {
    "target_metadata": None,
    "transaction_per_migration": os.environ.get("PER_MIGRATION") == "yes",
}


def migrate(**how):
    context.configure(**how, **options)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    migrate(dialect_name="postgresql", literal_binds=True)
else:
    engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        migrate(connection=connection)
