"""What crosses at a telephone exchange: the situations of twilio-voice §13, by their numbers, each as it happens.

Rows that are proved elsewhere stand in docs/reliability.md with the test that proves them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from callcenter.db import create_engine_for, reading
from callcenter.domain.calls import CallState, LegState, OfferReason, OfferState, Outcome
from callcenter.domain.receptionists import Activity, Presence
from callcenter.domain.recordings import RecordingState
from callcenter.models import CarrierEvent
from callcenter.services import call_actions
from callcenter.services.queueing import ANSWER_GRACE_SECONDS
from tests.campaigns import LONG
from tests.faults import storm_desk
from tests.faults.storm_desk import LATE, LOST, ON_TIME, fares, her, her_leg, offers, ringing, talking, the_call
from tests.faults.storm_people import BUTTONS
from tests.faults.storm_truths import Truths
from tests.faults.storm_weather import Fate, Weather
from tests.faults.storm_world import VOICE, StormWorld, storm
from tests.webhooks import door


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)] if LONG else ["sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StormWorld]:
    """A calm day with Rosie and Robin at the hill clinic; whatever happens, everything comes to rest at the end."""
    engine = create_engine_for(request.getfixturevalue(f"{request.param}_url"))
    with storm(engine, tmp_path, Weather()) as world:
        yield world
        Truths(world).come_to_rest()
    engine.dispose()


# 1
def test_an_answer_that_is_reported_after_the_end_of_the_leg_does_not_bring_it_back(world: StormWorld) -> None:
    caller, softphone = ringing(world)
    fares(world, LATE)
    world.answers(softphone)
    world.passes(10)
    world.lines.end_leg(caller)
    world.passes(5)
    ended = her_leg(world, softphone)
    world.passes(30)
    assert (ended.state, her_leg(world, softphone).state) == (LegState.COMPLETED, LegState.COMPLETED)
    assert her_leg(world, softphone).ended_at == ended.ended_at


# 1
def test_a_caller_whose_leaving_overtakes_their_joining_was_answered(world: StormWorld) -> None:
    caller, softphone = ringing(world)
    fares(world, ON_TIME, ON_TIME, LATE, LATE)
    world.answers(softphone)
    world.passes(3)
    world.lines.end_leg(caller)
    world.passes(60)
    assert the_call(world).outcome == Outcome.ANSWERED
    assert the_call(world).talk_seconds == pytest.approx(caller.talked, abs=2)


# 2
def test_a_call_of_which_everything_is_told_three_times_is_one_call(world: StormWorld) -> None:
    world.weather.kind = "echo"
    caller, _ = talking(world)
    world.passes(20)
    world.lines.end_leg(caller)
    world.passes(60)
    call = the_call(world)
    assert call.talk_seconds == pytest.approx(caller.talked, abs=2)
    assert call.wrap_up_seconds == pytest.approx(25, abs=2)
    with reading(world.engine) as session:
        told = session.scalar(select(func.count(CarrierEvent.id)).where(CarrierEvent.kind != "incoming"))
    sent = [captured for captured in world.captured if not captured.is_control]
    assert len(sent) == 3 * (told or 0)


# 3
def test_a_call_of_which_nothing_is_told_is_served_and_ended_all_the_same(world: StormWorld) -> None:
    world.weather.kind = "deaf"
    caller, softphone = ringing(world)
    world.answers(softphone)
    world.passes(40)
    assert the_call(world).state == CallState.CONNECTED
    world.lines.end_leg(caller)
    world.passes(120)
    assert (the_call(world).state, the_call(world).outcome) == (CallState.ENDED, Outcome.ANSWERED)


# 4
@pytest.mark.parametrize("fault", ["slow after", "lost after"])
def test_a_leg_that_is_answered_before_its_making_is_confirmed_is_one_leg_in_a_talk(
    world: StormWorld, fault: str
) -> None:
    world.weather.ordered_faults["ring"].append(fault)
    caller = world.dials(world.cast.hill.number)
    world.passes(6.8)
    (softphone,) = world.softphones(LegState.RINGING)
    world.answers(softphone)
    world.passes(12)
    assert caller.room is not None
    assert her_leg(world, softphone).state == LegState.IN_PROGRESS
    assert [leg.sid for leg in world.lines.legs.values() if leg.identity] == [softphone.sid]
    assert [offer.state for offer in offers(world)] == [OfferState.ACCEPTED]


# 5
@pytest.mark.parametrize("first", ["recording", "call"])
def test_a_recording_may_be_complete_before_or_after_its_call(world: StormWorld, first: str) -> None:
    caller, _ = talking(world)
    fares(world, *((ON_TIME, LATE, LATE, LATE, LATE) if first == "recording" else (LATE, ON_TIME)))
    world.lines.end_leg(caller)
    world.passes(1)
    states = {"recording": RecordingState.COPYING, "call": RecordingState.RECORDING}
    assert storm_desk.recording(world).state == states[first]
    assert (the_call(world).state == CallState.ENDED) == (first == "call")
    world.passes(40)
    world.copies()
    assert storm_desk.recording(world).state == RecordingState.STORED
    assert the_call(world).outcome == Outcome.ANSWERED


# 7
@pytest.mark.parametrize("what", ["hold", "hang up", "pause"])
def test_a_button_that_crosses_with_the_callers_hang_up_leaves_an_answered_call(world: StormWorld, what: str) -> None:
    caller, _ = talking(world)
    fares(world, LATE, LATE, LATE, LATE, LATE)
    world.lines.end_leg(caller)
    assert world.does(lambda session: BUTTONS[what](session, the_call(world).id))
    world.passes(90)
    assert (the_call(world).state, the_call(world).outcome) == (CallState.ENDED, Outcome.ANSWERED)
    assert her(world).activity == Activity.IDLE


# 8
def test_she_answers_while_her_leg_is_being_cancelled_and_hears_that_it_is_too_late(world: StormWorld) -> None:
    caller, softphone = ringing(world)
    world.weather.ordered_faults["end_call"].append("slow before")
    world.agenda.after(1, lambda: world.answers(softphone))
    world.lines.end_leg(caller)
    world.passes(12)
    assert softphone.words, "she is told why"
    assert not softphone.up
    assert offers(world)[0].reason == OfferReason.CALLER_GONE
    assert (her(world).activity, her(world).presence) == (Activity.IDLE, Presence.AVAILABLE)


# 8, 20
def test_an_answer_after_the_ring_time_comes_too_late_though_the_softphone_rings_on(world: StormWorld) -> None:
    world.weather.rings_on = (5,)
    caller, softphone = ringing(world)
    world.weather.ordered_faults["end_call"].append("slow before")
    world.agenda.after(VOICE.ring_seconds + ANSWER_GRACE_SECONDS + 0.5, lambda: world.answers(softphone))
    world.passes(20)
    assert softphone.words, "she is told why"
    assert not softphone.up
    assert (offers(world)[0].state, her(world).presence) == (OfferState.MISSED, Presence.ON_BREAK)
    assert caller.queue is not None
    assert len(offers(world)) == 2, "the next one is rung"


# 9
def test_a_receptionist_who_answers_for_a_caller_who_is_gone_is_freed_and_no_room_is_left(world: StormWorld) -> None:
    caller, softphone = ringing(world)
    fares(world, LOST)
    caller.queue = None  # the end of the queue is not told either
    world.lines.end_leg(caller)
    world.answers(softphone)
    world.passes(12)
    assert not softphone.up
    assert not [room for room in world.lines.rooms if not room.ended]
    assert the_call(world).outcome == Outcome.SHORT_ABANDONED
    assert (her(world).activity, the_call(world).wrap_up_seconds) == (Activity.IDLE, None)


# 12
def test_a_caller_who_hangs_up_on_hold_ends_it_for_everybody(world: StormWorld) -> None:
    caller, softphone = talking(world)
    assert world.does(lambda session: BUTTONS["hold"](session, the_call(world).id))
    world.passes(10)
    world.lines.end_leg(caller)
    world.passes(8)
    assert not softphone.up
    assert the_call(world).hold_seconds == pytest.approx(10, abs=2)
    assert her(world).activity == Activity.WRAPPING_UP


# 13, 14
def test_the_action_of_a_room_that_a_caller_was_taken_out_of_changes_nothing_of_the_next_turn(
    world: StormWorld,
) -> None:
    caller, softphone = talking(world)
    stale = caller.after_dial
    world.lines.end_leg(softphone)
    world.passes(8)
    (again,) = world.softphones(LegState.RINGING)
    world.answers(again)
    world.passes(8)
    before = the_call(world)
    world.lines.mention(caller, stale, DialCallStatus="answered")
    world.passes(8)
    assert caller.room is not None
    assert (before.turn, the_call(world).turn, the_call(world).state) == (2, 2, CallState.CONNECTED)
    assert len(world.lines.sounds) == 1


# 14
def test_a_caller_who_comes_back_into_the_queue_after_somebody_accepted_goes_straight_to_her(world: StormWorld) -> None:
    caller, softphone = talking(world)
    world.lines.end_leg(softphone)
    world.passes(2)
    (again,) = world.softphones(LegState.RINGING)
    assert caller.queue is None, "still told that the line was interrupted"
    world.weather.ordered_faults["call"].append("slow after")
    world.answers(again)
    world.passes(8)
    assert caller.room is not None
    assert caller.room is again.room
    assert [offer.state for offer in offers(world)] == [OfferState.ACCEPTED, OfferState.ACCEPTED]


# 17, 19
def test_a_caller_whom_the_conference_does_not_let_in_tries_again(world: StormWorld) -> None:
    caller, softphone = ringing(world)
    world.answers(softphone)
    world.passes(0.1)
    (room,) = world.lines.rooms
    room.labels["somebody"] = f"caller-{the_call(world).id}"
    world.passes(2)
    assert caller.room is None
    del room.labels["somebody"]
    world.passes(3)
    assert caller.room is room
    assert len(world.lines.sounds) == 1, "the second document starts no second recording"


# 25
def test_a_recording_whose_beginning_is_told_late_is_not_started_twice(world: StormWorld) -> None:
    _, softphone = ringing(world)
    world.weather.kind = "late"
    world.weather.ordered_fates.extend([LATE] * 8)
    world.answers(softphone)
    world.passes(12)
    assert len(world.lines.sounds) == 1
    assert storm_desk.recording(world).state == RecordingState.RECORDING


# 30
def test_a_call_list_that_lags_behind_ends_no_talk(world: StormWorld) -> None:
    caller, softphone = talking(world)
    softphone.before, softphone.changed = LegState.COMPLETED, world.agenda.seconds + 1000
    world.weather.kind = "late"
    fares(world, *[ON_TIME] * 50)
    world.passes(100)
    assert (caller.room, softphone.room) == (world.lines.rooms[0], world.lines.rooms[0])
    assert (the_call(world).state, the_call(world).turn) == (CallState.CONNECTED, 1)


# 33
@pytest.mark.parametrize("told", [(LOST, LOST), ((2.0,), (0.1,))], ids=["neither", "in the wrong order"])
def test_a_softphone_rings_whether_or_not_that_is_told_and_in_whatever_order(
    world: StormWorld, told: tuple[Fate, ...]
) -> None:
    caller = world.dials(world.cast.hill.number)
    fares(world, *told)
    world.passes(9)
    (softphone,) = world.softphones(LegState.RINGING)
    world.answers(softphone)
    world.passes(5)
    assert caller.room is not None
    assert her_leg(world, softphone).state == LegState.IN_PROGRESS


# 35
@pytest.mark.parametrize("spoilt", [lambda path: path + "/", lambda path: path.replace("/voice", "//voice")])
def test_no_address_leads_elsewhere_where_the_form_would_be_lost(
    world: StormWorld, spoilt: Callable[[str], str]
) -> None:
    world.dials(world.cast.hill.number)
    world.passes(7)
    for captured in list(world.captured):
        path = door.target_of(captured.url)
        response = world.site.send(door.BASE + spoilt(path), {"AccountSid": door.ACCOUNT, **captured.form})
        assert response.status_code not in range(300, 400)


def test_a_hang_up_by_button_that_crosses_with_a_lost_softphone_is_a_hang_up(world: StormWorld) -> None:
    caller, softphone = talking(world)
    world.lines.end_leg(softphone)
    assert world.does(lambda session: call_actions.request_hang_up(session, the_call(world).id, now=world.agenda.now()))
    world.passes(5)
    assert not caller.up
    assert (the_call(world).turn, the_call(world).outcome) == (1, Outcome.ANSWERED)
