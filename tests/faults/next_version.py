"""The next version of the service, as far as the database is concerned: one more migration that expands the schema."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from callcenter.migrating import MIGRATIONS

SOURCE = '''"""What the next version needs."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "next_version", "{head}", None, None


def upgrade() -> None:
    op.create_table("next_version_notes", sa.Column("id", sa.String(32), primary_key=True))
    op.add_column("calls", sa.Column("next_version_note", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("calls", "next_version_note")
    op.drop_table("next_version_notes")
'''


def next_version_in(directory: Path) -> Path:
    """Write the migration that follows this version's last one; answers the directory to name to ``upgrade``."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    directory.mkdir(exist_ok=True)
    head = ScriptDirectory.from_config(config).get_current_head()
    (directory / "next_version.py").write_text(SOURCE.format(head=head))
    return directory
