"""Hold, pauses and recordings: what the carrier does is brought in step with what our rows say."""

import pytest

from callcenter import clock
from callcenter.db import transaction
from callcenter.domain.calls import CallState, HoldState
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.domain.events import RecordingReport
from callcenter.domain.recordings import PauseReason, RecordingState
from callcenter.errors import CarrierRefused
from callcenter.services import call_actions
from callcenter.services import recordings as recording_services
from tests.carrier_world import World
from tests.fake_lines import FakeRecording, Notice
from tests.worker.desk import commands_of, lost, over, recordings, ringing, run_once, talking, unavailable


def hold(world: World, *, held: bool) -> None:
    with transaction(world.engine) as session:
        call_actions.request_hold(session, world.call().id, held=held, now=clock.now())


def pause_for_card(world: World) -> None:
    with transaction(world.engine) as session:
        recording_services.request_pause(session, world.call().id, PauseReason.CARD, now=clock.now())


def refuse(world: World, by: str = "receptionist") -> None:
    with transaction(world.engine) as session:
        recording_services.refuse(session, world.call().id, by, now=clock.now())


def at_carrier(world: World) -> FakeRecording:
    return next(iter(world.carrier.recordings.values()))


def no_recording_news(notice: Notice) -> tuple[float, ...]:
    return () if isinstance(notice.event, RecordingReport) else (0,)


def test_hold_is_confirmed_by_the_answer_even_when_its_event_is_lost(world: World) -> None:
    talking(world)
    world.fate = lost
    hold(world, held=True)
    world.works()
    assert world.call().hold == HoldState.HELD
    assert at_carrier(world).paused
    hold(world, held=False)
    world.works()
    assert world.call().hold == HoldState.NONE
    assert not at_carrier(world).paused


def test_a_hold_that_the_carrier_refuses_is_shown_as_failed(world: World) -> None:
    talking(world)
    world.carrier.refuse("hold", CarrierRefused("no", status=400))
    hold(world, held=True)
    world.works()
    assert world.call().hold == HoldState.FAILED


def test_a_hold_is_tried_again_when_the_carrier_is_away(world: World) -> None:
    talking(world)
    world.carrier.refuse("hold", unavailable(), unavailable())
    hold(world, held=True)
    world.passes(10)
    assert world.call().hold == HoldState.HELD


def test_the_end_of_a_hold_does_not_resume_during_card_details(world: World) -> None:
    talking(world)
    hold(world, held=True)
    pause_for_card(world)
    world.works()
    hold(world, held=False)
    world.works()
    assert at_carrier(world).paused
    assert recordings(world)[0].state == RecordingState.PAUSED


def test_a_recording_whose_start_was_not_reported_is_found(world: World) -> None:
    world.fate = no_recording_news
    talking(world)
    assert recordings(world)[0].carrier_recording_sid == at_carrier(world).sid
    assert "start_recording" not in world.carrier.requests


def test_a_recording_that_never_started_is_started(world: World) -> None:
    _, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    world.works()
    world.carrier.recordings.clear()
    with transaction(world.engine) as session:
        row = session.merge(recordings(world)[0])
        row.state, row.carrier_recording_sid = RecordingState.STARTING, None
    world.passes(5)
    assert world.carrier.requests.count("start_recording") == 1
    assert recordings(world)[0].state == RecordingState.RECORDING


def test_a_started_recording_whose_answer_was_lost_is_not_started_twice(world: World) -> None:
    world.fate = no_recording_news
    _, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    run_once(world, CommandKind.CONNECT)
    world.carrier.recordings.clear()
    world.carrier.lose_answer("start_recording", unavailable())
    world.passes(8)
    assert len(world.carrier.recordings) == 1
    assert recordings(world)[0].carrier_recording_sid == at_carrier(world).sid


def test_a_refused_recording_is_stopped_and_due_for_deletion(world: World) -> None:
    talking(world)
    refuse(world)
    world.works()
    assert at_carrier(world).ended_at is not None
    assert (recordings(world)[0].state, recordings(world)[0].carrier_copy_due) == (RecordingState.REFUSED, True)


def test_a_recording_that_starts_after_the_refusal_is_stopped_when_it_reports(world: World) -> None:
    caller, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    row = recordings(world)[0]
    refuse(world, "caller")
    world.works()
    world.carrier.record(caller, row.id)  # the document had been fetched before the refusal
    world.works()
    assert at_carrier(world).ended_at is not None
    assert recordings(world)[0].carrier_copy_due


def test_a_recording_that_starts_after_the_refusal_is_found_even_when_nothing_is_reported(world: World) -> None:
    world.fate = no_recording_news
    caller, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    row = recordings(world)[0]
    refuse(world, "caller")
    world.works()
    world.carrier.record(caller, row.id)
    world.passes(8)
    world.carrier.end_leg(caller)
    world.quietens()
    assert recordings(world)[0].state == RecordingState.REFUSED
    assert recordings(world)[0].carrier_copy_due


def test_the_last_word_on_a_recording_is_asked_for(world: World) -> None:
    caller, _ = talking(world)
    world.fate = no_recording_news
    world.carrier.end_leg(caller)
    world.quietens()
    recording = recordings(world)[0]
    assert (recording.state, recording.duration_seconds) == (RecordingState.COPYING, at_carrier(world).seconds)


def test_a_recording_of_which_there_is_no_trace_is_absent(world: World) -> None:
    caller, _ = talking(world)
    world.fate = no_recording_news
    world.carrier.end_leg(caller)
    world.carrier.recordings.clear()
    world.quietens()
    assert (recordings(world)[0].state, recordings(world)[0].failure) == (
        RecordingState.ABSENT,
        "no_trace_at_carrier",
    )


@pytest.mark.parametrize("operation", ["recording", "pause_recording"])
def test_a_carrier_that_is_away_is_asked_again(world: World, operation: str) -> None:
    caller, _ = talking(world)
    world.carrier.refuse(operation, unavailable(), unavailable(maybe_done=False, retry_after_seconds=5))
    pause_for_card(world)
    world.passes(20)
    assert at_carrier(world).paused
    world.fate = no_recording_news
    world.carrier.end_leg(caller)
    world.quietens()
    assert recordings(world)[0].state == RecordingState.COPYING


def test_pausing_a_recording_that_is_over_ends_the_command_and_not_the_call(world: World) -> None:
    talking(world)
    world.carrier.refuse("pause_recording", over())
    pause_for_card(world)
    world.works()
    assert commands_of(world, CommandKind.SYNC_RECORDING)[-1].state == CommandState.FAILED
    assert world.call().state == CallState.CONNECTED
