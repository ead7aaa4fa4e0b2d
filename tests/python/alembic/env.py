"""An ordinary Alembic environment: the URL, and whether each revision has a transaction of its own, come from outside."""

import os

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=None,
        transaction_per_migration=os.environ.get("PER_MIGRATION") == "yes",
    )
    with context.begin_transaction():
        context.run_migrations()
