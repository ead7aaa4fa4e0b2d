"""a constraint and a comment, in the transaction again"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade():
    op.create_check_constraint("priority_known", "orders", "priority between 0 and 9")
    op.execute("COMMENT ON TABLE orders IS 'what customers want'")


def downgrade():
    op.execute("COMMENT ON TABLE orders IS NULL")
    op.drop_constraint("priority_known", "orders")
