"""The unlinked list of all clinics gets an index of its own.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEX = "ix_calls_unlinked_of_all"
CONDITION = sa.text("needs_link")


def upgrade() -> None:
    op.create_index(INDEX, "calls", ["started_at", "id"], sqlite_where=CONDITION, postgresql_where=CONDITION)


def downgrade() -> None:
    op.drop_index(INDEX, "calls")
