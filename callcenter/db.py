"""Engine and transactions: how this product talks to SQLite and PostgreSQL.

A transaction that may write says so: on SQLite it begins with BEGIN IMMEDIATE, because a read that upgrades to a
write fails at once, busy timeout or not. Inside one process SQLite writers queue on a lock, which is cheaper than
SQLite's busy sleep (docs/decisions/0004-database.md).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import Gauge
from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as TookTooLong
from sqlalchemy.orm import Session

from callcenter.clock import monotonic_seconds

if TYPE_CHECKING:
    import psycopg

BUSY_TIMEOUT_SECONDS = 15
ASK_AGAIN_MILLISECONDS = 8
"""SQLite asks after 1, 2 and 5 ms, then we begin anew."""
POOL_TIMEOUT_SECONDS = 2
STATEMENT_TIMEOUT_SECONDS = 10
SERVER_OPTIONS = {
    "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
    "lock_timeout": "5s",
    # Whoever vanishes in the middle of a transaction must not keep its rows locked for hours.
    "idle_in_transaction_session_timeout": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}
"""What every PostgreSQL connection asks of the server."""
ANSWER_SECONDS = STATEMENT_TIMEOUT_SECONDS + 2
"""The server ends a statement by itself. One that says nothing for longer is frozen, or gone without a word: its
connection is given up, so that whoever waits is free again and the pool connects anew (F3)."""
VANISHED = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""libpq's names, in seconds and the last in milliseconds: how soon a connection notices that its host is not there any
more. The system's own answer is two hours."""
WORK_CHANNEL = "callcenter_work"
"""PostgreSQL NOTIFY channel on which a transaction that made work wakes the workers."""
_WAKE = "wake workers"
POOL_USE = Gauge(
    "callcenter_database_pool_use", "Share of this process's database connections that are in use.", ["part"]
)


def create_engine_for(url: str, *, pool_size: int = 10, pool_timeout_seconds: float = POOL_TIMEOUT_SECONDS) -> Engine:
    """An engine for a SQLAlchemy URL (``sqlite:///path`` or ``postgresql+psycopg://…``); connects to nothing yet.

    A full pool refuses after ``pool_timeout_seconds`` instead of keeping a caller waiting (F2, F3).
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(url, parsed.database, pool_size, pool_timeout_seconds)
    return _postgres_engine(parsed, pool_size, pool_timeout_seconds)


def watch_pool(part: str, engine: Engine) -> None:
    """Show on this process's metrics page how many of the engine's connections are in use; ``part`` is what uses it."""
    pool = engine.pool
    if isinstance(pool, QueuePool):
        POOL_USE.labels(part).set_function(lambda: pool.checkedout() / max(1, pool.size()))


def _postgres_engine(url: URL, pool_size: int, pool_timeout_seconds: float) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_seconds,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": POOL_TIMEOUT_SECONDS,
            "options": " ".join(f"-c {name}={value}" for name, value in SERVER_OPTIONS.items()),
            **VANISHED,
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        return _impatient_connection().connect(*arguments, **parameters)

    return engine


@cache
def _impatient_connection() -> "type[psycopg.Connection[Any]]":
    """The driver's connection, which gives itself up after ANSWER_SECONDS without an answer. Made here because only
    who talks to PostgreSQL should load the driver."""
    import psycopg

    class ImpatientConnection(psycopg.Connection[Any]):
        """Never waits without end. ``patience_seconds`` may be raised for a statement that is known to take long."""

        patience_seconds: float = ANSWER_SECONDS

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            """As the driver's; whoever named a ``timeout`` deals with it."""
            if timeout is not None:
                return super().wait(gen, interval, timeout)
            since = monotonic_seconds()
            try:
                return super().wait(gen, interval, self.patience_seconds)
            except psycopg.OperationalError as error:
                if monotonic_seconds() - since < self.patience_seconds:
                    raise
                self.pgconn.finish()
                raise psycopg.OperationalError("The database does not answer.") from error

    return ImpatientConnection


def _sqlite_engine(url: str, database: str | None, pool_size: int, pool_timeout_seconds: float) -> Engine:
    if database:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_seconds,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred; ours decides
        cursor = connection.cursor()
        pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "secure_delete=ON")
        for pragma in pragmas:  # what is deleted is overwritten, so that it is gone from the file too (P4)
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("callcenter_read_only", False):
            connection.exec_driver_sql("BEGIN")
        else:
            _begin_to_write(connection)

    return engine


def _begin_to_write(connection: Connection) -> None:
    """Wait for the write lock by asking often. Left to itself SQLite asks ever more rarely, in the end every 100 ms,
    and whoever asks often is served before it."""
    until = monotonic_seconds() + BUSY_TIMEOUT_SECONDS
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA busy_timeout = {ASK_AGAIN_MILLISECONDS}")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                # The low byte: also while another process reads the log of one that was killed (SQLITE_BUSY_RECOVERY).
                is_busy = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or monotonic_seconds() > until:
                    raise
    finally:
        driver.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")


_sqlite_writers: dict[str, threading.Lock] = {}
_sqlite_writers_guard = threading.Lock()


@contextmanager
def writer_turn(engine: Engine) -> Iterator[None]:
    """On SQLite nobody else of this process writes meanwhile."""
    if engine.dialect.name != "sqlite":
        yield
        return
    with _sqlite_writers_guard:
        lock = _sqlite_writers.setdefault(str(engine.url), threading.Lock())
    if not lock.acquire(timeout=BUSY_TIMEOUT_SECONDS):
        raise TookTooLong("Other writers of this process did not come to an end.")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def transaction(engine: Engine, *, wake: bool = True) -> Iterator[Session]:
    """One writing transaction: returning commits, raising rolls back. On commit the workers are woken if
    ``wake_workers`` was called inside, unless ``wake`` is False (the worker's own housekeeping would wake itself).

    No network call belongs inside (design: record intent and commit, call out, record the result).
    """
    with writer_turn(engine), Session(engine, expire_on_commit=False) as session, session.begin():
        yield session
        if wake and session.info.get(_WAKE) and engine.dialect.name == "postgresql":
            session.flush()
            session.execute(text(f"NOTIFY {WORK_CHANNEL}"))


def wake_workers(session: Session) -> None:
    """There is work for the workers once this transaction commits (SQLite's workers see every commit anyway)."""
    session.info[_WAKE] = True


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """One read-only transaction; a write inside fails on both databases."""
    options = (
        {"callcenter_read_only": True}
        if engine.dialect.name == "sqlite"
        else {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    )
    with engine.connect().execution_options(**options) as connection, Session(bind=connection) as session:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only=ON")
            try:
                yield session
            finally:
                session.close()  # not rollback: that would expire what the caller goes on reading
                connection.exec_driver_sql("PRAGMA query_only=OFF")
        else:
            yield session
