"""users get a locale"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.add_column("users", sa.Column("locale", sa.Text(), server_default="en"))


def downgrade():
    op.drop_column("users", "locale")
