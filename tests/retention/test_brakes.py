"""A sweep that would delete suspiciously much, or whose clock is not to be believed, stops and asks (R9, R11, F22)."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.models import AccessEntry, Clinic
from callcenter.services.retention_requests import change_policy
from retention import brakes
from retention.brakes import Uptime
from retention.trusted_time import ClocksDiffer, trusted_now
from tests.factories import NOW
from tests.retention.world import World


@pytest.fixture
def uptime(monkeypatch: pytest.MonkeyPatch) -> dict[str, Uptime | None]:
    """The machine's real time, to turn by hand."""
    machine: dict[str, Uptime | None] = {"is": Uptime("boot-1", 1000.0)}
    monkeypatch.setattr(brakes, "read_uptime", lambda: machine["is"])
    return machine


@pytest.fixture(autouse=True)
def low_brake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five are as suspicious here as fifty elsewhere."""
    monkeypatch.setattr("callcenter.domain.retention.BRAKE_COUNT", 5)


def _add(world: World, due: int, kept: int, clinic: Clinic | None = None) -> Clinic:
    clinic = clinic or world.clinic()
    for number in range(due + kept):
        expires_at = NOW - timedelta(days=1) if number < due else NOW + timedelta(days=9)
        world.recording(clinic, carrier_copy=False, expires_at=expires_at)
    return clinic


def test_too_much_of_one_clinic_is_kept_and_reported(world: World) -> None:
    _add(world, due=6, kept=3)
    result = world.sweep()
    assert (result.deleted, result.braked, result.clean) == (0, 6, False)
    assert len(result.brakes) == 1
    assert len(world.s3.names()) == 9


@pytest.mark.parametrize(("due", "kept"), [(5, 0), (6, 24)], ids=["few", "a fifth"])
def test_what_is_not_too_much_goes(world: World, due: int, kept: int) -> None:
    _add(world, due=due, kept=kept)
    assert world.sweep().deleted == due


def test_the_brake_of_one_clinic_does_not_stop_another(world: World) -> None:
    _add(world, due=6, kept=0)
    _add(world, due=2, kept=0)
    result = world.sweep()
    assert (result.deleted, result.braked, result.skipped) == (2, 6, 0)


def test_a_confirmation_lifts_the_brake_once_and_is_logged(world: World) -> None:
    clinic = _add(world, due=6, kept=0)
    assert world.sweep(confirmed=True, actor_id="command-line").deleted == 6
    with reading(world.engine) as session:
        entry = session.scalars(select(AccessEntry)).one()
    assert (entry.action, entry.actor_id, entry.clinic_id) == ("retention.brake_lifted", "command-line", clinic.id)
    _add(world, due=6, kept=0, clinic=clinic)
    assert world.sweep().braked == 6


def test_what_was_let_through_and_failed_is_not_braked_afterwards(world: World) -> None:
    _add(world, due=6, kept=0)
    world.s3.forbidden = True
    world.sweep(confirmed=True)
    world.s3.forbidden = False
    world.now += timedelta(minutes=30)
    assert world.sweep().deleted == 6


def test_a_policy_that_is_shortened_during_the_sweep_is_braked_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 2)
    clinic, days_ago = world.clinic(), NOW - timedelta(days=5)
    for _ in range(3):
        world.recording(clinic, retention_days=1)
    for _ in range(9):
        world.recording(clinic, started_at=days_ago, ended_at=days_ago, expires_at=NOW + timedelta(days=25))

    def shorten(_: object) -> None:
        with transaction(world.engine) as session:
            change_policy(session, clinic_id=clinic.id, days=1, actor_id="x", now=NOW, confirmed=True)

    result = world.sweep(progress=shorten)
    assert (result.deleted, result.braked, result.skipped) == (2, 10, 0)
    assert (len(result.brakes), len(world.s3.names())) == (1, 10)
    assert world.sweep(confirmed=True).deleted == 10


def test_what_is_wanted_gone_is_never_braked(world: World) -> None:
    clinic = world.clinic()
    for _ in range(8):
        world.recording(clinic, purge_wanted=True)
    assert world.sweep().deleted == 8


@pytest.mark.parametrize("jump", [timedelta(hours=2), timedelta(days=1), timedelta(days=3653)])
def test_a_clock_that_jumps_forward_deletes_nothing(
    world: World, uptime: dict[str, Uptime | None], jump: timedelta
) -> None:
    world.sweep()
    world.recording(expires_at=NOW + timedelta(minutes=1))
    world.now += jump
    uptime["is"] = Uptime("boot-1", 1060.0)
    assert (world.sweep().deleted, world.sweep().braked) == (0, 1)
    assert world.sweep(confirmed=True).deleted == 1


def test_a_clock_that_jumped_and_was_set_right_again_is_believed(
    world: World, uptime: dict[str, Uptime | None]
) -> None:
    world.sweep()
    world.recording(expires_at=NOW)
    world.now += timedelta(days=1)
    uptime["is"] = Uptime("boot-1", 1060.0)
    world.sweep()
    world.now = NOW + timedelta(minutes=1)
    assert world.sweep().deleted == 1


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=365)])
def test_a_clock_put_back_deletes_nothing_early(
    world: World, uptime: dict[str, Uptime | None], back: timedelta
) -> None:
    world.sweep()
    world.recording(expires_at=NOW - back + timedelta(seconds=1))
    world.now -= back
    assert world.sweep().due == 0


def test_a_service_that_was_switched_off_for_a_month_is_not_a_jump(
    world: World, uptime: dict[str, Uptime | None]
) -> None:
    world.sweep()
    world.recording(expires_at=NOW + timedelta(days=1))
    world.now += timedelta(days=30)
    uptime["is"] = Uptime("boot-1", 1000.0 + 30 * 86_400)
    assert world.sweep().deleted == 1


def test_a_machine_that_was_restarted_has_nothing_to_compare_with(
    world: World, uptime: dict[str, Uptime | None]
) -> None:
    world.sweep()
    world.recording(expires_at=NOW + timedelta(hours=1))
    world.now += timedelta(hours=3)
    uptime["is"] = Uptime("boot-2", 60.0)
    assert world.sweep().deleted == 1


def test_host_and_database_that_disagree_delete_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(engine)
    world.recording(expires_at=NOW - timedelta(days=400))
    real = clock.host_now
    monkeypatch.setattr(clock, "host_now", lambda: real() + timedelta(seconds=61))
    with pytest.raises(ClocksDiffer):
        world.sweep(clock=lambda: trusted_now(engine))
    assert len(world.s3.names()) == 1


def test_the_trusted_time_is_the_databases_plus_the_development_offset(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_offset", timedelta(days=31))
    difference = trusted_now(engine) - clock.host_now()
    assert abs(difference - timedelta(days=31)) < timedelta(seconds=5)
    assert isinstance(trusted_now(engine), datetime)
