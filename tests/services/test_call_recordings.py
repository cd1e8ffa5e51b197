"""What is recorded of a call, what is not, and the message of a caller whom nobody could answer."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from callcenter.db import reading, transaction
from callcenter.domain.calls import Outcome
from callcenter.domain.events import RecordingReportKind
from callcenter.domain.receptionists import Presence
from callcenter.domain.recordings import PauseReason, RecordingState
from callcenter.domain.steps import (
    AskToRecord,
    LeaveQueue,
    TakeMessage,
    Talk,
    Wait,
)
from callcenter.errors import Conflict
from callcenter.models import Receptionist, Recording
from callcenter.services import call_actions, calls, recordings
from tests.factories import NOW, create_opening_band
from tests.services.call_script import VOICE, CallScript


@pytest.fixture
def script(engine: Engine) -> CallScript:
    return CallScript.begin(engine)


def test_the_caller_is_recorded_from_the_talk_on(script: CallScript) -> None:
    script.rings()
    script.waits()
    script.is_answered(script.is_offered())
    step = script.asks()
    assert isinstance(step, Talk)
    assert step.recording_id == script.recording().id


def test_pressing_nine_leaves_nothing_to_record(script: CallScript) -> None:
    script.rings()
    script.waits()
    assert script.presses("9") == Wait((VOICE.prompt("refused"),), may_refuse=False)
    script.is_answered(script.is_offered())
    step = script.asks()
    assert isinstance(step, Talk)
    assert step.recording_id is None


def test_a_refusal_during_the_talk_stops_and_deletes_the_recording(script: CallScript) -> None:
    script.connects()
    script.records(RecordingReportKind.IN_PROGRESS)
    with transaction(script.engine) as session:
        recordings.refuse(session, script.call().id, "receptionist", now=script.now)
    script.records(RecordingReportKind.COMPLETED, seconds=5)
    recording = script.recording()
    assert (recording.state, recording.carrier_copy_due) == (RecordingState.REFUSED, True)


def test_the_recording_is_stored_as_due_to_copy_and_expires_counted_from_its_end(script: CallScript) -> None:
    script.connects()
    script.records(RecordingReportKind.IN_PROGRESS)
    script.later(60)
    script.records(RecordingReportKind.COMPLETED, seconds=60)
    recording = script.recording()
    assert recording.state == RecordingState.COPYING
    assert recording.ended_at is not None
    assert (recording.expires_at - recording.ended_at).days == recording.retention_days


def test_with_nobody_signed_in_the_caller_may_leave_a_message_after_the_first_prompt(script: CallScript) -> None:
    with transaction(script.engine) as session:
        for receptionist in session.scalars(select(Receptionist)):
            receptionist.presence = Presence.SIGNED_OUT
    script.rings()
    assert isinstance(script.waits(), Wait)
    assert isinstance(script.waits(), LeaveQueue)
    assert isinstance(script.asks(), TakeMessage)


def test_a_message_makes_the_outcome_even_when_its_recording_comes_after_the_end(script: CallScript) -> None:
    with transaction(script.engine) as session:
        for receptionist in session.scalars(select(Receptionist)):
            receptionist.presence = Presence.SIGNED_OUT
    script.rings()
    script.waits()
    script.waits()
    script.asks()
    script.later(30).hangs_up()
    assert script.call().outcome == Outcome.ABANDONED
    script.records(RecordingReportKind.COMPLETED, seconds=12)
    assert script.call().outcome == Outcome.MESSAGE_LEFT


def test_a_caller_who_refused_recording_is_asked_before_a_message(script: CallScript) -> None:
    with transaction(script.engine) as session:
        for receptionist in session.scalars(select(Receptionist)):
            receptionist.presence = Presence.SIGNED_OUT
    script.rings()
    script.waits()
    script.presses("9")
    script.waits()
    assert isinstance(script.asks(), AskToRecord)
    with transaction(script.engine) as session:
        step = calls.message_consent(session, script.call().id, 1, "1", voice=VOICE, now=script.now)
    assert isinstance(step, TakeMessage)


def test_out_of_hours_the_caller_hears_that_and_may_leave_a_message(script: CallScript) -> None:
    with transaction(script.engine) as session:
        clinic = session.merge(script.cast.hill.clinic)
        create_opening_band(session, clinic, (script.now.weekday() + 2) % 7, 480, 1080)
    step = script.rings()
    assert isinstance(step, TakeMessage)
    assert "closed" in step.text
    script.later(8).hangs_up()
    assert script.call().outcome == Outcome.CLOSED


ACTIONS: dict[str, Callable[[Session, str], object]] = {
    "hang up": lambda session, call_id: call_actions.request_hang_up(session, call_id, now=NOW),
    "hold": lambda session, call_id: call_actions.request_hold(session, call_id, held=True, now=NOW),
    "pause": lambda session, call_id: recordings.request_pause(session, call_id, PauseReason.CARD, now=NOW),
    "refuse": lambda session, call_id: recordings.refuse(session, call_id, "receptionist", now=NOW),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_an_action_on_a_call_that_is_over_is_refused(
    script: CallScript, action: Callable[[Session, str], object]
) -> None:
    script.connects()
    script.hangs_up()
    with transaction(script.engine) as session, pytest.raises(Conflict) as refusal:
        action(session, script.call().id)
    assert refusal.value.code == "wrong_state"


def test_a_card_pause_that_was_never_confirmed_marks_the_recording_for_deletion(script: CallScript) -> None:
    script.connects()
    script.records(RecordingReportKind.IN_PROGRESS)
    with transaction(script.engine) as session:
        recordings.request_pause(session, script.call().id, PauseReason.CARD, now=script.now)
    script.records(RecordingReportKind.COMPLETED, seconds=9)
    assert script.recording().purge_wanted


def test_a_surplus_recording_of_the_same_talk_is_deleted_and_never_stored(script: CallScript) -> None:
    script.connects()
    script.records(RecordingReportKind.IN_PROGRESS)
    first, script.recording_sid = script.recording_sid, "RE" + "5" * 32
    for _ in range(2):
        script.records(RecordingReportKind.IN_PROGRESS)
        script.records(RecordingReportKind.COMPLETED, seconds=20)
    with reading(script.engine) as session:
        kept, surplus = recordings.of_call(session, script.call().id)
    assert (kept.carrier_recording_sid, kept.state) == (first, RecordingState.RECORDING)
    assert (surplus.state, surplus.carrier_copy_due) == (RecordingState.REFUSED, True)


def test_a_callback_after_the_purge_has_the_carriers_copy_deleted(script: CallScript) -> None:
    script.connects()
    with transaction(script.engine) as session:
        recording = session.get_one(Recording, script.recording().id)
        recording.state = RecordingState.PURGED
    script.records(RecordingReportKind.COMPLETED, seconds=20)
    assert (script.recording().state, script.recording().carrier_copy_due) == (RecordingState.PURGED, True)
