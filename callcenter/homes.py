"""Where a database lives. One that was restored from a backup lives somewhere else, and is not used before everything
that was forgotten after the backup has been forgotten in it again (P16).

The home is written down in the database when it is set up, and every connection of a process compares. PostgreSQL: the
server's own identifier and the database's number in it, which a restored dump does not share. SQLite: the copies that
``callcenter db backup`` makes say themselves that they are copies.
"""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from callcenter import clock
from callcenter.db import transaction
from callcenter.errors import BadInput
from callcenter.models import Switch

HOME = "home"
COPY = "copy"
"""The home of a copy: nowhere."""
_THERE = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE name = 'switches'",
    "postgresql": "SELECT 1 WHERE to_regclass('switches') IS NOT NULL",
}
_STATED = "SELECT value FROM switches WHERE name = 'home'"
_HERE = {
    "sqlite": "SELECT 'here'",
    "postgresql": "SELECT system_identifier || '/' || oid FROM pg_control_system(), pg_database"
    " WHERE datname = current_database()",
}


class NotAtHome(SQLAlchemyError):
    """The database was restored from a backup. To whoever wants to use it, it is as if it were away."""

    def __init__(self) -> None:
        super().__init__(
            "The database was restored from a backup, and what was forgotten since then is in it again:"
            " run callcenter retention replay-ledger."
        )


def guard(engine: Engine) -> Engine:
    """From now on the engine's connections refuse a database that is not at home: they raise NotAtHome."""
    dialect = engine.dialect.name

    @event.listens_for(engine, "connect")
    def compare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        try:
            stated = _one(cursor, _STATED) if _one(cursor, _THERE[dialect]) else None
            away = stated is not None and _identity(stated) != _one(cursor, _HERE[dialect])
        finally:
            cursor.close()
            connection.rollback()
        if away:
            raise NotAtHome

    return engine


def claim(engine: Engine, *, anew: bool = False) -> None:
    """Write down that the database lives here. One that has another home keeps it, unless ``anew``: only after what was
    forgotten since the backup has been forgotten again."""
    with transaction(engine, wake=False) as session:
        here = session.execute(text(_HERE[engine.dialect.name])).scalar_one()
        row = session.get(Switch, HOME)
        if row is None:
            row = Switch(name=HOME, value={}, changed_at=clock.now(), changed_by="command-line")
            session.add(row)
        elif not anew:
            return
        row.value, row.changed_at = {"identity": here}, clock.now()


def back_up(engine: Engine, file: Path) -> None:
    """Copy a SQLite database to ``file`` while it is used; the copy says that it is one. Raises BadInput when there is
    such a file already, or for PostgreSQL, which has its own tools."""
    if engine.dialect.name != "sqlite":
        raise BadInput("This is for SQLite; back PostgreSQL up with pg_dump (docs/operations.md).")
    if file.exists():
        raise BadInput("There is such a file already; name another one.")
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    with engine.connect() as connection:
        source = cast(sqlite3.Connection, connection.connection.driver_connection)
        copy = sqlite3.connect(part)
        try:
            source.backup(copy)
            home = (HOME, json.dumps({"identity": COPY}), f"{clock.now():%Y-%m-%d %H:%M:%S.%f}", "command-line")
            with copy:
                copy.execute(
                    "INSERT OR REPLACE INTO switches (name, value, changed_at, changed_by) VALUES (?,?,?,?)", home
                )
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(file)


def _one(cursor: Any, statement: str) -> Any:
    row = cursor.execute(statement).fetchone()
    return row[0] if row else None


def _identity(value: Any) -> Any:
    """The switch's value as the driver hands it over: SQLite's is text, PostgreSQL's may be read already."""
    return (json.loads(value) if isinstance(value, str) else value).get("identity")
