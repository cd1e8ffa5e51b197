"""The database keeps its promises on SQLite and on PostgreSQL."""

import multiprocessing
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, Integer, MetaData, Table, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, StatementError

from callcenter.db import create_engine_for, reading, transaction
from callcenter.migrating import downgrade, upgrade
from callcenter.models import Base, Clinic, Practitioner
from callcenter.models.base import UtcDateTime

COUNTERS = Table("test_counters", MetaData(), Column("id", Integer, primary_key=True), Column("count", Integer))
MOMENTS = Table("test_moments", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcDateTime))


def test_the_migrations_make_exactly_the_tables_the_models_describe(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_schema_can_be_taken_down_and_built_again(engine: Engine) -> None:
    downgrade(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    upgrade(engine)
    assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())


def test_upgrading_a_database_that_is_up_to_date_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    MOMENTS.create(engine)
    with pytest.raises(StatementError, match="without a time zone"), transaction(engine) as session:
        session.execute(MOMENTS.insert().values(id=1, at=datetime(2026, 3, 1, 12)))  # noqa: DTZ001 - the point


def test_a_time_comes_back_in_utc_whatever_zone_it_was_written_in(engine: Engine) -> None:
    MOMENTS.create(engine)
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    with transaction(engine) as session:
        session.execute(MOMENTS.insert().values(id=1, at=noon))
    with reading(engine) as session:
        read = session.scalar(select(MOMENTS.c.at))
    assert read == noon
    assert read.tzinfo is UTC


def test_a_transaction_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    COUNTERS.create(engine)
    with pytest.raises(RuntimeError), transaction(engine) as session:
        session.execute(COUNTERS.insert().values(id=1, count=0))
        raise RuntimeError
    with reading(engine) as session:
        assert session.scalars(select(COUNTERS.c.id)).all() == []


def test_a_reader_cannot_write(engine: Engine) -> None:
    COUNTERS.create(engine)
    with pytest.raises(DBAPIError), reading(engine) as session:
        session.execute(COUNTERS.insert().values(id=1, count=0))


def test_the_same_connection_can_write_after_it_has_read(database_url: str) -> None:
    engine = create_engine_for(database_url, pool_size=1)
    COUNTERS.create(engine)
    with reading(engine) as session:
        session.scalars(select(COUNTERS.c.id)).all()
    with transaction(engine) as session:
        session.execute(COUNTERS.insert().values(id=1, count=0))
    engine.dispose()


def test_eight_writing_processes_lose_no_update_and_never_see_a_locked_database(database_url: str) -> None:
    engine = create_engine_for(database_url)
    COUNTERS.create(engine)
    with transaction(engine) as session:
        session.execute(COUNTERS.insert().values(id=1, count=0))
    engine.dispose()
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload([__name__])  # one process imports everything, eight are forked from it
    start = fork.Barrier(8)
    writers = [fork.Process(target=_count_up, args=(database_url, start)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    with reading(engine) as session:
        assert session.scalar(select(COUNTERS.c.count)) == 8 * WRITES
    engine.dispose()


WRITES = 50
"""Transactions of each of the eight processes."""


def _count_up(database_url: str, start: Barrier) -> None:
    """Read, then write in the same transaction: the pattern that fails when a read is upgraded to a write."""
    engine = create_engine_for(database_url)
    start.wait()
    for _ in range(WRITES):
        with transaction(engine) as session:
            count = session.scalar(select(COUNTERS.c.count).with_for_update())
            session.execute(update(COUNTERS).values(count=(count or 0) + 1))
    engine.dispose()


def test_sqlite_keeps_foreign_keys_and_writes_ahead(sqlite_url: str) -> None:
    engine = create_engine_for(sqlite_url)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA busy_timeout")) >= 5000
    engine.dispose()


def test_a_row_of_no_clinic_is_refused(engine: Engine) -> None:
    stray = Practitioner(clinic_id="unknown", name="Dr Nobody", created_at=datetime(2026, 3, 1, tzinfo=UTC))
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"), transaction(engine) as session:
        session.add(stray)
        session.flush()


def test_a_database_that_does_not_exist_yet_is_made_with_its_folder(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/new/callcenter.db")
    upgrade(engine)
    with reading(engine) as session:
        assert session.scalars(select(Clinic.id)).all() == []
    engine.dispose()
