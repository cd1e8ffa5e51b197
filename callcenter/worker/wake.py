"""Sleeping until the database has changed: LISTEN/NOTIFY on PostgreSQL, ``PRAGMA data_version`` on SQLite.

Both are only a hint; the worker looks at least once per POLL_SECONDS whatever happens.
"""

import threading
import time
from typing import Any, Protocol

from sqlalchemy import Engine

from callcenter.db import WORK_CHANNEL
from callcenter.logs import log

POLL_SECONDS = 0.5
SQLITE_LOOK_SECONDS = 0.02
"""Reading data_version costs some 20 µs, so looking fifty times a second is a thousandth of a core."""


class Waker(Protocol):
    """Waits for a change."""

    def wait(self, stop: threading.Event) -> None:
        """Return when the database has changed, after POLL_SECONDS, or when ``stop`` is set."""

    def close(self) -> None:
        """Give the connection back."""


def waker_for(engine: Engine) -> Waker:
    """The right waker for the engine's database."""
    return _Sqlite(engine) if engine.dialect.name == "sqlite" else _Postgres(engine)


class _Sqlite:
    def __init__(self, engine: Engine) -> None:
        self._connection = engine.raw_connection()
        self._seen = self._version()

    def _version(self) -> Any:
        cursor = self._connection.cursor()
        try:
            return cursor.execute("PRAGMA data_version").fetchone()
        finally:
            cursor.close()

    def wait(self, stop: threading.Event) -> None:
        until = time.monotonic() + POLL_SECONDS
        while time.monotonic() < until and not stop.is_set():
            version = self._version()
            if version != self._seen:
                self._seen = version
                return
            time.sleep(SQLITE_LOOK_SECONDS)

    def close(self) -> None:
        self._connection.close()


class _Postgres:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Any = None

    def wait(self, stop: threading.Event) -> None:
        try:
            if self._connection is None:
                self._connection = self._listening()
            for _ in self._connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                pass
            for _ in self._connection.notifies(timeout=0):
                pass  # one look is enough for all that have come meanwhile
        except Exception as error:
            # The connection is a hint only; without it the worker polls.
            log("worker").warning("not_woken", error=type(error).__name__)
            self.close()
            stop.wait(POLL_SECONDS)

    def _listening(self) -> Any:
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()  # it listens for as long as the worker lives and never goes back to the pool
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {WORK_CHANNEL}")
        except BaseException:
            connection.close()  # nobody else knows of it any more
            raise
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
