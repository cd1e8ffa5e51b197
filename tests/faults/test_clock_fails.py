"""The clock is wrong, or jumps while a sweep runs: nothing goes early, nothing expired is heard, nothing stays for ever
because of what a wrong clock has written (F22, R9, R11, P28, P30)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter import clock, config
from callcenter.db import transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierUnavailable
from callcenter.models import Recording
from callcenter.services.access import create_api_key
from callcenter.services.ingest import run_once
from callcenter.storage.local import LocalRecordingStore
from callcenter.web.app import create_app
from retention import brakes
from retention.brakes import Uptime
from retention.scheduler import SCHEDULE, Parts, run_job
from retention.trusted_time import ClocksDiffer, trusted_now
from tests.cast import create_cast
from tests.factories import NOW, create_answered_call, create_recording
from tests.retention.test_scheduler import heartbeat
from tests.retention.world import World
from tests.services.ingest_desk import Desk

YEARS = timedelta(days=3653)
FORWARD = {"an hour": timedelta(hours=1), "a day": timedelta(days=1), "ten years": YEARS}
BACK = {"an hour": -timedelta(hours=1), "a day": -timedelta(days=1), "to 1970": datetime(1970, 1, 1, tzinfo=UTC) - NOW}


@pytest.fixture(autouse=True)
def a_machine_that_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It has been up for a while and is not restarted."""
    monkeypatch.setattr(brakes, "read_uptime", lambda: Uptime("boot-1", 1000.0))
    yield
    clock.set_offset(0)


@pytest.mark.parametrize("wrong", FORWARD)
def test_a_clock_that_runs_ahead_deletes_nothing_and_says_so(world: World, wrong: str) -> None:
    world.sweep()
    ids = [world.recording(expires_at=NOW + timedelta(minutes=minutes)) for minutes in (1, 30, 59)]
    world.now += FORWARD[wrong]
    result = world.sweep()
    assert (result.deleted, result.braked, result.clean) == (0, 3, False)
    assert "clock" in result.brakes[0]
    assert len(world.s3.names()) == len(ids)
    world.now = NOW + timedelta(minutes=1)
    assert world.sweep().deleted == 1, "set right again, it goes on by itself"


@pytest.mark.parametrize("wrong", BACK)
def test_a_clock_that_is_behind_deletes_only_what_has_expired_by_it(world: World, wrong: str) -> None:
    world.sweep()
    expired, young = world.recording(expires_at=NOW), world.recording(expires_at=NOW + timedelta(days=3))
    world.now += BACK[wrong]
    assert world.sweep().deleted == 0
    world.now = NOW
    assert world.sweep().braked == 1, "which of the two times was wrong, a person must say"
    assert world.sweep(confirmed=True).deleted == 1
    assert (world.states()[expired], world.states()[young]) == (RecordingState.PURGED, RecordingState.STORED)


@pytest.mark.parametrize("jump", [*FORWARD.values(), *BACK.values()], ids=[*FORWARD, *(f"back {one}" for one in BACK)])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_jump_during_a_sweep_takes_nothing_that_was_not_due_before(world: World, jump: timedelta, after: int) -> None:
    due, young = world.recording(), world.recording(expires_at=NOW + timedelta(minutes=10))
    asked = []

    def jumping() -> datetime:
        asked.append(1)
        return NOW + (jump if len(asked) > after else timedelta(0))

    if after == 0:  # the clock was wrong all the time: other brakes
        world.sweep()
    world.sweep(clock=jumping)
    assert world.states()[young] == RecordingState.STORED
    world.now = NOW + timedelta(minutes=9)
    world.sweep(confirmed=True)
    assert world.states()[young] == RecordingState.STORED
    world.now += timedelta(minutes=20)
    world.sweep(confirmed=True)
    assert world.states() == {due: RecordingState.PURGED, young: RecordingState.PURGED}
    assert len(world.ledger()) == 2


def test_what_failed_under_a_clock_ten_years_ahead_is_tried_again_when_it_is_right(engine: Engine) -> None:
    desk = Desk(engine)
    waiting = desk.recording(expires_at=NOW + 2 * YEARS)
    desk.fake.errors[desk.sid(waiting)] = [CarrierUnavailable("down")]
    assert run_once(engine, desk.fake.carrier(), desk.store, NOW + YEARS)
    assert desk.row(waiting).next_attempt_at > NOW + timedelta(days=3000)
    desk.run_to_quiet(NOW + timedelta(minutes=1))
    assert desk.row(waiting).state == RecordingState.STORED


def test_a_lease_taken_ten_years_ahead_does_not_last_for_ten_years(world: World) -> None:
    taken = world.recording(state=RecordingState.PURGING, lease_token="a", lease_until_at=NOW + YEARS, attempts=1)
    waits = world.recording(next_attempt_at=NOW + YEARS)
    assert world.sweep().deleted == 2
    assert {world.states()[one] for one in (taken, waits)} == {RecordingState.PURGED}


@pytest.mark.parametrize(
    "wrong", [timedelta(seconds=61), -timedelta(hours=1), timedelta(days=1), YEARS, -YEARS * 5], ids=str
)
def test_host_and_database_that_differ_stop_every_job_and_turn_health_red(
    postgresql_url: str, settings: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: timedelta
) -> None:
    from callcenter.db import create_engine_for

    engine = create_engine_for(postgresql_url)
    world = World(engine)
    world.recording(expires_at=NOW - timedelta(days=400))
    right = clock.host_now
    monkeypatch.setattr(clock, "host_now", lambda: right() + wrong)
    with pytest.raises(ClocksDiffer):
        trusted_now(engine)
    run_job(SCHEDULE[0], Parts(engine, world.store, world.carrier.carrier(), lambda: True))
    beat = heartbeat(engine, "retention")
    assert beat is not None
    assert "clocks" in str(beat.last_failure)
    assert len(world.s3.names()) == 1
    web = create_app(settings, engine, LocalRecordingStore(tmp_path / "recordings")).test_client()
    check = (web.get("/api/v1/health").json or {})["checks"]["clock"]
    assert (check["status"], "differ" in check["reason"]) == ("failing", True)
    engine.dispose()


@pytest.mark.parametrize("behind", [timedelta(hours=1), timedelta(days=1), 5 * YEARS], ids=str)
@pytest.mark.parametrize("held", [False, True])
def test_a_web_server_whose_clock_is_behind_lets_nobody_hear_what_has_expired(
    postgresql_url: str,
    settings: config.Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    behind: timedelta,
    held: bool,
) -> None:
    from callcenter.db import create_engine_for

    engine, store, now = create_engine_for(postgresql_url), LocalRecordingStore(tmp_path / "recordings"), clock.now()
    with transaction(engine) as session:
        cast = create_cast(session)
        call = create_answered_call(session, cast.hill.clinic)
        rows: dict[str, Recording] = {}
        for name, at in {"expired": now - timedelta(seconds=1), "young": now + timedelta(hours=9)}.items():
            rows[name] = create_recording(session, call, expires_at=at, size_bytes=5, held=held)
            store.put(rows[name].store_key, [b"audio"])
        manager = cast.hill.manager
        key = create_api_key(session, name="m", role=manager.role, clinics=(), user=manager, now=now).secret
    web = create_app(settings, engine, store).test_client()
    right = clock.host_now
    monkeypatch.setattr(clock, "host_now", lambda: right() - behind)

    def heard(row: Recording) -> Any:
        address = f"/api/v1/recordings/{row.id}/audio?purpose=review"
        return web.get(address, headers={"Authorization": f"Bearer {key}"}, buffered=True).status_code

    assert (heard(rows["expired"]), heard(rows["young"])) == (410, 200)
    engine.dispose()
