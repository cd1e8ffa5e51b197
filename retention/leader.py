"""One retention process works, others stand by. An optimisation: correctness comes from the leases (R5)."""

import fcntl
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

LOCK_NUMBER = 7206362


class Leader(Protocol):
    """Asked before each batch; True while this process is the one."""

    def leads(self) -> bool:
        """Take the lead if nobody has it; False while somebody else does."""

    def resign(self) -> None:
        """Give the lead back."""


def leader_of(engine: Engine) -> Leader:
    """The lock that fits the database."""
    return _FileLeader(engine) if engine.dialect.name == "sqlite" else _PostgresLeader(engine)


class _PostgresLeader:
    """A session advisory lock on a connection of its own, outside of the pool and of any transaction. The connection is
    asked each time: if it is gone, so is the lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._turn = threading.Lock()

    def leads(self) -> bool:
        with self._turn:
            return self._ask()

    def _ask(self) -> bool:
        try:
            if self._connection is None:
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                self._connection.detach()
            held = text(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                " AND objid = :number AND granted"
            )
            if self._connection.execute(held, {"number": LOCK_NUMBER}).scalar_one():
                return True
            take = text("SELECT pg_try_advisory_lock(:number)")
            return bool(self._connection.execute(take, {"number": LOCK_NUMBER}).scalar_one())
        except SQLAlchemyError:
            self.resign()
            return False

    def resign(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()


class _FileLeader:
    """A lock on a file beside the SQLite file: SQLite is for one machine, and there for one process."""

    def __init__(self, engine: Engine) -> None:
        self._path = Path(f"{engine.url.database}.retention-lock")
        self._file: IO[str] | None = None
        self._turn = threading.Lock()

    def leads(self) -> bool:
        with self._turn:
            return self._file is not None or self._take()

    def _take(self) -> bool:
        file = self._path.open("w", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def resign(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
