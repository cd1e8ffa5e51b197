"""One call, step by step, through the real services: what the carrier asks and reports, in the words of the domain."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine, select

from callcenter.config import VoiceSettings
from callcenter.db import reading, transaction
from callcenter.domain.calls import LegState
from callcenter.domain.events import (
    ConferenceEvent,
    ConferenceEventKind,
    IncomingCall,
    LegReport,
    RecordingReport,
    RecordingReportKind,
)
from callcenter.domain.steps import Step
from callcenter.models import Call, Offer, Receptionist, Recording, new_id
from callcenter.services import calls, carrier_reports, queueing
from tests.cast import Cast, create_cast
from tests.factories import NOW

VOICE = VoiceSettings(calls_per_second=100)


@dataclass
class CallScript:
    """Drives one caller. Every step happens a second after the one before unless ``later`` says more."""

    engine: Engine
    cast: Cast
    sid: str = field(default_factory=lambda: f"CA{new_id()}")
    from_number: str | None = "+447700900123"
    now: datetime = NOW
    receptionist_sid: str = field(default_factory=lambda: f"CA{new_id()}")
    conference_sid: str = field(default_factory=lambda: f"CF{new_id()}")
    recording_sid: str = field(default_factory=lambda: f"RE{new_id()}")

    @classmethod
    def begin(cls, engine: Engine, **values: str | None) -> "CallScript":
        """A caller about to ring the hill clinic, whose receptionists are all at work."""
        with transaction(engine) as session:
            cast = create_cast(session)
        return cls(engine, cast, **values)  # type: ignore[arg-type]

    def later(self, seconds: float) -> "CallScript":
        """Let time pass; every softphone stays alive."""
        self.now += timedelta(seconds=seconds)
        with transaction(self.engine) as session:
            for receptionist in session.scalars(select(Receptionist)):
                receptionist.heartbeat_at = self.now
        return self

    def rings(self) -> Step:
        """The incoming request."""
        incoming = IncomingCall(self.sid, self.from_number, self.cast.hill.number)
        with transaction(self.engine) as session:
            return calls.receive_call(session, incoming, voice=VOICE, now=self.now)

    def waits(self, turn: int | None = None) -> Step:
        """The next wait request."""
        self.later(1)
        with transaction(self.engine) as session:
            return calls.wait_step(
                session,
                self.call().id,
                turn or self.call().turn,
                carrier_queue_sid="QU" + "0" * 32,
                voice=VOICE,
                now=self.now,
            )

    def presses(self, digits: str) -> Step:
        """A key while waiting."""
        with transaction(self.engine) as session:
            return calls.key_pressed(session, self.call().id, 1, digits, voice=VOICE, now=self.now)

    def asks(self) -> Step:
        """What is next for the caller's leg?"""
        with transaction(self.engine) as session:
            return calls.next_step(session, self.call().id, self.call().turn, voice=VOICE, now=self.now)

    def is_offered(self) -> Offer:
        """Dispatch; there must be somebody to offer the call to."""
        with transaction(self.engine) as session:
            offer = queueing.dispatch(session, voice=VOICE, now=self.now)
        assert offer is not None
        return offer

    def leg(self, offer: Offer, state: LegState, *, sid: str | None = None, at: datetime | None = None) -> None:
        """A status callback of the receptionist's leg."""
        sid = sid or self.receptionist_sid
        report = LegReport(f"{sid}:{state}", sid, state, at or self.now)
        with transaction(self.engine) as session:
            carrier_reports.offer_leg_reported(session, offer.id, report, voice=VOICE, now=self.now)

    def is_answered(self, offer: Offer, *, sid: str | None = None) -> Step:
        """The receptionist's softphone answers."""
        self.later(1)
        with transaction(self.engine) as session:
            return calls.receptionist_step(
                session, offer.id, carrier_call_sid=sid or self.receptionist_sid, voice=VOICE, now=self.now
            )

    def conference(
        self, kind: ConferenceEventKind, *, sid: str | None = None, turn: int | None = None, hung_up: bool = False
    ) -> None:
        """A conference event; ``sid`` is whose it is."""
        turn = turn or self.call().turn
        key = f"{self.conference_sid}:{turn}:{kind}:{sid}"
        event = ConferenceEvent(key, kind, self.conference_sid, sid, self.now, hung_up)
        with transaction(self.engine) as session:
            carrier_reports.conference_reported(session, self.call().id, turn, event, voice=VOICE, now=self.now)

    def softphone_is_lost(self) -> None:
        """The receptionist's leg ends by itself while the caller is there."""
        self.conference(ConferenceEventKind.LEAVE, sid=self.receptionist_sid, hung_up=True)

    def joins(self) -> None:
        """The caller is in the conference."""
        self.conference(ConferenceEventKind.JOIN, sid=self.sid)

    def connects(self) -> Offer:
        """From ringing to the talk, the short way."""
        self.rings()
        self.waits()
        offer = self.is_offered()
        self.leg(offer, LegState.RINGING)
        self.is_answered(offer)
        self.joins()
        return offer

    def records(self, kind: RecordingReportKind, *, seconds: int | None = None) -> None:
        """A callback of the newest recording."""
        report = RecordingReport(
            f"{self.recording_sid}:{kind}", kind, self.recording_sid, self.sid, duration_seconds=seconds, channels=2
        )
        with transaction(self.engine) as session:
            carrier_reports.recording_reported(session, self.recording().id, report, voice=VOICE, now=self.now)

    def hangs_up(self, state: LegState = LegState.COMPLETED) -> None:
        """The number's status callback: the caller's leg is over."""
        report = LegReport(f"{self.sid}:{state}", self.sid, state, self.now)
        with transaction(self.engine) as session:
            carrier_reports.caller_leg_reported(session, report, voice=VOICE, now=self.now)

    def call(self) -> Call:
        """The call's row."""
        with reading(self.engine) as session:
            return session.scalars(select(Call).where(Call.carrier_call_sid == self.sid)).one()

    def offer(self, offer_id: str) -> Offer:
        """An offer's row."""
        with reading(self.engine) as session:
            return session.get_one(Offer, offer_id)

    def recording(self) -> Recording:
        """The call's newest recording."""
        with reading(self.engine) as session:
            query = select(Recording).where(Recording.call_id == self.call().id).order_by(Recording.started_at.desc())
            return session.scalars(query).first() or _missing()

    def receptionist(self, user_id: str) -> Receptionist:
        """A receptionist's row."""
        with reading(self.engine) as session:
            return session.get_one(Receptionist, user_id)


def _missing() -> Recording:
    raise AssertionError("The call has no recording.")
