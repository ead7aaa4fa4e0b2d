"""A plain Alembic environment; the one addition prints what the server says beside its results."""

import os

from alembic import context
from sqlalchemy import create_engine, event, pool


def say(diagnostic):
    parts = [f"{diagnostic.severity}: {diagnostic.message_primary}"]
    if diagnostic.message_detail:
        parts.append(f"({diagnostic.message_detail})")
    print(" ".join(" ".join(parts).split()), flush=True)


engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)


@event.listens_for(engine, "connect")
def listen(connection, _record):
    connection.add_notice_handler(say)


def announce(ctx, step, heads, run_args):
    print(f"revision {step.up_revision_id} done: {step.up_revision.doc}", flush=True)


with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None, on_version_apply=announce)
    with context.begin_transaction():
        context.run_migrations()
