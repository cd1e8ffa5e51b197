"""How a call changes: connected, lost, back in the queue, to a message, ended. Everything here runs under the call's
lock (``call_rows.locked``) and is reached from callbacks, API actions and sweepers alike, in any order."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.domain.calls import (
    CallState,
    EndedBy,
    HoldState,
    LegState,
    OfferReason,
    OfferState,
    Outcome,
    OutcomeFacts,
    decide_outcome,
)
from callcenter.domain.commands import CommandKind
from callcenter.domain.recordings import PauseReason, RecordingKind
from callcenter.models import BookingLink, Call, Offer
from callcenter.services import receptionists, recordings
from callcenter.services.call_rows import caller_leg, legs_of_offer, open_offers
from callcenter.services.commands import tell

CHECK_QUEUED_SECONDS = 90
"""The wait document is fetched every turn; a queued call that has been silent this long is asked about."""
CHECK_TALK_SECONDS = 30
CHECK_MOVED_SECONDS = 15
"""A caller who was sent elsewhere must have asked for the next step by then."""
CHECK_SOON_SECONDS = 2
RECORDING_REPAIR_SECONDS = 3
SWEEP_LEGS_SECONDS = 5
"""The conference ends with the caller and takes the other legs with it; what is still up then is dropped."""


def check_soon(call: Call, now: datetime) -> None:
    """Something happened that a status callback should explain; if none comes, the sweeper asks."""
    call.check_at = now + timedelta(seconds=CHECK_SOON_SECONDS)


def close_offer(
    session: Session, offer: Offer, call: Call, state: OfferState, reason: OfferReason | None, *, now: datetime
) -> None:
    """End an offer without a talk: free the receptionist, drop her leg if it is up. A missed offer sets her on break;
    one that was withdrawn or declined never does (design §4.4)."""
    offer.state = state
    offer.reason = reason
    offer.ended_at = now
    on_break = {OfferReason.NO_ANSWER: "missed_offer", OfferReason.UNREACHABLE: "unreachable"}
    receptionists.release(
        session,
        offer.receptionist_id,
        call_id=call.id,
        now=now,
        on_break_because=on_break.get(reason) if reason and state == OfferState.MISSED else None,
    )
    _drop_legs(session, offer, call, now=now)


def _drop_legs(session: Session, offer: Offer, call: Call, *, now: datetime) -> None:
    for leg in legs_of_offer(session, offer.id):
        if leg.ended_at is None:
            tell(session, CommandKind.DROP_LEG, call, leg.id, now=now)


def caller_joined(session: Session, call: Call, *, at: datetime, now: datetime) -> None:
    """The caller is in the conference with the receptionist: the talk has begun."""
    at = max(at, call.queued_at or at)  # the carrier's times are whole seconds, ours are not
    if call.turn_connected_at is not None and at < call.turn_connected_at:
        # The report comes after something else has told us: what it knows better is when.
        call.connected_at = at if call.connected_at == call.turn_connected_at else call.connected_at
        call.turn_connected_at = at
    if call.state != CallState.QUEUED or call.accepted_offer_id is None:
        return
    call.state = CallState.CONNECTED
    call.connected_at = call.connected_at or at
    call.turn_connected_at = at
    call.preferred_receptionist_id = None
    call.carrier_queue_sid = None  # where the caller is not any more
    call.check_at = now + timedelta(seconds=CHECK_TALK_SECONDS)
    recording = recordings.live(session, call.id, RecordingKind.CONVERSATION)
    if recording is not None:
        recordings.close_pauses(session, recording, (PauseReason.LOST, PauseReason.HOLD), now=now)
        tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now, delay_seconds=0)
        tell(session, CommandKind.ENSURE_RECORDING, call, recording.id, now=now, delay_seconds=RECORDING_REPAIR_SECONDS)
    if all(leg.ended_at is not None for leg in legs_of_offer(session, call.accepted_offer_id)):
        check_soon(call, now)  # her leg is over already: lost, or ended under her by the caller's hang-up? We ask.


def joined_after_all(session: Session, call: Call, *, at: datetime, voice: VoiceSettings, now: datetime) -> None:
    """The call is over, and only now do we hear that the caller had joined: it was answered after all, or earlier than
    we had concluded from what came in time (of a later turn that is not kept)."""
    at = max(at, call.queued_at or at)
    if call.turn == 1 and call.connected_at is not None and at < call.connected_at:
        call.talk_seconds += (call.connected_at - at).total_seconds()
        call.connected_at = at
    offer = session.get(Offer, call.accepted_offer_id) if call.accepted_offer_id else None
    if offer is None or offer.state != OfferState.WITHDRAWN or call.ended_at is None:
        return
    offer.state = OfferState.ACCEPTED
    offer.reason = None
    call.connected_at = call.connected_at or at
    call.talk_seconds += max(0.0, (call.ended_at - at).total_seconds())
    receptionists.take_for_wrap_up(session, offer.receptionist_id, call_id=call.id, voice=voice, now=now)
    settle_outcome(session, call, voice=voice)


def receptionist_left(session: Session, call: Call, offer: Offer, *, at: datetime, now: datetime) -> None:
    """The last receptionist leg has left. With a recorded hang-up that is the end; without, her softphone is lost:
    the caller stays and is offered again, to her first (design §4.7)."""
    if call.accepted_offer_id != offer.id or call.turn != offer.turn:
        return
    if call.hang_up_requested_at is not None:
        check_soon(call, now)
        return
    if call.state == CallState.QUEUED:
        call.check_at = now  # had the caller joined, and the report is late? We ask.
    elif call.state == CallState.CONNECTED:
        back_to_queue(session, call, at=at, now=now, prefer=offer.receptionist_id)


def back_to_queue(session: Session, call: Call, *, at: datetime, now: datetime, prefer: str | None) -> None:
    """The next turn: at the front of the queue, because the place in it is kept."""
    _close_talk(call, at)
    recording = recordings.live(session, call.id, RecordingKind.CONVERSATION)
    if recording is not None:
        recordings.open_pause(session, recording, PauseReason.LOST, now=now)
        tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
    offer = session.get(Offer, call.accepted_offer_id) if call.accepted_offer_id else None
    if offer is not None and call.state == CallState.QUEUED:
        close_offer(session, offer, call, OfferState.FAILED, OfferReason.CARRIER_ERROR, now=now)
    elif offer is not None:
        receptionists.release(session, offer.receptionist_id, call_id=call.id, now=now)
        _drop_legs(session, offer, call, now=now)
    call.state = CallState.QUEUED
    call.turn += 1
    call.accepted_offer_id = None
    call.carrier_conference_sid = None
    call.preferred_receptionist_id = prefer
    call.wait_rounds = 0
    call.overflow_after_at = None  # the limit counts anew from the first wait request of this turn
    call.check_at = now + timedelta(seconds=CHECK_MOVED_SECONDS)
    tell(session, CommandKind.MOVE_ON, call, call.id, now=now)


def to_message(session: Session, call: Call, *, now: datetime) -> None:
    """Nobody can take the call: withdraw what rings, and let the caller leave a message."""
    for offer in open_offers(session, call.id):
        close_offer(session, offer, call, OfferState.WITHDRAWN, OfferReason.OVERFLOW, now=now)
    call.state = CallState.LEAVING_MESSAGE
    call.check_at = now + timedelta(seconds=CHECK_MOVED_SECONDS)


def end_call(
    session: Session,
    call: Call,
    *,
    at: datetime,
    by: EndedBy,
    voice: VoiceSettings,
    now: datetime,
) -> None:
    """The caller's leg is over. Ends the call once; everything that hangs on it is swept."""
    if call.state == CallState.ENDED:
        return
    for offer in open_offers(session, call.id):
        close_offer(session, offer, call, OfferState.WITHDRAWN, OfferReason.CALLER_GONE, now=now)
    _close_talk(call, at)
    _free_receptionist(session, call, voice=voice, now=now)
    call.state = CallState.ENDED
    call.ended_at = max(at, call.started_at)
    call.ended_by = EndedBy.RECEPTIONIST if call.hang_up_requested_at is not None else by
    if call.hold != HoldState.FAILED:
        call.hold = HoldState.NONE
    call.hold_wanted = False
    settle_outcome(session, call, voice=voice)
    tell(session, CommandKind.SWEEP_LEGS, call, call.id, now=now, delay_seconds=SWEEP_LEGS_SECONDS)
    recordings.call_ended(session, call, now=now)


def _free_receptionist(session: Session, call: Call, *, voice: VoiceSettings, now: datetime) -> None:
    """Every connected call starts a wrap-up; a caller who left before joining does not (design §4.5, §4.8)."""
    offer = session.get(Offer, call.accepted_offer_id) if call.accepted_offer_id else None
    if offer is None and call.preferred_receptionist_id is not None and call.connected_at is not None:
        # Lost, and the caller gave up before anybody was back: the talk that was still wants an outcome.
        receptionists.take_for_wrap_up(session, call.preferred_receptionist_id, call_id=call.id, voice=voice, now=now)
    if offer is None:
        return
    if call.state == CallState.CONNECTED:
        receptionists.start_wrap_up(session, offer.receptionist_id, call_id=call.id, voice=voice, now=now)
    else:
        close_offer(session, offer, call, OfferState.WITHDRAWN, OfferReason.CALLER_GONE, now=now)


def settle_outcome(session: Session, call: Call, *, voice: VoiceSettings) -> None:
    """The one outcome, from the facts as they are known now; called again when a late fact arrives."""
    if call.ended_at is None:
        return
    leg = caller_leg(session, call)
    facts = OutcomeFacts(
        connected_at=call.connected_at,
        queued_at=call.queued_at,
        ended_at=call.ended_at,
        message_recorded=call.message_recorded,
        clinic_was_closed=call.clinic_was_closed,
        failed=leg is not None and leg.state == LegState.FAILED,
    )
    call.outcome = decide_outcome(facts, short_abandon_seconds=voice.short_abandon_seconds)
    linked = call.disposition is not None or session.scalar(
        select(BookingLink.id).where(BookingLink.call_id == call.id).limit(1)
    )
    # Somebody spoke, to us or to the machine, so something came of it; who gave up says so by the outcome.
    call.needs_link = call.outcome in (Outcome.ANSWERED, Outcome.MESSAGE_LEFT) and not linked


def _close_talk(call: Call, at: datetime) -> None:
    """Add the span since the caller joined to the talk, and a hold that is going on to the holds."""
    if call.held_since_at is not None:
        call.hold_seconds += max(0.0, (at - call.held_since_at).total_seconds())
        call.held_since_at = None
    if call.turn_connected_at is not None:
        call.talk_seconds += max(0.0, (at - call.turn_connected_at).total_seconds())
        call.turn_connected_at = None
    call.hold = HoldState.NONE if call.hold != HoldState.FAILED else call.hold
    call.hold_wanted = False
