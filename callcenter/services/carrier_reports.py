"""What the carrier reports of legs, conferences and recordings. Append the event, then try the legal transition:
reports may be late, repeated, reordered or missing, and end in the same state (design §4, twilio-voice §13)."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.domain.calls import (
    ENDED_LEG_STATES,
    OPEN_OFFER_STATES,
    CallState,
    EndedBy,
    LegState,
    OfferState,
    next_leg_state,
)
from callcenter.domain.commands import CommandKind
from callcenter.domain.events import ConferenceEvent, ConferenceEventKind, LegReport, RecordingReport
from callcenter.errors import NotFound
from callcenter.models import Call, CallLeg, Offer, Recording
from callcenter.services import call_actions, lifecycle, queueing, recordings, replays
from callcenter.services.call_rows import caller_leg, locked, locked_by_sid
from callcenter.services.carrier_events import note_event
from callcenter.services.commands import tell
from callcenter.services.lifecycle import check_soon


def offer_leg_reported(
    session: Session, offer_id: str, report: LegReport, *, voice: VoiceSettings, now: datetime
) -> None:
    """A status callback of a receptionist's leg. Raises NotFound for an unknown offer."""
    offer = session.get(Offer, offer_id)
    if offer is None:
        raise NotFound("There is no such offer.")
    call = locked(session, offer.call_id)
    session.refresh(offer)
    if not note_event(
        session, call, offer.turn, report.key, f"leg-{report.state}", {"offer": offer.id}, report.at, now
    ):
        return
    leg = queueing.bind_leg(session, offer, report.carrier_call_sid)
    if leg is None:
        return
    leg_changed(session, call, offer, leg, report, voice=voice, now=now)


def leg_changed(
    session: Session, call: Call, offer: Offer, leg: CallLeg, report: LegReport, *, voice: VoiceSettings, now: datetime
) -> None:
    """Bring a receptionist's leg, and what depends on it, in step with a report or a look-up."""
    _update_leg(leg, report, now)
    if leg.state == LegState.RINGING:
        queueing.ringing(session, offer, voice=voice, now=now)
    elif leg.state in ENDED_LEG_STATES:
        if offer.state == OfferState.ACCEPTED and call.state != CallState.ENDED:
            # Lost softphone, or did the caller hang up and end the conference under it? The other reports tell,
            # in any order; if they do not come, we ask.
            check_soon(call, now)
        else:
            queueing.leg_ended(session, offer, call, leg, now=now)
    if leg.ended_at is None and offer.state not in (*OPEN_OFFER_STATES, OfferState.ACCEPTED):
        # The offer was closed while the leg was being created: nobody should be rung by it.
        tell(session, CommandKind.DROP_LEG, call, leg.id, now=now)


def caller_leg_reported(session: Session, report: LegReport, *, voice: VoiceSettings, now: datetime) -> None:
    """The number's status callback: the caller's leg is over. Raises NotFound for a call we do not know."""
    call = locked_by_sid(session, report.carrier_call_sid)
    if call is None:
        raise NotFound("There is no such call.")
    if report.state in ENDED_LEG_STATES and replays.never_served(call):
        # Was the first request a replay too (F21)? When the call ended tells; if we are not told, we ask.
        if report.at is None:
            check_soon(call, now)
            return
        if replays.was_over_before(call, report.at):
            replays.remove(session, call, now=now)
            return
    if not note_event(session, call, call.turn, report.key, f"caller-{report.state}", {}, report.at, now):
        return
    caller_leg_changed(session, call, report, voice=voice, now=now)


def caller_leg_changed(session: Session, call: Call, report: LegReport, *, voice: VoiceSettings, now: datetime) -> None:
    """Bring the caller's leg, and so the call, in step with a report or a look-up."""
    leg = caller_leg(session, call)
    if leg is not None:
        _update_leg(leg, report, now)
    if report.state in ENDED_LEG_STATES:
        by = EndedBy.CARRIER if report.state == LegState.FAILED else EndedBy.CALLER
        lifecycle.end_call(session, call, at=report.at or now, by=by, voice=voice, now=now)


def _update_leg(leg: CallLeg, report: LegReport, now: datetime) -> None:
    at = report.at or now
    leg.state = next_leg_state(leg.state, report.state)
    if report.state == LegState.IN_PROGRESS:
        # The earliest answer time wins, whatever order the reports come in.
        leg.answered_at = min(leg.answered_at or at, at)
    if report.state in ENDED_LEG_STATES and leg.ended_at is None:
        leg.ended_at = at


def conference_reported(
    session: Session, call_id: str, turn: int, event: ConferenceEvent, *, voice: VoiceSettings, now: datetime
) -> None:
    """An event of the conference of one turn. Events of an older turn are kept and change nothing."""
    call = locked(session, call_id)
    at = event.at or now
    data = {"conference": event.carrier_conference_sid}
    if not note_event(session, call, turn, event.key, f"conference-{event.kind}", data, event.at, now):
        return
    is_callers = event.carrier_call_sid is not None and event.carrier_call_sid == call.carrier_call_sid
    if turn == call.turn and call.state == CallState.ENDED and is_callers:
        lifecycle.joined_after_all(session, call, at=at, voice=voice, now=now)
    if turn != call.turn or call.state == CallState.ENDED:
        return
    if event.kind != ConferenceEventKind.END:
        call.carrier_conference_sid = event.carrier_conference_sid
    if is_callers:
        _caller_event(session, call, event.kind, at=at, now=now)
    elif event.kind == ConferenceEventKind.LEAVE and event.carrier_call_sid is not None:
        _receptionist_leaves(session, call, event, event.carrier_call_sid, now=now)
    elif event.kind == ConferenceEventKind.END:
        check_soon(call, now)


def _caller_event(session: Session, call: Call, kind: ConferenceEventKind, *, at: datetime, now: datetime) -> None:
    if kind == ConferenceEventKind.JOIN:
        lifecycle.caller_joined(session, call, at=at, now=now)
    elif kind == ConferenceEventKind.LEAVE:
        lifecycle.caller_joined(session, call, at=at, now=now)  # who leaves was there, whatever became of the report
        # Hung up, or only out of the conference? The status callback tells; if it does not come, we ask.
        check_soon(call, now)
    elif kind in (ConferenceEventKind.HOLD, ConferenceEventKind.UNHOLD) and call.state == CallState.CONNECTED:
        held = kind == ConferenceEventKind.HOLD
        if held == call.hold_wanted:
            call_actions.hold_reported(session, call, held=held, at=at, now=now)


def _receptionist_leaves(
    session: Session, call: Call, event: ConferenceEvent, carrier_call_sid: str, *, now: datetime
) -> None:
    leg = session.scalar(select(CallLeg).where(CallLeg.carrier_call_sid == carrier_call_sid))
    if leg is None or leg.offer_id is None or leg.offer_id != call.accepted_offer_id:
        return
    if event.hung_up:
        at = event.at or now
        _update_leg(leg, LegReport(event.key, carrier_call_sid, LegState.COMPLETED, at), now)
        offer = session.get_one(Offer, leg.offer_id)
        lifecycle.receptionist_left(session, call, offer, at=at, now=now)
    else:
        check_soon(call, now)  # the conference ended under her: what became of the caller tells the rest


def recording_reported(
    session: Session, recording_id: str, report: RecordingReport, *, voice: VoiceSettings, now: datetime
) -> None:
    """A recording callback. Raises NotFound for an unknown recording."""
    recording = session.get(Recording, recording_id)
    if recording is None:
        raise NotFound("There is no such recording.")
    call = locked(session, recording.call_id)
    session.refresh(recording, with_for_update=True)
    data = {"recording": recording.id}
    if not note_event(session, call, recording.turn, report.key, f"recording-{report.kind}", data, None, now):
        return
    recordings.reported(session, recording, report, now=now)
    lifecycle.settle_outcome(session, call, voice=voice)
