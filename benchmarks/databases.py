"""Databases as in real use: on the disk, every commit waiting for it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import PostgresTemplate, SQLiteTemplate

KINDS = ("sqlite", "postgresql")


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The address of a fresh, migrated database of a kind (KINDS)."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="callcenter-bench-") as folder:
            yield SQLiteTemplate(Path(folder)).copy_to(Path(folder) / "callcenter.db")
        return
    template = PostgresTemplate(durable=True)
    try:
        with template.copy() as url:
            yield url
    finally:
        template.stop()
