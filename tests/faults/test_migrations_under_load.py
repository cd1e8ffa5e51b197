"""A migration while callers are served: nobody waits behind it, and versions before and after it live side by side."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError

from callcenter.config import VoiceSettings
from callcenter.db import create_engine_for, transaction
from callcenter.migrating import TableBusy, alone, downgrade, is_up_to_date, upgrade
from tests.campaigns import runs
from tests.factories import create_call, create_clinic
from tests.faults.next_version import next_version_in

pytestmark = pytest.mark.campaign

TOUCH = text("UPDATE calls SET turn = turn WHERE id = :id")


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Engine]:
    """An engine on PostgreSQL, where a change of a table waits for whoever reads it."""
    engine = create_engine_for(postgresql_url)
    yield engine
    engine.dispose()


def test_a_migration_that_waits_for_a_long_query_keeps_no_caller_waiting(
    postgresql: Engine, tmp_path: Path, figures: Callable[..., None]
) -> None:
    versions = next_version_in(tmp_path / "versions")
    with transaction(postgresql) as session:
        call = create_call(session, create_clinic(session)).id
    with ThreadPoolExecutor(1) as deployment:
        with _reading_calls(postgresql), _touching(postgresql, call) as waits:
            migration = deployment.submit(upgrade, postgresql, versions=[versions])
            time.sleep(runs(5, 30))
            assert not migration.done(), "it cannot change a table that is being read"
        migration.result(60)
    assert _has_note(postgresql)
    assert len(waits) > 20
    assert max(waits) < VoiceSettings().answer_within_seconds
    figures(touches=len(waits), slowest_seconds=round(max(waits), 3))


def test_a_migration_gives_up_with_a_sentence_when_a_table_is_never_free(postgresql: Engine, tmp_path: Path) -> None:
    with _reading_calls(postgresql), pytest.raises(TableBusy, match="db upgrade again"):
        upgrade(postgresql, versions=[next_version_in(tmp_path / "versions")], attempts=2)
    assert not _has_note(postgresql)
    assert "next_version_notes" not in inspect(postgresql).get_table_names(), "all of it or nothing"


def test_two_deployments_at_once_migrate_once(postgresql: Engine, tmp_path: Path) -> None:
    versions = next_version_in(tmp_path / "versions")
    downgrade(postgresql, "0001")  # the next builds an index concurrently, for which no waiting statement may be there
    with ThreadPoolExecutor(2) as deployments:
        for migration in [deployments.submit(upgrade, postgresql, versions=[versions]) for _ in range(2)]:
            migration.result(60)
    assert _has_note(postgresql)


def test_a_version_before_a_migration_starts_on_the_schema_after_it(engine: Engine, tmp_path: Path) -> None:
    upgrade(engine, versions=[next_version_in(tmp_path / "versions")])
    upgrade(engine)
    assert _has_note(engine), "it is left as it is"
    assert is_up_to_date(engine)
    with transaction(engine) as session:
        create_call(session, create_clinic(session))


def test_a_migration_may_take_longer_than_a_request(postgresql: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as an index over a large table: what ends impatient statements of the service does not end this one."""
    with postgresql.connect() as connection:
        monkeypatch.setattr(type(connection.connection.driver_connection), "patience_seconds", 0.5)
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT pg_sleep(1)"))
    with alone(postgresql) as connection:
        connection.execute(text("SELECT pg_sleep(1)"))


@contextmanager
def _reading_calls(engine: Engine) -> Iterator[None]:
    """A report, or a backup: a transaction that has read the calls and does not end."""
    with engine.connect() as connection:
        connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SELECT count(*) FROM calls"))
        yield
        connection.invalidate()


@contextmanager
def _touching(engine: Engine, call_id: str) -> Iterator[list[float]]:
    """What the door does, again and again: how long it had to wait, in seconds."""
    waits: list[float] = []
    over = threading.Event()

    def touch() -> None:
        while not over.wait(0.02):
            began = time.monotonic()
            with engine.begin() as connection:
                connection.execute(TOUCH, {"id": call_id})
            waits.append(time.monotonic() - began)

    with ThreadPoolExecutor(1) as door:
        touching = door.submit(touch)
        try:
            yield waits
        finally:
            over.set()
            touching.result(30)


def _has_note(engine: Engine) -> bool:
    return "next_version_note" in {column["name"] for column in inspect(engine).get_columns("calls")}
