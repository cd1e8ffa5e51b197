"""Running commands: in this process, on a fresh database."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from callcenter.cli import run
from callcenter.db import create_engine_for, reading, transaction
from callcenter.models import AccessEntry, Base
from tests.cast import create_cast


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Cli = Callable[..., Answer]


@pytest.fixture
def cli(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command on the test's database; ``stdin`` is what it may read."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("CALLCENTER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str = "") -> Answer:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = run(arguments)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return call


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """The same database with the cast of the tests in it."""
    engine = create_engine_for(database_url)
    with transaction(engine) as session:
        create_cast(session)
    yield engine
    engine.dispose()


def contents(engine: Engine) -> dict[str, int | None]:
    """How many rows each table has, the access log left out."""
    tables = [table for table in Base.metadata.sorted_tables if table.name != AccessEntry.__tablename__]
    with reading(engine) as session:
        return {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables}
