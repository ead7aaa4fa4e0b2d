"""what the busy table shall keep to"""

import os
from contextlib import nullcontext

from alembic import op

revision = "0002"
down_revision = "0001"


# Where the project asks for it, index work has no transaction, as Alembic's manual recommends.
outside = os.environ.get("AUTOCOMMIT") == "yes"


def upgrade():
    with op.get_context().autocommit_block() if outside else nullcontext():
        op.create_index("orders_customer", "orders", ["customer"], postgresql_concurrently=outside)
    op.create_unique_constraint("orders_note_key", "orders", ["note"])
    op.create_foreign_key("orders_customer_fkey", "orders", "customers", ["customer"], ["id"])
    op.create_check_constraint("orders_priority_check", "orders", "priority >= 0")
    op.alter_column("orders", "customer", nullable=False)


def downgrade():
    op.alter_column("orders", "customer", nullable=True)
    op.drop_constraint("orders_priority_check", "orders")
    op.drop_constraint("orders_customer_fkey", "orders")
    op.drop_constraint("orders_note_key", "orders")
    op.drop_index("orders_customer", "orders")
