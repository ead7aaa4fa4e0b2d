"""what nobody needs any more"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.execute("ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad'")
    op.drop_index("orders_old", "orders")
    op.drop_column("orders", "old")
    op.execute("CREATE VIEW numbers AS SELECT 1 AS number")


def downgrade():
    op.execute("DROP VIEW numbers")
    op.add_column("orders", sa.Column("old", sa.Text))
    op.create_index("orders_old", "orders", ["old"])
