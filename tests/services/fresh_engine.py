"""Databases for tests that play many examples: each example gets a migrated one of its own."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Engine, event

from callcenter.db import create_engine_for
from tests.databases import PostgresTemplate, SQLiteTemplate


class FreshEngine:
    """Makes a migrated database for each example."""

    def __init__(self, template: SQLiteTemplate | PostgresTemplate, folder: Path) -> None:
        self._template, self._folder = template, folder
        self._numbers = itertools.count()
        self.on_sqlite = isinstance(template, SQLiteTemplate)

    def __call__(self) -> AbstractContextManager[Engine]:
        return self._engine()

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        with self._url() as url:
            engine = create_engine_for(url)
            if self.on_sqlite:  # nobody pulls the plug here, and an example is a hundred transactions
                event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
            try:
                yield engine
            finally:
                engine.dispose()

    @contextmanager
    def _url(self) -> Iterator[str]:
        if isinstance(self._template, SQLiteTemplate):
            file = self._folder / f"{next(self._numbers)}.db"
            yield self._template.copy_to(file)
            file.unlink()
        else:
            with self._template.copy() as url:
                yield url
