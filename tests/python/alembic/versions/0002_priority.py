"""columns for a busy table"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("orders", sa.Column("priority", sa.Integer, server_default="0", nullable=False))
    op.add_column("orders", sa.Column("account", sa.BigInteger))


def downgrade():
    op.drop_column("orders", "account")
    op.drop_column("orders", "priority")
