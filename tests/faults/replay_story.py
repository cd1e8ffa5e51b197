"""Two whole calls at the door, step by step, with a tape that keeps every signed request as a thief would."""

from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from flask import Flask
from sqlalchemy import Engine, select, update
from werkzeug.test import TestResponse

from callcenter import clock
from callcenter.carrier import urls
from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, Receptionist, Recording
from callcenter.services import call_actions, queueing
from retention.call_log import blank_calls
from tests.webhooks.door import BASE, CALLER, NUMBER, Carrier

HERS = "CA" + "e" * 32
QUEUE = {"QueueSid": "QU" + "d" * 32, "QueuePosition": "1", "QueueTime": "3"}
Taken = tuple[str, str | bytes, str]
FINAL = ("ended", "recording complete", "stored", "purged")


class Tape(Carrier):
    """A carrier whose requests are overheard: address, body and signature, in order, each once."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.taken: list[Taken] = []

    def raw(self, target: str, body: str | bytes, signature: str | None, **request: Any) -> TestResponse:
        if signature and (target, body, signature) not in self.taken:
            self.taken.append((target, body, signature))
        return super().raw(target, body, signature, **request)

    def replay(self, taken: Taken) -> TestResponse:
        return super().raw(*taken)


class Story:
    """One call. Each story yields the name of the state that the call is in by then."""

    def __init__(self, tape: Tape, engine: Engine) -> None:
        self.tape, self.engine, self.number = tape, engine, 0
        self.urls = urls.DoorUrls(BASE, "ie1")

    def answered(self) -> Iterator[str]:
        """Queued, offered, answered, recorded, held, lost, answered again, ended, stored, purged, blanked."""
        yield from self._queued()
        offer_id = self._offer()
        yield "offered"
        self._hers(offer_id, "initiated")
        self._hers(offer_id, "ringing")
        yield "ringing at hers"
        self._talk(offer_id)
        yield "connected"
        self._sound("in-progress")
        self._hold(wanted=True)
        self._conference("participant-hold", CALLER)
        self._call("hold", {})
        yield "held"
        self._hold(wanted=False)
        self._conference("participant-unhold", CALLER)
        yield "connected again"
        self._conference("participant-leave", HERS, ReasonParticipantLeft="participant_hung_up")
        self._hers(offer_id, "completed")
        yield "lost"
        self._call("again", {})
        self._call("wait", QUEUE)
        yield "queued again"
        second = self._offer()
        self._talk(second)
        yield "connected in the second turn"
        yield from self._ends(second)

    def message(self) -> Iterator[str]:
        """Recording refused by key; nobody at work; asked, agreed, a message left."""
        yield from self._queued()
        self._call("key", {"Digits": "9"})
        yield "refused"
        with transaction(self.engine) as session:
            session.execute(update(Receptionist).values(heartbeat_at=clock.now() - timedelta(hours=1)))
        self._call("wait", QUEUE)
        self._call("queued", {"QueueResult": "leave"} | QUEUE)
        yield "asked for consent"
        self._call("consent", {"Digits": "1"})
        yield "leaving a message"
        self._sound("in-progress")
        self._call("message", {"RecordingDuration": "7", "RecordingSid": "RE" + "a" * 32})
        yield "message left"
        yield from self._ends(None)

    # what happens

    def _queued(self) -> Iterator[str]:
        self.tape.rings()
        self.tape.post("/webhooks/voice/fallback", CallStatus="ringing", ErrorCode="11200", To=NUMBER)
        yield "greeted"
        self._call("wait", QUEUE)
        self._call("wait", QUEUE | {"QueueTime": "23"})
        yield "queued"

    def _offer(self) -> str:
        with transaction(self.engine) as session:
            session.execute(update(Receptionist).values(heartbeat_at=clock.now() + timedelta(hours=1)))
            offer = queueing.dispatch(session, voice=self.tape.door.settings.voice, now=clock.now())
            assert offer is not None
            return offer.id

    def _talk(self, offer_id: str) -> None:
        self.tape.post(self.urls.offer("answer", offer_id), CallSid=self._her_sid(offer_id))
        self._hers(offer_id, "in-progress")
        self._call("queued", {"QueueResult": "redirected"} | QUEUE)
        self._call("next", {})
        self._conference("conference-start")
        self._conference("participant-join", self._her_sid(offer_id))
        self._conference("participant-join", CALLER)

    def _ends(self, offer_id: str | None) -> Iterator[str]:
        if offer_id is not None:
            self._conference("participant-leave", CALLER, ReasonParticipantLeft="participant_hung_up")
            self._conference("conference-end")
            self._hers(offer_id, "completed")
            self.tape.post(self.urls.offer("next", offer_id), CallSid=self._her_sid(offer_id))
        over = {"CallStatus": "completed", "CallDuration": "75", "Timestamp": format_datetime(clock.now())}
        self.tape.post("/webhooks/voice/status", over, To=NUMBER, From="+447700900123")
        yield "ended"
        self._sound("completed")
        yield "recording complete"
        with transaction(self.engine) as session:
            session.execute(update(Recording).values(state=RecordingState.STORED, stored_at=clock.now(), size_bytes=5))
        yield "stored"
        gone = {"state": RecordingState.PURGED, "purged_at": clock.now(), "carrier_recording_sid": None}
        with transaction(self.engine) as session:
            session.execute(update(Recording).values(gone | {"carrier_call_sid": None, "size_bytes": None}))
            session.execute(update(Receptionist).values(current_call_id=None, current_offer_id=None))
        yield "purged"
        blank_calls(self.engine, now=clock.now() + timedelta(days=400), confirmed=True)
        yield "blanked"

    # who says it

    def _call(self, action: str, fields: dict[str, str]) -> None:
        call = self.row()
        self.tape.post(self.urls.call(action, call.id, call.turn), fields)

    def _hers(self, offer_id: str, word: str) -> None:
        self.number += 1
        sid = self._her_sid(offer_id)
        self.tape.post(self.urls.offer_status(offer_id), CallSid=sid, CallStatus=word, SequenceNumber=str(self.number))

    def _her_sid(self, offer_id: str) -> str:
        return HERS if self.row().turn == 1 else "CA" + "b" * 32

    def _conference(self, word: str, sid: str | None = None, **more: str) -> None:
        call, self.number = self.row(), self.number + 1
        about = {
            "ConferenceSid": f"CF{call.turn:032x}",
            "StatusCallbackEvent": word,
            "SequenceNumber": str(self.number),
        }
        self.tape.post(self.urls.conference_status(call.id, call.turn), about | more, CallSid=sid or "")

    def _sound(self, word: str) -> None:
        with reading(self.engine) as session:
            recordings = session.scalars(select(Recording).order_by(Recording.started_at)).all()
        for number, recording in enumerate(recordings):
            about = {"RecordingSid": f"RE{number:032x}", "RecordingStatus": word, "RecordingDuration": "17"}
            self.tape.post(self.urls.recording(recording.id), about, RecordingChannels="2")

    def _hold(self, *, wanted: bool) -> None:
        with transaction(self.engine) as session:
            call_actions.request_hold(session, self.row().id, held=wanted, now=clock.now())

    def row(self) -> Call:
        with reading(self.engine) as session:
            return session.scalars(select(Call)).one()
