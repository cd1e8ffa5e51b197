"""The carrier's lists through our own client: calls and recordings of a period, page by page (R14)."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from callcenter import clock
from callcenter.carrier import twilio_client
from callcenter.domain.calls import LegState
from callcenter.domain.events import RecordingReportKind
from tests.contracts.carrier_rig import World
from tests.contracts.simulator_rig import CLINIC, Rig, rig

TALK = ({"wait_for": "connected"}, {"wait": 2}, {"hang_up": True})
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig, tmp_path: Path) -> World:
    return World(shared, tmp_path)


def test_calls_of_callers_are_listed_and_our_own_legs_are_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_client, "PAGE", 2)
    begun = clock.now() - timedelta(seconds=2)
    callers = [world.connected(*TALK)[0]]
    callers += [world.rig.place({"wait": 1}, {"hang_up": True}) for _ in range(4)]
    for sid in callers:
        world.rig.ended(sid)
    listed = list(world.carrier.inbound_calls(begun, clock.now()))
    assert [call.carrier_call_sid for call in listed] == callers[::-1]
    assert {call.to for call in listed} == {CLINIC}
    assert all(call.state == LegState.COMPLETED and call.ended_at for call in listed)
    assert all(call.from_number and call.started_at and begun <= call.started_at for call in listed)
    assert list(world.carrier.inbound_calls(begun - HOUR, begun - HOUR / 2)) == []


def test_a_caller_who_withheld_the_number_has_none_in_the_list(world: World) -> None:
    world.rig.ended(world.rig.place({"hang_up": True}, **{"from": "anonymous"}))
    [call] = world.carrier.inbound_calls(clock.now() - HOUR, clock.now() + HOUR)
    assert call.from_number is None


def test_where_a_call_was_forwarded_to_is_known(world: World) -> None:
    fallback = "+441632960077"
    world.rig.control("PUT", f"/phones/{fallback}", {"answer_after_seconds": 1})
    dial = f'<Dial callerId="{CLINIC}"><Number>{fallback}</Number></Dial>'
    world.rig.door.answers["/incoming"] = f"<Response>{dial}</Response>"
    caller = world.rig.place({"wait": 10}, {"hang_up": True})
    world.rig.ended(caller)
    [leg] = world.carrier.forwarded_legs(caller)
    assert (leg.to, leg.state) == (fallback, LegState.COMPLETED)
    assert [call.carrier_call_sid for call in world.carrier.inbound_calls(clock.now() - HOUR, clock.now())] == [caller]


def test_recordings_are_listed_until_they_are_deleted(world: World) -> None:
    caller, _ = world.connected(*TALK, say="Good morning")
    told = world.recorded()
    [listed] = world.carrier.recordings_between(None, clock.now())
    assert (listed.carrier_recording_sid, listed.carrier_call_sid) == (told["RecordingSid"], caller)
    assert listed.kind == RecordingReportKind.COMPLETED
    assert listed.started_at is not None
    assert [one.carrier_recording_sid for one in world.carrier.recordings_between(clock.now() - HOUR, clock.now())]
    assert list(world.carrier.recordings_between(clock.now() - 2 * HOUR, clock.now() - HOUR)) == []
    world.carrier.delete_recording(told["RecordingSid"])
    assert list(world.carrier.recordings_between(None, clock.now())) == []
