"""``callcenter db``: the schema."""

import click

from callcenter import wiring
from callcenter.cli.output import emit, json_option
from callcenter.migrating import upgrade


@click.group("db")
def db() -> None:
    """The database schema."""


@db.command("upgrade")
@json_option
def upgrade_command(json_output: bool) -> None:
    """Bring the schema up to date; safe to run at any time."""
    engine = wiring.engine(wiring.load_settings(), pool_size=1)
    try:
        upgrade(engine)
    finally:
        engine.dispose()
    emit({"status": "up_to_date"}, json_output, ["The database is up to date."])
