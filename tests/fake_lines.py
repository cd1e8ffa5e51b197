"""Telephone lines as a carrier knows them: legs, queues, conferences and recordings that behave as documented.

Every change leaves a notice for whoever delivers it, and the legs fetch their documents from a ``Door``. Times come
from the product's clock.
"""

import itertools
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from callcenter import clock
from callcenter.domain.calls import LegState
from callcenter.domain.events import (
    ConferenceEvent,
    ConferenceEventKind,
    LegReport,
    RecordingReport,
    RecordingReportKind,
)
from callcenter.domain.steps import Greet, JoinAsReceptionist, LeaveQueue, SayAndHangUp, Step, TakeMessage, Talk
from callcenter.models import new_id


@dataclass(frozen=True)
class Place:
    """The call and turn in the addresses of a document."""

    call_id: str
    turn: int


class Door(Protocol):
    """What the legs ask while they are up. Each answers the step and the place that its addresses name."""

    def incoming(self, sid: str) -> tuple[Step, Place]: ...
    def next_step(self, place: Place) -> tuple[Step, Place]: ...
    def wait(self, place: Place, queue_sid: str) -> tuple[Step, Place]: ...
    def out_of_queue(self, place: Place, *, hung_up: bool) -> tuple[Step, Place]: ...
    def message(self, place: Place, seconds: int) -> tuple[Step, Place]: ...
    def answer(self, offer_id: str, sid: str) -> Step: ...


@dataclass(frozen=True)
class Notice:
    """A notification on its way. ``address`` is what stands in its path: offer, recording, or call and turn."""

    event: LegReport | ConferenceEvent | RecordingReport
    address: str | Place | None


@dataclass
class FakeLeg:
    """A connection; ``place`` None for a softphone, whose notices go to its ``offer_id``."""

    sid: str
    to: str
    state: LegState
    started_at: datetime
    place: Place | None = None
    offer_id: str | None = None
    ended_at: datetime | None = None
    queue_sid: str | None = None
    conference: "FakeConference | None" = None
    from_number: str | None = None
    parent_sid: str | None = None

    @property
    def up(self) -> bool:
        return self.ended_at is None


@dataclass
class FakeConference:
    """A room; it ends with the caller, or when it is empty."""

    sid: str
    name: str
    legs: list[FakeLeg] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    ended: bool = False

    @property
    def place(self) -> Place:
        call_id, _, turn = self.name.rpartition("-")
        return Place(call_id, int(turn))


@dataclass
class FakeRecording:
    """Sound of a leg; ``row`` is the id in its callback address."""

    sid: str
    leg_sid: str
    row: str
    started_at: datetime
    ended_at: datetime | None = None
    paused: bool = False

    @property
    def seconds(self) -> int:
        """Its length, as far as it has come."""
        return round(((self.ended_at or clock.now()) - self.started_at).total_seconds())


class Lines:
    """The lines and the telephones at their ends."""

    def __init__(self, door: Door | None = None) -> None:
        self.door = door
        self.number = "clinic"
        """What callers dial."""
        self.legs: dict[str, FakeLeg] = {}
        self.conferences: list[FakeConference] = []
        self.recordings: dict[str, FakeRecording] = {}
        self.notices: list[Notice] = []
        self._numbers = itertools.count(1)

    def dial(self) -> FakeLeg:
        """A caller rings a clinic and hears the first document."""
        leg = self.add_leg(self.number)
        self.follow(leg, *self._asked.incoming(leg.sid))
        return leg

    def add_leg(self, to: str, state: LegState = LegState.IN_PROGRESS, **more: str) -> FakeLeg:
        """A leg that is just there."""
        leg = FakeLeg(self.new_sid("CA"), to, state, clock.now(), **more)  # type: ignore[arg-type]
        self.legs[leg.sid] = leg
        return leg

    def pick_up(self, leg: FakeLeg) -> None:
        """A receptionist answers."""
        self.becomes(leg, LegState.IN_PROGRESS)
        assert leg.offer_id is not None
        step = self._asked.answer(leg.offer_id, leg.sid)
        if isinstance(step, JoinAsReceptionist):
            self._join(leg, step.conference_name)
        else:
            self.end_leg(leg)

    def end_leg(self, leg: FakeLeg, state: LegState = LegState.COMPLETED) -> None:
        """Somebody hangs up, declines, loses the line or is hung up."""
        if not leg.up:
            return
        leg.ended_at = clock.now()
        for recording in self.recordings.values():
            if recording.leg_sid == leg.sid:
                self.finish(recording)
        if leg.queue_sid is not None and leg.place is not None:
            leg.queue_sid = None
            self._asked.out_of_queue(leg.place, hung_up=True)
        self.leave(leg, hung_up=True)
        self.becomes(leg, state)

    def waiting_goes_on(self) -> None:
        """The wait document of everybody in a queue is over and is fetched again."""
        for leg in [leg for leg in self.legs.values() if leg.queue_sid]:
            self._wait(leg)

    def speaks_message(self, leg: FakeLeg) -> None:
        """The caller has spoken after the tone and pressed the hash key."""
        seconds = 0
        for recording in self.recordings.values():
            if recording.leg_sid == leg.sid and recording.ended_at is None:
                self.finish(recording)
                seconds = max(seconds, recording.seconds)
        assert leg.place is not None
        self.follow(leg, *self._asked.message(leg.place, seconds))

    def rings_at(self, identity: str) -> FakeLeg | None:
        """The leg that rings a softphone now."""
        ringing = [leg for leg in self.legs.values() if leg.state == LegState.RINGING and leg.up]
        return next((leg for leg in ringing if leg.to.startswith(f"client:{identity}?")), None)

    # what happens on the lines

    @property
    def _asked(self) -> Door:
        assert self.door is not None, "These lines lead to nobody."
        return self.door

    def follow(self, leg: FakeLeg, step: Step, place: Place) -> None:
        """The leg carries out its document."""
        leg.place = place
        if isinstance(step, Greet):
            leg.queue_sid = "QU" + step.queue_name
            self._wait(leg)
        elif isinstance(step, Talk):
            self._join(leg, step.conference_name)
            if step.recording_id is not None:
                self.record(leg, step.recording_id)
        elif isinstance(step, TakeMessage):
            self.record(leg, step.recording_id)
        elif isinstance(step, SayAndHangUp):
            self.end_leg(leg)

    def _wait(self, leg: FakeLeg) -> None:
        assert leg.place is not None
        assert leg.queue_sid is not None
        step, place = self._asked.wait(leg.place, leg.queue_sid)
        if isinstance(step, LeaveQueue):
            leg.queue_sid = None
            self.follow(leg, *self._asked.out_of_queue(place, hung_up=False))

    def _join(self, leg: FakeLeg, name: str) -> None:
        room = next((room for room in self.conferences if room.name == name and not room.ended), None)
        if room is None:
            room = FakeConference(self.new_sid("CF"), name)
            self.conferences.append(room)
            self.tell_room(room, ConferenceEventKind.START)
        room.legs.append(leg)
        leg.conference = room
        self.tell_room(room, ConferenceEventKind.JOIN, leg)

    def leave(self, leg: FakeLeg, *, hung_up: bool) -> None:
        """Out of the conference, which ends with the caller."""
        room, leg.conference = leg.conference, None
        if room is None:
            return
        room.legs.remove(leg)
        room.held.discard(leg.sid)
        self.tell_room(room, ConferenceEventKind.LEAVE, leg, hung_up=hung_up)
        if leg.offer_id is None or not room.legs:
            self.end_room(room)

    def end_room(self, room: FakeConference) -> None:
        """Everybody goes on after the conference: softphones hang up, a caller asks what is next."""
        if room.ended:
            return
        room.ended = True
        others, room.legs = room.legs, []
        for leg in others:
            leg.conference = None
            self.tell_room(room, ConferenceEventKind.LEAVE, leg)
        self.tell_room(room, ConferenceEventKind.END)
        for leg in others:
            if leg.offer_id is not None:
                self.end_leg(leg)
            elif leg.place is not None:
                self.follow(leg, *self._asked.next_step(leg.place))

    def record(self, leg: FakeLeg, row: str) -> FakeRecording:
        """A recording begins."""
        recording = FakeRecording(self.new_sid("RE"), leg.sid, row, clock.now())
        self.recordings[recording.sid] = recording
        self._tell_recording(recording, RecordingReportKind.IN_PROGRESS)
        return recording

    def finish(self, recording: FakeRecording) -> None:
        """A recording is over; one that is over already stays as it is."""
        if recording.ended_at is None:
            recording.ended_at = clock.now()
            self._tell_recording(recording, RecordingReportKind.COMPLETED)

    def becomes(self, leg: FakeLeg, state: LegState) -> None:
        """A leg's new state; only the end of a caller's leg is told, as it is set up at the number."""
        leg.state = state
        if leg.offer_id is not None or not leg.up:
            report = LegReport(f"leg:{leg.sid}:{state}", leg.sid, state, clock.now().replace(microsecond=0))
            self.notices.append(Notice(report, leg.offer_id))

    def tell_room(
        self, room: FakeConference, kind: ConferenceEventKind, leg: FakeLeg | None = None, *, hung_up: bool = False
    ) -> None:
        """A conference event with the next sequence number."""
        key = f"conference:{room.sid}:{kind}:{next(self._numbers)}"
        at = clock.now().replace(microsecond=0)
        event = ConferenceEvent(key, kind, room.sid, leg.sid if leg else None, at, hung_up)
        self.notices.append(Notice(event, room.place))

    def _tell_recording(self, recording: FakeRecording, kind: RecordingReportKind) -> None:
        key = f"recording:{recording.sid}:{kind}"
        over = recording.ended_at is not None
        report = RecordingReport(
            key,
            kind,
            recording.sid,
            recording.leg_sid,
            duration_seconds=recording.seconds if over else None,
            channels=2 if over else None,
            started_at=recording.started_at,
        )
        self.notices.append(Notice(report, recording.row))

    def new_sid(self, prefix: str) -> str:
        """A carrier id that nobody else has."""
        return f"{prefix}{new_id()}"
