"""What a caller experiences, step by step, and what the rows say afterwards."""

import pytest
from sqlalchemy import Engine, func, select

from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState, EndedBy, LegState, OfferReason, OfferState, Outcome
from callcenter.domain.commands import CommandKind
from callcenter.domain.events import ConferenceEventKind, IncomingCall, RecordingReportKind
from callcenter.domain.receptionists import Activity, Presence
from callcenter.domain.recordings import PauseReason
from callcenter.domain.steps import (
    Greet,
    JoinAsReceptionist,
    SayAndHangUp,
    Talk,
    Wait,
)
from callcenter.errors import Conflict, NotFound
from callcenter.models import Call, CarrierCommand, Receptionist
from callcenter.services import call_actions, calls, queueing, receptionists, recordings, waiting
from tests.services.call_script import VOICE, CallScript


@pytest.fixture
def script(engine: Engine) -> CallScript:
    return CallScript.begin(engine)


def commands(script: CallScript, kind: CommandKind) -> int:
    with reading(script.engine) as session:
        query = select(func.count()).select_from(CarrierCommand).where(CarrierCommand.kind == kind)
        return session.scalar(query) or 0


def test_a_caller_hears_greeting_and_notice_before_the_queue(script: CallScript) -> None:
    step = script.rings()
    assert isinstance(step, Greet)
    assert step.texts[0] == "Thank you for calling Hill Clinic."
    assert "press 9" in step.texts[1]


def test_a_repeated_incoming_request_makes_no_second_call(script: CallScript) -> None:
    assert script.rings() == script.rings()
    with reading(script.engine) as session:
        assert session.scalar(select(func.count()).select_from(Call)) == 1


def test_a_number_of_nobody_makes_no_call(script: CallScript) -> None:
    with transaction(script.engine) as session, pytest.raises(NotFound):
        calls.receive_call(
            session,
            IncomingCall(script.sid, None, "+441632960999"),
            voice=VOICE,
            now=script.now,
        )


def test_a_call_is_offered_only_after_its_first_wait_request(script: CallScript) -> None:
    script.rings()
    with transaction(script.engine) as session:
        assert queueing.dispatch(session, voice=VOICE, now=script.now) is None
    script.waits()
    assert script.call().state == CallState.QUEUED
    script.is_offered()


def test_a_waiting_caller_hears_the_position_and_no_estimate_without_experience(script: CallScript) -> None:
    script.rings()
    step = script.waits()
    assert isinstance(step, Wait)
    assert step.texts == ("Please hold, a receptionist will be with you shortly.", "You are number 1 in the queue.")


def test_the_receptionist_who_is_idle_longest_is_rung(script: CallScript) -> None:
    with transaction(script.engine) as session:
        robin = session.get_one(Receptionist, script.cast.robin.user_id)
        robin.idle_since_at = robin.idle_since_at.replace(year=2020)
    script.rings()
    script.waits()
    assert script.is_offered().receptionist_id == script.cast.robin.user_id


def test_answering_accepts_and_the_second_acceptor_hears_that_it_is_taken(script: CallScript) -> None:
    script.rings()
    script.waits()
    offer = script.is_offered()
    assert isinstance(script.is_answered(offer), JoinAsReceptionist)
    assert isinstance(script.is_answered(offer, sid="CA" + "9" * 32), SayAndHangUp)
    assert isinstance(script.is_answered(offer), JoinAsReceptionist)


def test_a_whole_call_ends_answered_and_in_wrap_up(script: CallScript) -> None:
    offer = script.connects()
    script.later(40).hangs_up()
    call = script.call()
    assert (call.state, call.outcome, call.ended_by) == (CallState.ENDED, Outcome.ANSWERED, EndedBy.CALLER)
    assert call.talk_seconds == pytest.approx(40)
    assert call.needs_link
    assert script.receptionist(offer.receptionist_id).activity == Activity.WRAPPING_UP


def test_the_wrap_up_ends_by_itself_and_frees_the_receptionist(script: CallScript) -> None:
    offer = script.connects()
    script.hangs_up()
    script.later(VOICE.wrap_up_seconds)
    with transaction(script.engine) as session:
        for user_id in receptionists.lapsed_wrap_ups(session, now=script.now):
            receptionists.lapse_wrap_up(session, user_id, now=script.now)
    receptionist = script.receptionist(offer.receptionist_id)
    assert (receptionist.activity, receptionist.current_call_id) == (Activity.IDLE, None)
    assert script.call().wrap_up_seconds == pytest.approx(VOICE.wrap_up_seconds)


def test_no_answer_is_missed_and_means_a_break_and_the_next_receptionist(script: CallScript) -> None:
    script.rings()
    script.waits()
    first = script.is_offered()
    script.leg(first, LegState.RINGING)
    script.later(VOICE.ring_seconds + queueing.ANSWER_GRACE_SECONDS)
    with transaction(script.engine) as session:
        queueing.expire_offer(session, first.id, now=script.now)
    assert (script.offer(first.id).state, script.offer(first.id).reason) == (OfferState.MISSED, OfferReason.NO_ANSWER)
    who = script.receptionist(first.receptionist_id)
    assert (who.presence, who.presence_reason) == (Presence.ON_BREAK, "missed_offer")
    assert script.is_offered().receptionist_id != first.receptionist_id
    assert commands(script, CommandKind.DROP_LEG) == 1


def test_a_softphone_that_ends_at_once_is_unreachable_not_missed(script: CallScript) -> None:
    script.rings()
    script.waits()
    offer = script.is_offered()
    script.leg(offer, LegState.NO_ANSWER)
    assert script.offer(offer.id).reason == OfferReason.UNREACHABLE
    assert script.receptionist(offer.receptionist_id).presence_reason == "unreachable"


def test_a_declined_offer_goes_to_the_next_and_sets_nobody_on_break(script: CallScript) -> None:
    script.rings()
    script.waits()
    first = script.is_offered()
    script.later(3)
    script.leg(first, LegState.BUSY)
    assert script.offer(first.id).state == OfferState.DECLINED
    assert script.receptionist(first.receptionist_id).presence == Presence.AVAILABLE
    assert script.is_offered().receptionist_id != first.receptionist_id


def test_a_caller_who_leaves_while_it_rings_withdraws_the_offer_without_a_break(script: CallScript) -> None:
    script.rings()
    script.waits()
    offer = script.is_offered()
    script.later(10).hangs_up()
    assert (script.offer(offer.id).state, script.offer(offer.id).reason) == (
        OfferState.WITHDRAWN,
        OfferReason.CALLER_GONE,
    )
    who = script.receptionist(offer.receptionist_id)
    assert (who.presence, who.activity) == (Presence.AVAILABLE, Activity.IDLE)
    assert script.call().outcome == Outcome.ABANDONED


def test_a_caller_who_leaves_between_answer_and_join_costs_no_wrap_up(script: CallScript) -> None:
    script.rings()
    script.waits()
    offer = script.is_offered()
    script.is_answered(offer)
    script.later(4).hangs_up()
    assert script.offer(offer.id).state == OfferState.WITHDRAWN
    assert script.receptionist(offer.receptionist_id).activity == Activity.IDLE
    assert script.call().outcome != Outcome.ANSWERED


def test_hanging_up_at_once_is_a_short_abandon(script: CallScript) -> None:
    script.rings()
    script.later(3).hangs_up()
    assert script.call().outcome == Outcome.SHORT_ABANDONED


def test_a_lost_softphone_keeps_the_caller_and_asks_the_same_receptionist_first(script: CallScript) -> None:
    offer = script.connects()
    script.records(RecordingReportKind.IN_PROGRESS)
    script.later(20)
    script.softphone_is_lost()
    call = script.call()
    assert (call.state, call.turn, call.preferred_receptionist_id) == (CallState.QUEUED, 2, offer.receptionist_id)
    assert script.asks() == Greet((VOICE.prompt("connection_lost"),), call.clinic_id)
    assert script.is_offered().receptionist_id == offer.receptionist_id
    with reading(script.engine) as session:
        pauses = recordings.open_pauses(session, script.recording().id)
    assert [pause.reason for pause in pauses] == [PauseReason.LOST]


def test_the_recording_goes_on_when_a_lost_call_is_answered_again(script: CallScript) -> None:
    script.connects()
    script.records(RecordingReportKind.IN_PROGRESS)
    script.softphone_is_lost()
    script.receptionist_sid = "CA" + "7" * 32
    script.is_answered(script.is_offered())
    step = script.asks()
    assert isinstance(step, Talk)
    assert step.recording_id is None, "it still runs: a second one would double the audio"
    script.joins()
    with reading(script.engine) as session:
        assert recordings.open_pauses(session, script.recording().id) == []


def test_a_hang_up_by_button_is_not_a_lost_softphone(script: CallScript) -> None:
    script.connects()
    with transaction(script.engine) as session:
        call_actions.request_hang_up(session, script.call().id, now=script.now)
    script.softphone_is_lost()
    script.hangs_up()
    call = script.call()
    assert (call.state, call.turn, call.ended_by) == (CallState.ENDED, 1, EndedBy.RECEPTIONIST)


def test_a_conference_that_ends_under_the_receptionist_is_not_a_lost_softphone(script: CallScript) -> None:
    offer = script.connects()
    script.later(5).conference(ConferenceEventKind.LEAVE, sid=script.receptionist_sid)
    script.leg(offer, LegState.COMPLETED)
    script.hangs_up()
    assert (script.call().turn, script.call().outcome) == (1, Outcome.ANSWERED)
    assert script.receptionist(offer.receptionist_id).activity == Activity.WRAPPING_UP


def test_a_caller_who_gives_up_after_a_lost_softphone_still_leaves_a_wrap_up(script: CallScript) -> None:
    offer = script.connects()
    script.softphone_is_lost()
    script.hangs_up()
    assert script.receptionist(offer.receptionist_id).activity == Activity.WRAPPING_UP


def test_events_of_an_older_turn_change_nothing(script: CallScript) -> None:
    script.connects()
    script.softphone_is_lost()
    script.conference(ConferenceEventKind.END, turn=1)
    script.conference(ConferenceEventKind.LEAVE, sid=script.sid, turn=1)
    assert (script.call().state, script.call().turn) == (CallState.QUEUED, 2)


def test_with_everybody_busy_the_caller_waits_for_the_limit(script: CallScript) -> None:
    with transaction(script.engine) as session:
        for receptionist in session.scalars(select(Receptionist)):
            receptionist.activity = Activity.TALKING
    script.rings()
    script.waits()
    script.later(VOICE.max_wait_seconds - 5)
    assert isinstance(script.waits(), Wait)
    script.later(5)
    with transaction(script.engine) as session:
        assert waiting.overflow(session, script.call().id, now=script.now)
    assert commands(script, CommandKind.MOVE_ON) == 1


def test_one_softphone_session_at_a_time_unless_it_takes_over(script: CallScript) -> None:
    user_id = script.cast.rosie.user_id
    with transaction(script.engine) as session:
        receptionists.heartbeat(session, user_id, "first", now=script.now)
    with transaction(script.engine) as session, pytest.raises(Conflict) as refusal:
        receptionists.heartbeat(session, user_id, "second", now=script.now)
    assert refusal.value.code == "other_session"
    with transaction(script.engine) as session:
        receptionists.heartbeat(session, user_id, "second", now=script.now, take_over=True)
    assert script.receptionist(user_id).softphone_session == "second"
