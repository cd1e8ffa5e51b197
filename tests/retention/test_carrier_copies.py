"""What the carrier holds of a leg goes with our last recording of it, and never earlier (P29, P30, P33)."""

from datetime import timedelta

import pytest

from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierRefused
from callcenter.models import Recording
from tests.factories import NOW
from tests.retention.world import World

SURPLUS = "RE" + "1" * 32


def _with_surplus(world: World, **values: object) -> str:
    recording_id = world.recording(**values)  # type: ignore[arg-type]
    row = world.row(recording_id)
    world.carrier.legs[str(row.carrier_call_sid)] = [str(row.carrier_recording_sid), SURPLUS]
    world.carrier.media[SURPLUS] = b"audio"
    return recording_id


def _second(world: World, first: str, **values: object) -> Recording:
    """Another recording of the same leg, which is kept for longer."""
    row = world.row(first)
    values = {"carrier_call_sid": row.carrier_call_sid, "expires_at": NOW + timedelta(days=9)} | values
    other = world.recording(carrier_copy=False, **values)  # type: ignore[arg-type]
    world.change(other, call_id=row.call_id, clinic_id=row.clinic_id)
    return world.row(other)


@pytest.mark.parametrize("copy_deleted_at", [None, NOW - timedelta(days=29)], ids=["still there", "deleted before"])
def test_a_copy_whose_callback_was_lost_goes_with_the_recording(world: World, copy_deleted_at: object) -> None:
    _with_surplus(world, carrier_copy=copy_deleted_at is None, carrier_copy_deleted_at=copy_deleted_at)
    assert world.sweep().deleted == 1
    assert world.carrier.media == {}
    assert [entry.carrier_copy for entry in world.ledger()] == ["deleted"]


def test_a_copy_that_another_recording_has_stays(world: World) -> None:
    first = _with_surplus(world)
    _second(world, first, carrier_recording_sid=SURPLUS)
    assert world.sweep().deleted == 1
    assert list(world.carrier.media) == [SURPLUS]


def test_a_copy_that_a_waiting_recording_may_have_goes_with_that_one(world: World) -> None:
    first = _with_surplus(world)
    waiting = _second(world, first, state=RecordingState.STARTING, stored_at=None, carrier_recording_sid=None)
    assert world.sweep().deleted == 1
    assert list(world.carrier.media) == [SURPLUS]
    world.now = waiting.expires_at
    assert world.sweep(confirmed=True).deleted == 1
    assert world.carrier.media == {}


def test_which_copy_is_whose_is_not_guessed(world: World) -> None:
    first = _with_surplus(world, carrier_copy=False, carrier_recording_sid=None, purge_wanted=True)
    _second(world, first, state=RecordingState.STARTING, stored_at=None, carrier_recording_sid=None)
    world.carrier.legs[str(world.row(first).carrier_call_sid)] = [SURPLUS]
    result = world.sweep()
    assert (result.deleted, result.failed, world.row(first).failure) == (0, 1, "copy_not_known")
    assert list(world.carrier.media) == [SURPLUS]


def test_a_refusal_that_is_no_proof_leaves_it_due(world: World) -> None:
    recording_id = world.recording()
    sid = str(world.row(recording_id).carrier_recording_sid)
    world.carrier.errors[sid] = [CarrierRefused("no body", status=404)]
    assert world.sweep().failed == 1
    assert (world.row(recording_id).state, world.ledger()) == (RecordingState.PURGING, [])
