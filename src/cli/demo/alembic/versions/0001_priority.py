"""applications get a priority"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.add_column("applications", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))


def downgrade():
    op.drop_column("applications", "priority")
