"""Bringing the schema up to date, also while callers are being served.

On PostgreSQL a change of a table waits for everybody who reads it, and everybody who comes after waits behind that
change. So it waits for a moment only (``LOCK_TIMEOUT_SECONDS``, less than the door gives the database to answer), lets
everybody pass, and tries again (docs/operations.md, Migrations).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from callcenter import clock, models
from callcenter.db import writer_turn
from callcenter.errors import CallcenterError
from callcenter.logs import log

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(models.__file__).parent / "migrations"
ADVISORY_LOCK = 7206361
LOCK_TIMEOUT_SECONDS = 0.4
PAUSE_SECONDS = 1.0
ATTEMPTS = 120
"""Two to three minutes: longer than any transaction of ours lives."""
ONE_AT_A_TIME_SECONDS = 600
LONGEST_STATEMENT_SECONDS = 86_400
"""An index over a large table may take hours, and keeps nobody waiting (CONCURRENTLY)."""
_LOCK_NOT_AVAILABLE = "55P03"


class TableBusy(CallcenterError):
    """Somebody reads or changes a table without end, so that it cannot be migrated."""

    code = "table_busy"


def upgrade(engine: Engine, revision: str = "head", *, versions: Sequence[Path] = (), attempts: int = ATTEMPTS) -> None:
    """Bring the schema to ``revision``, one migration a transaction; safe to run twice, and by several processes at
    once. A schema that is newer than this version is left as it is: the next version's migrations are made so that
    this one goes on working. ``versions`` are further directories of migrations. Raises TableBusy after ``attempts``.
    """
    config = _config(versions)
    with alone(engine) as connection:
        if _is_newer(connection, config):
            log("database").warning("schema_is_newer")
            return
        for attempt in range(1, attempts + 1):
            try:
                _alembic(connection, config, "upgrade", revision)
                return
            except OperationalError as error:
                connection.rollback()
                if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                    raise
                log("database").warning("table_busy", attempt=attempt)
            clock.sleep(PAUSE_SECONDS)
    raise TableBusy("A table is in use without end; end long queries, then run callcenter db upgrade again.")


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to ``revision`` (tests and emergencies)."""
    with alone(engine) as connection:
        _alembic(connection, _config(()), "downgrade", revision)


def is_up_to_date(engine: Engine) -> bool:
    """Whether the schema is this version's, or a newer one."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = _config(())
    with engine.connect() as connection:
        there = set(MigrationContext.configure(connection).get_current_heads())
        return there == set(ScriptDirectory.from_config(config).get_heads()) or _is_newer(connection, config)


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection for migrations: nobody else migrates meanwhile, whatever takes long may, whoever waits for a lock
    does so briefly."""
    with writer_turn(engine), engine.connect() as connection:
        if engine.dialect.name != "postgresql":
            yield connection
            return
        connection.connection.driver_connection.patience_seconds = LONGEST_STATEMENT_SECONDS  # type: ignore[union-attr]
        connection.execute(text("SET statement_timeout = 0"))
        _take_turn(connection)
        connection.execute(text(f"SET lock_timeout = '{round(LOCK_TIMEOUT_SECONDS * 1000)}ms'"))
        connection.commit()
        try:
            yield connection
        finally:
            connection.invalidate()  # the lock and the settings end with the connection


def _take_turn(connection: Connection) -> None:
    """Wait until nobody else migrates. By asking again and again: a statement that waits is a transaction for which
    the other one's CREATE INDEX CONCURRENTLY would wait in turn."""
    until = clock.monotonic_seconds() + ONE_AT_A_TIME_SECONDS
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})")):
        connection.commit()
        if clock.monotonic_seconds() > until:
            raise TableBusy("Another process has been migrating for very long; look at it, then try again.")
        clock.sleep(PAUSE_SECONDS)
    connection.commit()


def _alembic(connection: Connection, config: "Config", direction: str, revision: str) -> None:
    from alembic import command

    config.attributes["connection"] = connection
    getattr(command, direction)(config, revision)
    connection.commit()


def _is_newer(connection: Connection, config: "Config") -> bool:
    """Whether the database stands at a migration that this version does not know."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    there = MigrationContext.configure(connection).get_current_heads()
    connection.rollback()
    return not set(there) <= known


def _config(versions: Sequence[Path]) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    locations = [MIGRATIONS / "versions", *versions]
    config.set_main_option("version_locations", ":".join(map(str, locations)))
    return config
