"""What a caller's leg should do next, and what the carrier's control requests mean for the call.

Every function answers a Step for the state as it is now, so a late, repeated or surprising request always gets a
sensible answer (design §2). Requests of an older turn never change state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.db import wake_workers
from callcenter.domain.calls import CallState
from callcenter.domain.events import IncomingCall
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.domain.steps import (
    AskToRecord,
    Greet,
    HoldMusic,
    JoinAsReceptionist,
    LeaveQueue,
    SayAndHangUp,
    Step,
    TakeMessage,
    Talk,
    Wait,
)
from callcenter.errors import NotFound
from callcenter.models import Call, Clinic, Offer
from callcenter.services import arrivals, lifecycle, queueing, recordings, replays, waiting
from callcenter.services.arrivals import Route
from callcenter.services.call_rows import locked, locked_by_sid
from callcenter.services.carrier_events import note_event

REFUSE_KEY = "9"
CONSENT_KEY = "1"


@dataclass(frozen=True)
class Received:
    """What a caller who has just rung should do; ``call_id`` is None where there is nothing to come back to."""

    step: Step
    call_id: str | None = None
    turn: int = 1


def receive_calls(
    session: Session, arrived: Sequence[IncomingCall], *, voice: VoiceSettings, now: datetime
) -> list[Received | None]:
    """Callers have rung our numbers. Inserts each call once; a repeat gets the step that fits its state. In the order
    of ``arrived``; None for a number that belongs to no clinic."""
    routes = arrivals.routes(session, arrived, now=now)
    replayed = _replayed(session, routes, now=now)
    fresh = [
        (call, routes[call.carrier_call_sid]) for call in arrived if call.carrier_call_sid in routes.keys() - replayed
    ]
    new = arrivals.insert_calls(session, fresh, now=now)

    def receive(sid: str) -> Received | None:
        if sid in new and not routes[sid].closed:
            return Received(_greet(routes[sid], voice), new[sid])
        call = locked_by_sid(session, sid)
        if call is not None:
            return Received(_step(session, call, voice=voice, now=now), call.id, call.turn)
        return Received(SayAndHangUp()) if sid in replayed else None

    return [receive(call.carrier_call_sid) for call in arrived]


def _replayed(session: Session, routes: Mapping[str, Route], *, now: datetime) -> set[str]:
    if not any(route.replays_known for route in routes.values()):
        return set()
    return replays.seen_among(session, routes, now=now)


def _greet(route: Route, voice: VoiceSettings) -> Greet:
    return Greet(_greeting(route.clinic_name, route.greeting, route.recording_wanted, voice), route.clinic_id)


def receive_call(session: Session, incoming: IncomingCall, *, voice: VoiceSettings, now: datetime) -> Step:
    """One caller. Raises NotFound when the dialled number belongs to no clinic."""
    (received,) = receive_calls(session, [incoming], voice=voice, now=now)
    if received is None:
        raise NotFound("No clinic has this number.")
    return received.step


def next_step(session: Session, call_id: str, turn: int, *, voice: VoiceSettings, now: datetime) -> Step:
    """What the caller's leg should do now. ``turn`` is the asking document's; the answer is for the present turn."""
    return _step(session, _asking(session, call_id, now), voice=voice, now=now)


def _asking(session: Session, call_id: str, now: datetime) -> Call:
    """The call, locked, whose caller's leg asks: proof that the leg is up and does what it is told."""
    call = locked(session, call_id)
    call.asked_at = now
    return call


def _step(session: Session, call: Call, *, voice: VoiceSettings, now: datetime) -> Step:
    if call.state == CallState.RINGING and call.clinic_was_closed:
        lifecycle.to_message(session, call, now=now)
    if call.state == CallState.RINGING:
        clinic = session.get_one(Clinic, call.clinic_id)
        return Greet(_greeting(clinic.name, clinic.greeting, recordings.wanted(call), voice), call.clinic_id)
    if call.state == CallState.QUEUED and call.accepted_offer_id is None:
        lost = (voice.prompt("connection_lost"),) if call.turn > 1 and call.connected_at else ()
        return Greet(lost, call.clinic_id)
    if call.state in (CallState.QUEUED, CallState.CONNECTED):
        return Talk(conference_name(call), _recording_to_start(session, call))
    if call.state == CallState.LEAVING_MESSAGE:
        return _message_step(session, call, voice=voice, now=now)
    return SayAndHangUp()


def conference_name(call: Call) -> str:
    """One conference per call and turn (design §2)."""
    return f"{call.id}-{call.turn}"


def _greeting(clinic_name: str, own_greeting: str | None, recorded: bool, voice: VoiceSettings) -> tuple[str, ...]:
    greeting = own_greeting or voice.prompt("greeting").format(clinic=clinic_name)
    return (greeting, voice.prompt("recording_notice")) if recorded else (greeting,)


def _recording_to_start(session: Session, call: Call) -> str | None:
    """The recording this document should start, from the refusal flag as it is at this moment. One of an earlier turn
    may run already, though nobody has told us; whether it does is asked after the join (ENSURE_RECORDING)."""
    if not recordings.wanted(call):
        return None
    recording = recordings.live(session, call.id, RecordingKind.CONVERSATION)
    if recording is None or recording.turn != call.turn or recording.carrier_recording_sid is not None:
        return None
    return recording.id if recording.state == RecordingState.STARTING else None


def _message_step(session: Session, call: Call, *, voice: VoiceSettings, now: datetime) -> Step:
    if call.message_recorded:
        return SayAndHangUp((voice.prompt("message_thanks"),))
    if call.recording_refused_at is not None and call.message_consent_at is None:
        return AskToRecord(voice.prompt("ask_to_record"))
    recording = recordings.live(session, call.id, RecordingKind.VOICEMAIL)
    if recording is None:
        recording = recordings.add_row(session, call, RecordingKind.VOICEMAIL, now=now)
    clinic = session.get_one(Clinic, call.clinic_id)
    if call.clinic_was_closed:
        text = clinic.closed_message or voice.prompt("closed").format(clinic=clinic.name)
    else:
        text = voice.prompt("voicemail")
    return TakeMessage(text, recording.id, voice.message_max_seconds)


def wait_step(
    session: Session,
    call_id: str,
    turn: int,
    *,
    carrier_queue_sid: str | None,
    voice: VoiceSettings,
    now: datetime,
) -> Step:
    """One round in the queue. The first proves that greeting and notice were heard to the end: only now is the call
    queued and may be offered (design §4.2). The place that is spoken is our count, not the carrier's."""
    call = _asking(session, call_id, now)
    if turn == call.turn:
        _enter_queue(session, call, carrier_queue_sid, voice=voice, now=now)
    if call.state != CallState.QUEUED or call.accepted_offer_id is not None:
        return LeaveQueue()  # somebody may have accepted before the caller was back in the queue
    if turn == call.turn:
        call.wait_rounds += 1
        call.check_at = now + timedelta(seconds=lifecycle.CHECK_QUEUED_SECONDS)
    if waiting.overflow_due(session, call, now=now):
        lifecycle.to_message(session, call, now=now)
        return LeaveQueue()
    if not waiting.anybody_at_work(session, call, now=now):
        # The next round leads to the message (design §4.4); a promise or music would only delay it.
        return Wait((), may_refuse=recordings.wanted(call), music=False)
    return Wait(_wait_texts(session, call, voice=voice, now=now), may_refuse=recordings.wanted(call))


def _enter_queue(
    session: Session, call: Call, carrier_queue_sid: str | None, *, voice: VoiceSettings, now: datetime
) -> None:
    if call.state in (CallState.CONNECTED, CallState.ENDED):
        return  # late, or sent again by somebody else (F21): the caller is in no queue any more
    call.carrier_queue_sid = carrier_queue_sid or call.carrier_queue_sid
    if call.state == CallState.RINGING:
        call.state = CallState.QUEUED
        call.queued_at = now
        call.waiting_since_at = now
        wake_workers(session)
    if call.state == CallState.QUEUED and call.overflow_after_at is None:
        call.overflow_after_at = now + timedelta(seconds=voice.max_wait_seconds)


def _wait_texts(session: Session, call: Call, *, voice: VoiceSettings, now: datetime) -> tuple[str, ...]:
    texts = [voice.prompt("please_wait")] if call.wait_rounds == 1 else []
    texts.append(voice.prompt("position").format(position=waiting.position(session, call)))
    minutes = waiting.estimate_minutes(session, call, now=now)
    if minutes == 1:
        texts.append(voice.prompt("estimate_one"))
    elif minutes is not None:
        texts.append(voice.prompt("estimate").format(minutes=minutes))
    return tuple(texts)


def key_pressed(session: Session, call_id: str, turn: int, digits: str, *, voice: VoiceSettings, now: datetime) -> Step:
    """A waiting caller pressed a key: 9 refuses recording, anything else is ignored."""
    call = _asking(session, call_id, now)
    # Who has agreed to leave a message since then has taken this no back; the same key comes again late (F19, F21).
    refuses = digits == REFUSE_KEY and call.state != CallState.ENDED and call.message_consent_at is None
    if refuses:  # in every state: the key may cross with the answer, and a no is a no (P32)
        note_event(session, call, turn, f"refused:{call.id}", "refused-by-key", {}, None, now)
        recordings.refuse(session, call.id, "caller", now=now)
    if call.state != CallState.QUEUED:
        return LeaveQueue()
    if refuses:
        return Wait((voice.prompt("refused"),), may_refuse=False)
    return Wait((), may_refuse=recordings.wanted(call))


def message_consent(
    session: Session, call_id: str, turn: int, digits: str, *, voice: VoiceSettings, now: datetime
) -> Step:
    """A caller who had refused recording was asked before a message: 1 agrees, anything else ends the call."""
    call = _asking(session, call_id, now)
    if call.state != CallState.LEAVING_MESSAGE:
        return _step(session, call, voice=voice, now=now)
    if digits != CONSENT_KEY:
        return SayAndHangUp((voice.prompt("goodbye"),))
    call.message_consent_at = call.message_consent_at or now
    return _message_step(session, call, voice=voice, now=now)


def message_recorded(
    session: Session, call_id: str, turn: int, *, recording_seconds: int, voice: VoiceSettings, now: datetime
) -> Step:
    """The message is spoken. Its recording arrives by its own callback; here the caller is thanked."""
    call = _asking(session, call_id, now)
    if recording_seconds > 0 and call.state in (CallState.LEAVING_MESSAGE, CallState.ENDED):
        call.message_recorded = True
        lifecycle.settle_outcome(session, call, voice=voice)
    if call.state == CallState.LEAVING_MESSAGE and not call.message_recorded:
        return SayAndHangUp((voice.prompt("goodbye"),))
    return _step(session, call, voice=voice, now=now)


def receptionist_step(
    session: Session, offer_id: str, *, carrier_call_sid: str, voice: VoiceSettings, now: datetime
) -> Step:
    """A softphone was answered, which accepts the offer; the second acceptor hears that it is taken."""
    offer = session.get(Offer, offer_id)
    if offer is None:
        return SayAndHangUp((voice.prompt("already_taken"),))
    if not queueing.accept_offer(session, offer_id, carrier_call_sid=carrier_call_sid, now=now):
        return SayAndHangUp((voice.prompt("already_taken"),))
    return JoinAsReceptionist(conference_name(session.get_one(Call, offer.call_id)), offer.id)


def receptionist_next(session: Session, offer_id: str, *, voice: VoiceSettings, now: datetime) -> Step:
    """Her leg has left the conference: there is nothing more to do on it."""
    return SayAndHangUp()


def left_line(session: Session, call_id: str, *, now: datetime) -> SayAndHangUp:
    """The carrier says that the caller hung up in the queue; when that was, its status callback tells, or we ask."""
    lifecycle.check_soon(locked(session, call_id), now)
    return SayAndHangUp()


def hold_step(session: Session, call_id: str, turn: int, *, voice: VoiceSettings, now: datetime) -> HoldMusic:
    """What a caller on hold hears."""
    return HoldMusic((voice.prompt("on_hold"),))
