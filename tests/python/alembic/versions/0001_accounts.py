"""a table of its own, with an index that nobody can wait for"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
    )
    op.create_index("ix_accounts_email", "accounts", ["email"], unique=True)
    rows = sa.table("accounts", sa.column("id", sa.BigInteger), sa.column("email", sa.Text))
    op.bulk_insert(rows, [{"id": 1, "email": "a@example.com"}], multiinsert=False)


def downgrade():
    op.drop_index("ix_accounts_email", "accounts")
    op.drop_table("accounts")
