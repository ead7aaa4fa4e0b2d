"""other rows, and what nobody needs any more"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.execute("ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad'")
    op.execute("UPDATE orders SET note = upper(note)")
    op.drop_index("orders_old", "orders")
    op.drop_column("orders", "old")
    op.execute("CREATE VIEW order_notes AS SELECT id, note FROM orders")


def downgrade():
    op.execute("DROP VIEW order_notes")
    op.add_column("orders", sa.Column("old", sa.Text))
    op.create_index("orders_old", "orders", ["old"])
    op.execute("UPDATE orders SET note = lower(note)")
