"""A truthful stand-in for ``callcenter.ports.Carrier``, on the lines of ``tests/fake_lines.py``.

Requests fail on wish: ``refuse(operation, error)`` fails the next one before it is carried out, ``lose_answer`` after.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from callcenter.domain.calls import LegState
from callcenter.domain.events import ConferenceEventKind, RecordingReportKind
from callcenter.errors import CarrierNotFound
from callcenter.ports import CarrierCall, CarrierParticipant, CarrierRecording, Media
from tests.fake_lines import Door, FakeLeg, FakeRecording, Lines, Place


class FakeCarrier(Lines):
    """The carrier's REST side; ``requests`` lists what was asked of it."""

    def __init__(self, door: Door | None = None) -> None:
        super().__init__(door)
        self.requests: list[str] = []
        self._refusals: defaultdict[str, list[Exception]] = defaultdict(list)
        self._lost: defaultdict[str, list[Exception]] = defaultdict(list)

    def refuse(self, operation: str, *errors: Exception) -> None:
        """The next requests of this kind fail and do nothing."""
        self._refusals[operation] += errors

    def lose_answer(self, operation: str, *errors: Exception) -> None:
        """The next requests of this kind are carried out, and then fail."""
        self._lost[operation] += errors

    # ports.Carrier

    def ring(
        self, *, identity: str, from_number: str, call_id: str, turn: int, offer_id: str, ring_seconds: int
    ) -> str:
        with self._request("ring"):
            leg = self.add_leg(f"client:{identity}?offer={offer_id}", LegState.INITIATED, offer_id=offer_id)
            self.becomes(leg, LegState.INITIATED)
            self.becomes(leg, LegState.RINGING)
            return leg.sid

    def rings_since(self, identity: str, since: datetime) -> list[CarrierCall]:
        with self._request("rings_since"):
            address = f"client:{identity}?"
            legs = [leg for leg in self.legs.values() if leg.to.startswith(address) and leg.started_at >= since]
            return [_seen(leg) for leg in legs]

    def call(self, carrier_call_sid: str) -> CarrierCall:
        with self._request("call"):
            if carrier_call_sid not in self.legs:
                raise CarrierNotFound("unknown", carrier_code=20404, status=404)
            return _seen(self.legs[carrier_call_sid])

    def inbound_calls(self, since: datetime, until: datetime) -> Iterator[CarrierCall]:
        with self._request("inbound_calls"):
            legs = [leg for leg in reversed(self.legs.values()) if leg.offer_id is None and leg.parent_sid is None]
            yield from (_seen(leg) for leg in legs if since <= leg.started_at <= until)

    def forwarded_legs(self, carrier_call_sid: str) -> list[CarrierCall]:
        with self._request("forwarded_legs"):
            return [_seen(leg) for leg in self.legs.values() if leg.parent_sid == carrier_call_sid]

    def end_call(self, carrier_call_sid: str) -> None:
        with self._request("end_call"):
            leg = self.legs.get(carrier_call_sid)
            if leg is not None:
                self.end_leg(leg, LegState.COMPLETED if leg.state == LegState.IN_PROGRESS else LegState.CANCELLED)

    def ask_next_step(self, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        with self._request("ask_next_step"):
            leg = self._up(carrier_call_sid)
            leg.queue_sid = None
            self.leave(leg, hung_up=False)
            self.follow(leg, *self._asked.next_step(Place(call_id, turn)))

    def dequeue(self, carrier_queue_sid: str, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        with self._request("dequeue"):
            leg = self._up(carrier_call_sid)
            if leg.queue_sid != carrier_queue_sid:
                raise CarrierNotFound("not in the queue", carrier_code=20404, status=404)
            leg.queue_sid = None
            self.follow(leg, *self._asked.next_step(Place(call_id, turn)))

    def conference(self, name: str) -> str | None:
        with self._request("conference"):
            return next((room.sid for room in self.conferences if room.name == name and not room.ended), None)

    def participants(self, carrier_conference_sid: str) -> list[CarrierParticipant]:
        with self._request("participants"):
            rooms = [room for room in self.conferences if room.sid == carrier_conference_sid and not room.ended]
            return [CarrierParticipant(leg.sid, leg.sid in room.held) for room in rooms for leg in room.legs]

    def end_conference(self, carrier_conference_sid: str) -> None:
        with self._request("end_conference"):
            for room in self.conferences:
                if room.sid == carrier_conference_sid:
                    self.end_room(room)

    def hold(self, carrier_conference_sid: str, carrier_call_sid: str, *, held: bool, call_id: str, turn: int) -> bool:
        with self._request("hold"):
            leg = self._up(carrier_call_sid)
            room = leg.conference
            if room is None or room.sid != carrier_conference_sid:
                raise CarrierNotFound("not in the conference", carrier_code=20404, status=404)
            (room.held.add if held else room.held.discard)(leg.sid)
            self.tell_room(room, ConferenceEventKind.HOLD if held else ConferenceEventKind.UNHOLD, leg)
            return held

    def start_recording(self, carrier_call_sid: str, *, recording_id: str) -> str:
        with self._request("start_recording"):
            return self.record(self._up(carrier_call_sid), recording_id).sid

    def pause_recording(self, carrier_call_sid: str, carrier_recording_sid: str, *, paused: bool) -> bool:
        with self._request("pause_recording"):
            recording = self._recording(carrier_recording_sid)
            if recording.ended_at is not None:
                raise CarrierNotFound("over", carrier_code=21220, status=404)
            recording.paused = paused
            return paused

    def stop_recording(self, carrier_call_sid: str, carrier_recording_sid: str) -> None:
        with self._request("stop_recording"):
            self.finish(self._recording(carrier_recording_sid))

    def recordings_of(self, carrier_call_sid: str) -> list[CarrierRecording]:
        with self._request("recordings_of"):
            return [_heard(one) for one in self.recordings.values() if one.leg_sid == carrier_call_sid]

    def recordings_between(self, since: datetime | None, until: datetime) -> Iterator[CarrierRecording]:
        with self._request("recordings_between"):
            found = [one for one in reversed(self.recordings.values()) if one.started_at <= until]
            yield from (_heard(one) for one in found if since is None or one.started_at >= since)

    def recording(self, carrier_recording_sid: str) -> CarrierRecording:
        with self._request("recording"):
            return _heard(self._recording(carrier_recording_sid))

    def open_media(self, carrier_recording_sid: str, *, channels: int) -> Media:
        raise CarrierNotFound("This carrier keeps no sound.")

    def delete_recording(self, carrier_recording_sid: str) -> None:
        with self._request("delete_recording"):
            self._recording(carrier_recording_sid)
            del self.recordings[carrier_recording_sid]

    def check(self) -> str | None:
        return None

    # within

    @contextmanager
    def _request(self, operation: str) -> Iterator[None]:
        self.requests.append(operation)
        if self._refusals[operation]:
            raise self._refusals[operation].pop(0)
        yield
        if self._lost[operation]:
            raise self._lost[operation].pop(0)

    def _up(self, sid: str) -> FakeLeg:
        leg = self.legs.get(sid)
        if leg is None or not leg.up:
            raise CarrierNotFound("The leg is over.", carrier_code=21220, status=400)
        return leg

    def _recording(self, sid: str) -> FakeRecording:
        if sid not in self.recordings:
            raise CarrierNotFound("There is no such recording.", carrier_code=20404, status=404)
        return self.recordings[sid]


def _seen(leg: FakeLeg) -> CarrierCall:
    return CarrierCall(leg.sid, leg.state, leg.to, leg.started_at, leg.ended_at, leg.from_number)


def _heard(recording: FakeRecording) -> CarrierRecording:
    over = recording.ended_at is not None
    return CarrierRecording(
        recording.sid,
        recording.leg_sid,
        RecordingReportKind.COMPLETED if over else RecordingReportKind.IN_PROGRESS,
        recording.seconds if over else None,
        2 if over else None,
        recording.started_at,
    )
