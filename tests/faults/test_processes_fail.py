"""Processes that pause, hang, crash in a loop, are too many, or were away for a month (F23, F26–F29)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from callcenter import clock, config
from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.domain.retention import brakes as too_many
from callcenter.models import LedgerEntry, Recording
from callcenter.services.access import create_api_key
from callcenter.storage.local import LocalRecordingStore
from callcenter.web.app import create_app
from tests.campaigns import runs
from tests.cast import create_cast
from tests.factories import NOW, create_answered_call, create_clinic, create_recording
from tests.faults.waiting import until
from tests.retention.test_scheduler import heartbeat
from tests.retention.world import World

EVERY_SECOND = """
import sys
from callcenter import wiring
from retention import scheduler
settings = wiring.load_settings()
runs = []
def work(parts):
    runs.append(1)
    if len(runs) <= int(sys.argv[2]):
        scheduler.threading.Event().wait(600)
    return scheduler._sweep(parts)
job = scheduler.Job("retention", interval_seconds=int(sys.argv[1]), limit_seconds=1, work=work)
scheduler.run(wiring.engine(settings), wiring.recording_store(settings), None, schedule=(job,))
"""
"""A retention process with a sweep every so many seconds, of which the first few hang."""


class Processes:
    """Retention processes on one database and one directory of recordings."""

    def __init__(self, engine: Engine, database_url: str, folder: Path, stack: ExitStack) -> None:
        self.engine, self.store, self._stack = engine, LocalRecordingStore(folder / "recordings"), stack
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "RECORDINGS_URL": f"file://{folder / 'recordings'}",
            "CALLCENTER_STATE_DIR": str(folder),
        }
        with transaction(engine) as session:
            self._call = create_answered_call(session, create_clinic(session))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one; killed at the end of the test if it still runs."""
        process = subprocess.Popen(
            [sys.executable, *arguments], env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def sweeping(self, *, interval_seconds: int = 1, hangs: int = 0) -> subprocess.Popen[bytes]:
        """Start one that sweeps every so often."""
        return self.start("-c", EVERY_SECOND, str(interval_seconds), str(hangs))

    def expired(self) -> str:
        """A recording that must go."""
        now = clock.now()
        with transaction(self.engine) as session:
            row = create_recording(
                session,
                self._call,
                expires_at=now - timedelta(seconds=1),
                carrier_call_sid=None,
                carrier_copy_deleted_at=now,
            )
        self.store.put(row.store_key, [b"audio"])
        return row.id

    def is_purged(self, recording_id: str) -> bool:
        """Whether it has gone."""
        with reading(self.engine) as session:
            row = session.get_one(Recording, recording_id)
            return row.state == RecordingState.PURGED and self.store.versions(row.store_key) == 0

    def entries(self) -> list[str]:
        """What the ledger says has gone."""
        with reading(self.engine) as session:
            return list(session.scalars(select(LedgerEntry.recording_id)))


@pytest.fixture
def processes(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Processes]:
    """None yet."""
    with ExitStack() as stack:
        yield Processes(engine, database_url, tmp_path, stack)


def _stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def test_another_process_stands_in_for_a_paused_leader_and_both_go_on(processes: Processes) -> None:
    leader = processes.sweeping(interval_seconds=5)
    until("it has swept", lambda: (beat := heartbeat(processes.engine, "retention")) and beat.last_success_at)
    leader.send_signal(signal.SIGSTOP)  # between two sweeps: it holds the lead, and no transaction
    other = processes.sweeping()
    first = processes.expired()
    until("another stands in", lambda: processes.is_purged(first))
    leader.send_signal(signal.SIGCONT)
    second = processes.expired()
    until("they go on", lambda: processes.is_purged(second))
    assert sorted(processes.entries()) == sorted([first, second])
    assert (_stop(leader), _stop(other)) == (0, 0)


@pytest.mark.campaign
def test_several_processes_forget_everything_once(processes: Processes, figures: Callable[..., None]) -> None:
    number = runs(2, 10)
    expired = [processes.expired() for _ in range(40)]
    started = [processes.sweeping() for _ in range(number)]
    until("all is gone", lambda: all(map(processes.is_purged, expired)))
    started[0].kill()  # whoever leads or stands by: another goes on
    late = processes.expired()
    until("the others go on", lambda: processes.is_purged(late))
    assert sorted(processes.entries()) == sorted([*expired, late])
    assert {_stop(one) for one in started[1:]} == {0}
    figures(processes=number, recordings=41, entries=len(processes.entries()))


def test_a_sweep_that_hangs_is_left_to_itself_and_the_next_one_runs(processes: Processes) -> None:
    expired = processes.expired()
    process = processes.sweeping(hangs=1)
    until("it is said", lambda: (beat := heartbeat(processes.engine, "retention")) and beat.last_failure)
    until("the next one runs", lambda: processes.is_purged(expired))
    assert process.poll() is None


@pytest.mark.campaign
def test_a_process_that_crashes_again_and_again_forgets_all_the_same(
    processes: Processes, figures: Callable[..., None]
) -> None:
    lives = runs(2, 12)
    for _ in range(lives):
        expired = processes.expired()
        process = processes.start("-m", "callcenter.cli", "retention", "run")
        until("the first sweep of its life runs", partial(processes.is_purged, expired))
        process.kill()
        process.wait()
    assert len(processes.entries()) == lives
    figures(lives=lives, forgotten=lives)


def test_after_a_month_without_a_sweep_nothing_was_readable_and_the_backlog_goes_in_batches(
    world: World, settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 20)
    many, some = 60, 5
    with transaction(world.engine) as session:
        cast = create_cast(session)
        manager = cast.hill.manager
        key = create_api_key(session, name="m", role=manager.role, clinics=(), user=manager, now=NOW).secret
    month = [NOW + timedelta(hours=12 * number) for number in range(many)]
    backlog = [world.recording(cast.hill.clinic, expires_at=at) for at in month]
    few = [world.recording(cast.lake.clinic, expires_at=at) for at in month[:some]]
    world.now = NOW + timedelta(days=30)
    clock.set_offset((world.now - clock.host_now()).total_seconds())
    web = create_app(settings, world.engine, world.store).test_client()
    for one in backlog[::10]:
        address = f"/api/v1/recordings/{one}/audio?purpose=review"
        assert web.get(address, headers={"Authorization": f"Bearer {key}"}, buffered=True).status_code == 410
    clock.set_offset(0)
    assert too_many(many, many)
    first = world.sweep()
    assert (first.deleted, first.braked) == (some, many)
    assert {world.states()[one] for one in few} == {RecordingState.PURGED}
    told: list[int] = []
    second = world.sweep(confirmed=True, progress=lambda result: told.append(result.deleted))
    assert (second.deleted, told) == (many, [20, 40, 60])
    assert (world.s3.names(), len(world.ledger())) == ([], many + some)


def test_a_poisoned_recording_ages_where_everybody_sees_it_and_the_others_go_on(
    world: World, settings: config.Settings
) -> None:
    clinic = world.clinic()
    poisoned = world.recording(clinic)
    world.s3.refused_names[world.row(poisoned).store_key] = "AccessDenied"
    web = create_app(settings, world.engine, world.store).test_client()
    seen = []
    hours = 26
    for number in range(hours * 2):
        if number % 8 == 0:
            world.recording(clinic, expires_at=world.now)
        world.sweep()
        if number in (1, 5, hours * 2 - 1):
            clock.set_offset((world.now - clock.host_now()).total_seconds())
            seen.append((web.get("/api/v1/health").json or {})["checks"]["recordings"]["status"])
        world.now += timedelta(minutes=30)
    clock.set_offset(0)
    assert seen == ["ok", "degraded", "failing"]
    states = world.states()
    assert states.pop(poisoned) == RecordingState.PURGING
    assert set(states.values()) == {RecordingState.PURGED}
    assert world.row(poisoned).attempts <= hours * 2
