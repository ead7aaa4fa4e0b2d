"""an index to find outreach by its message"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("ix_outreach_message", "outreach", ["message"])


def downgrade():
    op.drop_index("ix_outreach_message", "outreach")
