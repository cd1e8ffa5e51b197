"""Blanking cannot be undone: a clock that jumped, or far too many calls at once, and somebody is asked (R11, F22)."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select

from callcenter.db import reading, transaction
from callcenter.models import AccessEntry, Call, Clinic, JobHeartbeat, ReplayedCall, Search
from retention import brakes, scheduler
from retention.brakes import Uptime
from retention.call_log import blank_calls, remove_expired_rows
from retention.scheduler import Parts, run_job
from tests.factories import NOW, create_answered_call, create_clinic
from tests.retention.world import World

JUMP = timedelta(days=3653)


@pytest.fixture(autouse=True)
def low_brake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five are as suspicious here as fifty elsewhere."""
    monkeypatch.setattr("callcenter.domain.retention.BRAKE_COUNT", 5)


@pytest.fixture
def jumped(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A clock that jumped by ten years within a minute of real time."""
    machine = {"is": Uptime("boot-1", 1000.0)}
    monkeypatch.setattr(brakes, "read_uptime", lambda: machine["is"])
    world.sweep()
    machine["is"] = Uptime("boot-1", 1060.0)
    world.now += JUMP
    return world


def _calls(engine: Engine, due: int, kept: int = 0) -> Clinic:
    with transaction(engine) as session:
        clinic = create_clinic(session)
        for number in range(due + kept):
            create_answered_call(session, clinic, expires_at=NOW + timedelta(days=0 if number < due else 9999))
    return clinic


def _blanked(engine: Engine) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(Call).where(Call.blanked_at.is_not(None))) or 0


def _short_lived(engine: Engine) -> None:
    with transaction(engine) as session:
        session.add(Search(owner_id="u1", criteria={}, created_at=NOW, expires_at=NOW))
        session.add(ReplayedCall(sid_hash="x", seen_at=NOW, expires_at=NOW))


def test_a_clock_that_jumped_blanks_and_removes_nothing(jumped: World) -> None:
    _calls(jumped.engine, due=2)
    _short_lived(jumped.engine)
    calls, rows = blank_calls(jumped.engine, now=jumped.now), remove_expired_rows(jumped.engine, now=jumped.now)
    assert (calls.due, calls.done, calls.braked, _blanked(jumped.engine)) == (2, 0, 2, 0)
    assert (rows.due, rows.done, rows.braked) == (2, 0, 2)
    assert "jumped" in calls.brakes[0]
    assert "jumped" in rows.brakes[0]


def test_the_confirmation_of_a_sweep_lets_the_call_log_go_on_too(jumped: World) -> None:
    _calls(jumped.engine, due=2)
    _short_lived(jumped.engine)
    jumped.sweep(confirmed=True)
    assert blank_calls(jumped.engine, now=jumped.now).done == 2
    assert remove_expired_rows(jumped.engine, now=jumped.now).done == 2


def test_too_many_calls_of_one_clinic_are_kept_and_others_are_blanked(engine: Engine) -> None:
    clinic = _calls(engine, due=6)
    _calls(engine, due=5)
    _calls(engine, due=6, kept=24)
    result = blank_calls(engine, now=NOW)
    assert (result.due, result.done, result.braked, _blanked(engine)) == (17, 11, 6, 11)
    assert clinic.id in result.brakes[0]


def test_a_confirmation_lifts_the_brake_and_is_logged(engine: Engine) -> None:
    clinic = _calls(engine, due=6)
    assert blank_calls(engine, now=NOW, confirmed=True, actor_id="command-line").done == 6
    with reading(engine) as session:
        entry = session.scalars(select(AccessEntry)).one()
    assert (entry.action, entry.actor_id, entry.clinic_id) == ("retention.brake_lifted", "command-line", clinic.id)
    assert entry.subject_kind == "call_log"


def test_a_dry_run_tells_and_blanks_nothing(engine: Engine) -> None:
    _calls(engine, due=3)
    result = blank_calls(engine, now=NOW, dry_run=True)
    assert (result.due, result.done, _blanked(engine)) == (3, 0, 0)


def test_a_braked_call_log_is_no_success(jumped: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _calls(jumped.engine, due=2)
    _short_lived(jumped.engine)
    monkeypatch.setattr(scheduler, "trusted_now", lambda _: jumped.now)
    for name in ("call_log", "expired_rows"):
        job = next(one for one in scheduler.SCHEDULE if one.name == name)
        run_job(job, Parts(jumped.engine, jumped.store, jumped.carrier.carrier(), lambda: True))
        with reading(jumped.engine) as session:
            beat = session.get_one(JobHeartbeat, name)
        assert beat.last_success_at is None
        assert "jumped" in str(beat.last_failure)
