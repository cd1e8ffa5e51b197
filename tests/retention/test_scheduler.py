"""Jobs run at start and then on time, one process at a time, and say how it went (scheduler rules, F23, F26, F27)."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import StoreRefused
from callcenter.models import JobHeartbeat, Recording
from callcenter.storage.local import LocalRecordingStore
from retention import scheduler
from retention.leader import leader_of
from retention.scheduler import SCHEDULE, Job, Parts, run_job
from tests.factories import create_answered_call, create_clinic, create_recording
from tests.retention.world import World


def parts_of(world: World) -> Parts:
    return Parts(world.engine, world.store, world.carrier.carrier(), lambda: True)


def heartbeat(engine: Engine, name: str) -> JobHeartbeat | None:
    with reading(engine) as session:
        return session.get(JobHeartbeat, name)


def job(work: Callable[[Parts], dict[str, Any]]) -> Job:
    return Job("test", interval_seconds=60, limit_seconds=5, work=work)


def test_the_timetable_names_each_job_once_and_every_limit_fits_its_interval() -> None:
    assert len({one.name for one in SCHEDULE}) == len(SCHEDULE)
    assert [one.name for one in SCHEDULE if one.limit_seconds > one.interval_seconds] == []


@pytest.mark.parametrize("name", [one.name for one in SCHEDULE])
def test_every_job_of_the_timetable_works_and_reports(world: World, name: str) -> None:
    run_job(next(one for one in SCHEDULE if one.name == name), parts_of(world))
    beat = heartbeat(world.engine, name)
    assert beat is not None
    assert beat.last_success_at is not None
    assert beat.last_failure_at is None


def test_counts_of_failures_are_no_success(world: World) -> None:
    run_job(job(lambda _: {"failed": 2}), parts_of(world))
    beat = heartbeat(world.engine, "test")
    assert beat is not None
    assert (beat.last_success_at, beat.last_failure, beat.result) == (None, "2 failed", {"failed": 2})


def test_a_brake_is_no_success_and_says_why(world: World) -> None:
    run_job(job(lambda _: {"failed": 0, "braked": 9, "brakes": ["Too much."]}), parts_of(world))
    beat = heartbeat(world.engine, "test")
    assert beat is not None
    assert (beat.last_success_at, beat.last_failure) == (None, "Too much.")


@pytest.mark.parametrize(
    ("error", "reason"), [(StoreRefused("Closed."), "Closed."), (ValueError("+447700900987"), "ValueError")]
)
def test_a_job_that_raises_is_noted_without_quoting_values(world: World, error: Exception, reason: str) -> None:
    def work(_: Parts) -> dict[str, Any]:
        raise error

    run_job(job(work), parts_of(world))
    beat = heartbeat(world.engine, "test")
    assert beat is not None
    assert beat.last_failure == reason


def test_a_job_that_hangs_is_left_to_itself(world: World) -> None:
    release = threading.Event()

    def work(_: Parts) -> dict[str, Any]:
        release.wait(30)
        return {}

    run_job(Job("test", interval_seconds=60, limit_seconds=0, work=work), parts_of(world))
    release.set()
    beat = heartbeat(world.engine, "test")
    assert beat is not None
    assert "did not end" in str(beat.last_failure)


def test_one_process_leads_and_the_next_takes_over(engine: Engine) -> None:
    first, second = leader_of(engine), leader_of(engine)
    assert (first.leads(), second.leads(), first.leads()) == (True, False, True)
    first.resign()
    _until(second.leads)  # PostgreSQL ends the connection of the first, and with it the lock, a moment later
    assert not first.leads()
    first.resign()
    second.resign()


def test_a_leader_that_loses_its_connection_notices(postgresql_url: str) -> None:
    from callcenter.db import create_engine_for

    engine = create_engine_for(postgresql_url)
    first, second = leader_of(engine), leader_of(engine)
    assert first.leads()
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
    until = time.monotonic() + 20
    while not second.leads():  # the server ends the other connection, and with it the lock, a moment later
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not first.leads()
    for one in (first, second):
        one.resign()
    engine.dispose()


def test_who_does_not_lead_does_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(scheduler, "run_job", lambda one, _: ran.append(one.name))
    leader = leader_of(world.engine)
    leader.leads()
    other = leader_of(world.engine)
    parts = scheduler.Parts(world.engine, world.store, world.carrier.carrier(), lambda: True)
    scheduler._run_job(SCHEDULE[0], parts, other, threading.Event())
    assert ran == []
    scheduler._run_job(SCHEDULE[0], parts, leader, threading.Event())
    assert ran == ["retention"]
    leader.resign()
    other.resign()


@pytest.fixture
def process(database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``callcenter retention run`` on the database and a directory store, stopped at the end."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "RECORDINGS_URL": f"file://{tmp_path / 'recordings'}",
        "CALLCENTER_STATE_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "callcenter.cli", "retention", "run"]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    yield running
    if running.poll() is None:
        running.kill()
    running.communicate()


def test_the_process_sweeps_at_start_and_stops_cleanly(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store, now = LocalRecordingStore(tmp_path / "recordings"), clock.now()
    with transaction(engine) as session:
        call = create_answered_call(session, create_clinic(session))
        recording = create_recording(
            session, call, expires_at=now - timedelta(seconds=1), carrier_call_sid=None, carrier_copy_deleted_at=now
        )
    store.put(recording.store_key, [b"audio"])
    process: subprocess.Popen[bytes] = request.getfixturevalue("process")
    _until(lambda: _state(engine, recording.id) == RecordingState.PURGED)
    assert store.versions(recording.store_key) == 0
    _until(lambda: (beat := heartbeat(engine, "retention")) is not None and beat.last_success_at is not None)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


HANGING = """
import sys, threading
from callcenter import wiring
from retention import scheduler
scheduler.STOP_SECONDS = 1
def hang(_):
    print("hanging", flush=True)
    with scheduler.ThreadPoolExecutor(1)._pool as pool:
        pool.submit(threading.Event().wait, 60).result()
settings = wiring.load_settings()
job = scheduler.Job("test", interval_seconds=60, limit_seconds=60, work=hang)
scheduler.run(wiring.engine(settings), None, None, schedule=(job,))
"""


def test_a_job_that_hangs_does_not_keep_the_process_from_ending(database_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url, "CALLCENTER_STATE_DIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", HANGING], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"hanging\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_a_process_that_is_stopped_ends_before_it_would_be_killed() -> None:
    assert scheduler.STOP_SECONDS < 20


def _state(engine: Engine, recording_id: str) -> RecordingState:
    with reading(engine) as session:
        return session.get_one(Recording, recording_id).state


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.1)
