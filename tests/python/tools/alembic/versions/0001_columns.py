"""columns for a busy table, and a table beside it"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.execute("UPDATE orders SET note = upper(note)")
    op.add_column("orders", sa.Column("priority", sa.Integer, server_default="0", nullable=False))
    op.add_column("orders", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False))
    tags = op.create_table(
        "tags",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.Integer, sa.ForeignKey("orders.id"), nullable=False),
        sa.Column("word", sa.Text),
    )
    op.create_index("tags_order", "tags", ["order_id"])
    op.bulk_insert(tags, [{"id": 1, "order_id": 1, "word": "new"}], multiinsert=False)


def downgrade():
    op.drop_table("tags")
    op.drop_column("orders", "token")
    op.drop_column("orders", "priority")
