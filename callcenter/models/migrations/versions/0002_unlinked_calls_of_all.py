"""The unlinked list of all clinics gets an index of its own.

On PostgreSQL it is built while calls come in: nobody who writes waits for it.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEX = "ix_calls_unlinked_of_all"
COLUMNS = ["started_at", "id"]
CONDITION = sa.text("needs_link")


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        op.create_index(INDEX, "calls", COLUMNS, sqlite_where=CONDITION)
        return
    with op.get_context().autocommit_block():
        # What a broken-off attempt left is there, but of no use.
        op.drop_index(INDEX, "calls", if_exists=True, postgresql_concurrently=True)
        op.create_index(INDEX, "calls", COLUMNS, postgresql_where=CONDITION, postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_index(INDEX, "calls")
