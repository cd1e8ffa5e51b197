"""Whatever happens in whatever order: nothing early, nothing held goes; nothing is called gone that is there (P30).

Random recordings, holds, faults and clocks that run forward and back; SQLite only, for speed.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from callcenter.db import create_engine_for, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.domain.retention import is_due
from callcenter.errors import CarrierUnavailable, Conflict
from callcenter.models import LedgerEntry, LegalHold, Recording
from callcenter.services import retention_requests
from tests.factories import NOW
from tests.retention.world import World

MOST = 4
minutes = st.sampled_from([-60, -30, -1, 0, 1, 30, 60])
"""Few values, so that clocks and expiries meet."""


@dataclass(frozen=True)
class Step:
    """One thing that happens; ``which`` is a recording, ``minutes`` a turn of the clock."""

    what: str
    which: int = 0
    minutes: int = 0


plans = st.lists(
    st.fixed_dictionaries(
        {
            "minutes": minutes,
            "state": st.sampled_from([state for state in RecordingState if state != RecordingState.PURGED]),
            "purge_wanted": st.booleans(),
            "held": st.booleans(),
        }
    ),
    min_size=1,
    max_size=MOST,
)
steps = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(
            ["sweep", "sweep", "confirm", "turn", "hold", "release", "close", "open", "lock", "carrier"]
        ),
        which=st.integers(0, MOST - 1),
        minutes=minutes,
    ),
    min_size=3,
    max_size=14,
)


@pytest.fixture
def quick_world(sqlite_url: str) -> Any:
    engine = create_engine_for(sqlite_url)
    yield World(engine)
    engine.dispose()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans, steps=steps)
def test_nothing_goes_early_or_held(quick_world: World, plan: list[dict[str, Any]], steps: list[Step]) -> None:
    world = _empty(quick_world)
    clinic = world.clinic()
    ids = [
        world.recording(
            clinic,
            state=one["state"],
            purge_wanted=one["purge_wanted"],
            expires_at=NOW + timedelta(minutes=one["minutes"]),
        )
        for one in plan
    ]
    for recording_id, one in zip(ids, plan, strict=True):
        if one["held"]:
            world.hold(recording_id)
    for step in steps:
        before = _there(world, ids)
        allowed = {one for one in ids if _may_go(world, one)}
        _do(world, ids, step)
        assert before - _there(world, ids) <= (allowed if step.what in ("sweep", "confirm") else set())
        _check(world, ids)
    _finish(world, ids)


def _empty(world: World) -> World:
    with transaction(world.engine) as session:
        for table in (LedgerEntry, LegalHold, Recording):
            session.execute(delete(table))
    return World(world.engine)


def _there(world: World, ids: list[str]) -> set[str]:
    """Recordings of which anything is left, in the store or at the carrier."""
    names = set(world.s3.names())
    return {
        one
        for one in ids
        if world.row(one).store_key in names or world.row(one).carrier_recording_sid in world.carrier.media
    }


def _may_go(world: World, recording_id: str) -> bool:
    row = world.row(recording_id)
    return is_due(row.state, row.expires_at, world.now, held=row.held, purge_wanted=row.purge_wanted)


def _do(world: World, ids: list[str], step: Step) -> None:
    recording_id = ids[step.which % len(ids)]
    row = world.row(recording_id)
    match step.what:
        case "sweep" | "confirm":
            world.sweep(confirmed=step.what == "confirm", at_once=step.minutes > 0)
        case "turn":
            world.now += timedelta(minutes=step.minutes)
        case "hold":
            _hold(world, recording_id)
        case "release":
            _release(world, recording_id)
        case "close" | "open":
            world.s3.forbidden = step.what == "close"
        case "lock":
            for version in world.s3.versions:
                version.locked = version.name == row.store_key
        case "carrier":
            world.carrier.errors[str(row.carrier_recording_sid)] = [CarrierUnavailable("down")]


def _hold(world: World, recording_id: str) -> None:
    review_on = (world.now + timedelta(days=9)).date()
    try:
        with transaction(world.engine) as session:
            retention_requests.place_hold(
                session, recording_id=recording_id, reason="Kept", review_on=review_on, actor_id="x", now=world.now
            )
    except Conflict:
        return
    assert recording_id in _there(world, [recording_id]), "a hold on nothing (F24)"


def _release(world: World, recording_id: str) -> None:
    with transaction(world.engine) as session:
        for hold in retention_requests.list_holds(session):
            if hold.recording_id == recording_id:
                retention_requests.release_hold(session, hold_id=hold.id, reason="Over", actor_id="x", now=world.now)


def _check(world: World, ids: list[str]) -> None:
    """Purged means nothing is left and exactly one ledger entry; everything else has none."""
    purged = {one for one in ids if world.row(one).state == RecordingState.PURGED}
    assert purged & _there(world, ids) == set()
    assert sorted(entry.recording_id for entry in world.ledger()) == sorted(purged)


def _finish(world: World, ids: list[str]) -> None:
    """With all troubles over, what may go goes in a bounded number of sweeps (I9)."""
    world.s3.forbidden = False
    for version in world.s3.versions:
        version.locked = False
    world.carrier.errors.clear()
    world.now = NOW + timedelta(days=1)
    for _ in range(3):
        world.now += timedelta(minutes=20)
        world.sweep(confirmed=True)
    held = {one for one in ids if world.row(one).held}
    assert {one for one in ids if world.row(one).state != RecordingState.PURGED} == held
    assert held <= _there(world, ids)
