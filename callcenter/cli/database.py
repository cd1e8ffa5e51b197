"""``callcenter db``: the schema, and copies of the embedded database."""

from pathlib import Path

import click

from callcenter import wiring
from callcenter.cli.output import emit, json_option
from callcenter.homes import back_up, claim
from callcenter.migrating import upgrade


@click.group("db")
def db() -> None:
    """The database schema; copies of the embedded database."""


@db.command("upgrade")
@json_option
def upgrade_command(json_output: bool) -> None:
    """Bring the schema up to date; safe to run at any time."""
    engine = wiring.engine(wiring.load_settings(), pool_size=1)
    try:
        upgrade(engine)
        claim(engine)
    finally:
        engine.dispose()
    emit({"status": "up_to_date"}, json_output, ["The database is up to date."])


@db.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def backup_command(file: Path, json_output: bool) -> None:
    """Copy the embedded database (SQLite) to FILE while it is in use. A restored copy wants retention replay-ledger."""
    engine = wiring.engine(wiring.load_settings(), pool_size=1)
    try:
        back_up(engine, file)
    finally:
        engine.dispose()
    emit({"file": str(file), "size_bytes": file.stat().st_size}, json_output, [f"The database is copied to {file}."])
