"""The carrier's REST side on those lines. Requests fare as the weather has it, and the world goes on meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from callcenter.domain.calls import ENDED_LEG_STATES, LegState
from callcenter.domain.events import RecordingReportKind
from callcenter.errors import CarrierNotFound, CarrierUnavailable
from callcenter.ports import CarrierCall, CarrierParticipant, CarrierRecording, Media
from tests.fakes import wav
from tests.faults.storm_documents import Documents
from tests.faults.storm_model import Leg, Room, Sound

BASE = "https://door.example.org"
REQUEST_SECONDS = 0.05
SLOW_SECONDS = 4.0
LAG_SECONDS = 2.0
DEEPEST = 3
"""So many requests are under way at once."""


class StormCarrier(Documents):
    """``ports.Carrier``."""

    _under_way = 0

    def ring(
        self, *, identity: str, from_number: str, call_id: str, turn: int, offer_id: str, ring_seconds: int
    ) -> str:
        with self._request("ring"):
            leg = Leg(
                self.new_sid("CA"),
                from_number,
                f"client:{identity}?offer={offer_id}",
                self.agenda.seconds,
                identity=identity,
                status_url=f"{BASE}/webhooks/status/offers/{offer_id}",
                answer_url=f"{BASE}/webhooks/voice/offers/{offer_id}/answer",
                state=LegState.INITIATED,
            )
            self.legs[leg.sid] = leg
            self.becomes(leg, LegState.INITIATED)
            self.becomes(leg, LegState.RINGING)
            waits = 0.4 if identity in self.off else ring_seconds + self.weather.chance.choice(self.weather.rings_on)
            self.agenda.after(waits, lambda: self._rang_in_vain(leg))
            return leg.sid

    def rings_since(self, identity: str, since: datetime) -> list[CarrierCall]:
        with self._request("rings_since"):
            return [self._seen(leg) for leg in self.legs.values() if leg.identity == identity]

    def call(self, carrier_call_sid: str) -> CarrierCall:
        with self._request("call"):
            if carrier_call_sid not in self.legs:
                raise CarrierNotFound("unknown", carrier_code=20404, status=404)
            return self._seen(self.legs[carrier_call_sid])

    def end_call(self, carrier_call_sid: str) -> None:
        with self._request("end_call"):
            leg = self.legs.get(carrier_call_sid)
            if leg is not None:
                self.end_leg(leg, LegState.COMPLETED if leg.state == LegState.IN_PROGRESS else LegState.CANCELLED)

    def ask_next_step(self, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        with self._request("ask_next_step"):
            leg = self._up(carrier_call_sid)
            queue, leg.queue = leg.queue, None
            if queue is not None and self.weather.often(0.5):
                self.mention(leg, queue.action, QueueResult="redirected", QueueSid=queue.sid)
            if leg.message is not None:
                leg.message = None
                self._stop_all(leg, is_message=True)
            if leg.room is not None:
                if self.weather.often(0.5):
                    self.mention(leg, leg.after_dial, DialCallStatus="answered")
                self.leave(leg, "participant_updated_via_api")
            self.ask(leg, f"{BASE}/webhooks/voice/calls/{call_id}/{turn}/next")

    def dequeue(self, carrier_queue_sid: str, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        with self._request("dequeue"):
            leg = self._up(carrier_call_sid)
            queue = leg.queue
            if queue is None or queue.sid != carrier_queue_sid:
                raise CarrierNotFound("not in the queue", carrier_code=20404, status=404)
            leg.queue = None
            if self.weather.often(0.5):
                self.mention(leg, queue.action, QueueResult="redirected", QueueSid=queue.sid)
            self.ask(leg, f"{BASE}/webhooks/voice/calls/{call_id}/{turn}/next")

    def conference(self, name: str) -> str | None:
        with self._request("conference"):
            return next((room.sid for room in self.rooms if room.name == name and not room.ended), None)

    def participants(self, carrier_conference_sid: str) -> list[CarrierParticipant]:
        with self._request("participants"):
            room = self._room(carrier_conference_sid)
            return [] if room is None else [CarrierParticipant(leg.sid, leg.sid in room.held) for leg in room.legs]

    def end_conference(self, carrier_conference_sid: str) -> None:
        with self._request("end_conference"):
            room = self._room(carrier_conference_sid)
            if room is not None:
                self.end_room(room, "conference_ended_via_api")

    def hold(self, carrier_conference_sid: str, carrier_call_sid: str, *, held: bool, call_id: str, turn: int) -> bool:
        with self._request("hold"):
            leg = self._up(carrier_call_sid)
            room = leg.room
            if room is None or room.sid != carrier_conference_sid:
                raise CarrierNotFound("not in the conference", carrier_code=20404, status=404)
            (room.held.add if held else room.held.discard)(leg.sid)
            if held:
                self.mention(leg, f"{BASE}/webhooks/voice/calls/{call_id}/{turn}/hold")
            self.tell_room(room, "participant-hold" if held else "participant-unhold", leg)
            return held

    def start_recording(self, carrier_call_sid: str, *, recording_id: str) -> str:
        leg = self.legs[carrier_call_sid]
        if leg.refused is not None:
            self.complaints.append("A recording is started after the refusal.")
        with self._request("start_recording"):
            return self.record(
                self._up(carrier_call_sid), f"{BASE}/webhooks/recording/{recording_id}", is_message=False
            ).sid

    def pause_recording(self, carrier_call_sid: str, carrier_recording_sid: str, *, paused: bool) -> bool:
        with self._request("pause_recording"):
            sound = self._sound(carrier_recording_sid)
            if sound.ended is not None:
                raise CarrierNotFound("over", carrier_code=21220, status=404)
            sound.paused = paused
            return paused

    def stop_recording(self, carrier_call_sid: str, carrier_recording_sid: str) -> None:
        with self._request("stop_recording"):
            self.finish(self._sound(carrier_recording_sid))

    def recordings_of(self, carrier_call_sid: str) -> list[CarrierRecording]:
        with self._request("recordings_of"):
            return [self._heard(sound) for sound in self.sounds.values() if sound.leg.sid == carrier_call_sid]

    def recording(self, carrier_recording_sid: str) -> CarrierRecording:
        with self._request("recording"):
            return self._heard(self._sound(carrier_recording_sid))

    def open_media(self, carrier_recording_sid: str, *, channels: int) -> Media:
        with self._request("open_media"):
            sound = self._sound(carrier_recording_sid)
            if sound.ended is None or sound.absent:
                raise CarrierNotFound("no sound yet", carrier_code=20404, status=404)
            audio = wav(round(sound.ended - sound.started), rate=100)
            return Media(len(audio), channels, iter([audio]))

    def delete_recording(self, carrier_recording_sid: str) -> None:
        with self._request("delete_recording"):
            sound = self._sound(carrier_recording_sid)
            if sound.ended is None:
                raise CarrierUnavailable("not complete yet", carrier_code=20409, status=409, maybe_done=False)
            del self.sounds[carrier_recording_sid]

    def check(self) -> str | None:
        return None

    # within

    @contextmanager
    def _request(self, operation: str) -> Iterator[None]:
        fault = self.weather.fault(operation)
        self._waits(SLOW_SECONDS if fault == "slow before" else REQUEST_SECONDS)
        if fault == "refused":
            raise CarrierUnavailable("slow down", retry_after_seconds=1.0, maybe_done=False)
        if fault == "lost before":
            raise CarrierUnavailable("away")
        yield
        self._waits(SLOW_SECONDS if fault == "slow after" else REQUEST_SECONDS)
        if fault == "lost after":
            raise CarrierUnavailable("away")

    def _waits(self, seconds: float) -> None:
        if self._under_way < DEEPEST:
            self._under_way += 1
            self.agenda.passes(seconds)
            self._under_way -= 1

    def _rang_in_vain(self, leg: Leg) -> None:
        if leg.state == LegState.RINGING:
            self.end_leg(leg, LegState.NO_ANSWER)

    def _stop_all(self, leg: Leg, *, is_message: bool) -> None:
        for sound in self.sounds.values():
            if sound.leg is leg and sound.is_message == is_message:
                self.finish(sound)

    def _seen(self, leg: Leg) -> CarrierCall:
        """A leg in a look-up, which now and then lags behind."""
        lags = self.agenda.seconds - leg.changed < LAG_SECONDS and self.weather.often(0.5)
        state = leg.before if lags else leg.state
        ended = leg.ended if state in ENDED_LEG_STATES else None
        started = self.moment(leg.started)
        return CarrierCall(leg.sid, state, leg.to, started, self.moment(ended))

    def _up(self, sid: str) -> Leg:
        leg = self.legs.get(sid)
        if leg is None or not leg.up:
            raise CarrierNotFound("The leg is over.", carrier_code=21220, status=400)
        return leg

    def _room(self, sid: str) -> Room | None:
        return next((room for room in self.rooms if room.sid == sid and not room.ended), None)

    def _sound(self, sid: str) -> Sound:
        if sid not in self.sounds:
            raise CarrierNotFound("There is no such recording.", carrier_code=20404, status=404)
        return self.sounds[sid]

    def _heard(self, sound: Sound) -> CarrierRecording:
        kind = RecordingReportKind.IN_PROGRESS
        if sound.ended is not None:
            kind = RecordingReportKind.ABSENT if sound.absent else RecordingReportKind.COMPLETED
        over = kind == RecordingReportKind.COMPLETED and sound.ended is not None
        seconds = round((sound.ended or 0) - sound.started) if over else None
        return CarrierRecording(
            sound.sid, sound.leg.sid, kind, seconds, 2 if over else None, self.moment(sound.started)
        )
