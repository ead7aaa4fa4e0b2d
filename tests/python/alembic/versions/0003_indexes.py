"""indexes on a busy table, outside the transaction; their author knows nothing of CONCURRENTLY"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("ix_orders_customer", "orders", ["customer"])
        op.create_index("ix_orders_note", "orders", [sa.text("lower(note)")])
        op.create_index("ix_orders_open", "orders", ["id"], unique=True, postgresql_where=sa.text("priority > 0"))
        op.drop_index("ix_orders_note", "orders")


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_orders_open", "orders")
        op.drop_index("ix_orders_customer", "orders")
