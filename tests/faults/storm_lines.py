"""Telephone lines in virtual time: legs, queues, rooms and recordings, as docs and field notes say they behave.

Everything that changes is told to the addresses that were given for it; how those messages fare, the weather decides.
"""

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Protocol
from xml.etree.ElementTree import Element

from callcenter.domain.calls import LegState
from callcenter.models import new_id
from tests.factories import NOW
from tests.faults.storm_model import Leg, Room, Sound
from tests.faults.storm_time import Agenda
from tests.faults.storm_weather import Weather

WORDS = {
    LegState.INITIATED: "initiated",
    LegState.RINGING: "ringing",
    LegState.IN_PROGRESS: "in-progress",
    LegState.COMPLETED: "completed",
    LegState.BUSY: "busy",
    LegState.NO_ANSWER: "no-answer",
    LegState.FAILED: "failed",
    LegState.CANCELLED: "canceled",
}
Form = dict[str, str]


class Door(Protocol):
    """Where the requests go; answers the document, or None when there is none."""

    def asked(self, url: str, form: Mapping[str, str]) -> Element: ...
    def told(self, url: str, form: Mapping[str, str]) -> None: ...


class Lines:
    """The lines; ``complaints`` lists what must never have happened."""

    def __init__(self, agenda: Agenda, weather: Weather) -> None:
        self.agenda, self.weather = agenda, weather
        self.door: Door
        self.legs: dict[str, Leg] = {}
        self.rooms: list[Room] = []
        self.sounds: dict[str, Sound] = {}
        self.complaints: list[str] = []
        self.off: set[str] = set()
        """Identities whose browser is closed."""
        self._numbers = itertools.count(1)

    # what is asked and told

    def form(self, leg: Leg, **more: str) -> Form:
        """What stands in every request about a leg."""
        direction = "inbound" if leg.is_caller else "outbound-api"
        common = {"CallSid": leg.sid, "From": leg.caller, "To": leg.to, "CallStatus": WORDS[leg.state]}
        return common | {"Direction": direction} | more

    def stamp(self, seconds: float | None = None) -> str:
        """A time as the carrier writes it: whole seconds."""
        at = NOW + timedelta(seconds=self.agenda.seconds if seconds is None else seconds)
        return format_datetime(at.replace(microsecond=0), usegmt=True)

    def notify(self, url: str, form: Form) -> None:
        """A notification sets out, and arrives as the weather has it."""
        for delay in self.weather.fate():
            self.agenda.after(delay, lambda: self.door.told(url, form))

    def ask(self, leg: Leg, url: str, **more: str) -> None:
        """The leg asks for its next document and waits for it; now and then the request is sent twice."""
        leg.document += 1
        leg.verbs, leg.words, leg.key_url = [], False, None
        number, form = leg.document, self.form(leg, **more)
        twice = self.weather.often(0.1)

        def arrives() -> None:
            document = self.door.asked(url, form)
            rendered = self.agenda.seconds
            if twice:
                self.agenda.passes(self.weather.latency())
                document, rendered = self.door.asked(url, form), self.agenda.seconds

            def answered() -> None:
                if leg.up and leg.document == number:
                    leg.rendered = rendered
                    self.carry_out(leg, document)

            self.agenda.after(self.weather.latency(), answered)

        self.agenda.after(self.weather.latency(), arrives)

    def mention(self, leg: Leg, url: str, **more: str) -> None:
        """A control request whose answer nobody waits for any more."""
        form = self.form(leg, **more)
        self.agenda.after(self.weather.latency(), lambda: self.door.asked(url, form))

    def carry_out(self, leg: Leg, document: Element) -> None:
        """See ``storm_documents``."""
        raise NotImplementedError

    def later(self, leg: Leg, seconds: float, do: Callable[[], None]) -> None:
        """Do this if the leg is still at the same document by then."""
        number = leg.document

        def if_still_there() -> None:
            if leg.up and leg.document == number:
                do()

        self.agenda.after(seconds, if_still_there)

    # legs

    def becomes(self, leg: Leg, state: LegState) -> None:
        """A leg's new state. Of a caller's only the end is told, as it is set up at the number."""
        leg.before, leg.state, leg.changed = leg.state, state, self.agenda.seconds
        if leg.up and leg.is_caller:
            return
        leg.sequence += 1
        more = {"SequenceNumber": str(leg.sequence), "Timestamp": self.stamp()}
        if not leg.up:
            more["CallDuration"] = str(round(self.agenda.seconds - leg.started))
        self.notify(leg.status_url, self.form(leg, **more))

    def end_leg(self, leg: Leg, state: LegState = LegState.COMPLETED) -> None:
        """Somebody hangs up, declines, loses the line or is hung up."""
        if not leg.up:
            return
        leg.ended = self.agenda.seconds
        leg.document += 1
        leg.key_url = None
        if leg.message is not None:
            seconds = str(round(self.agenda.seconds - leg.message.started))
            self.mention(leg, leg.message_url, RecordingDuration=seconds, Digits="hangup", CallStatus="completed")
            leg.message = None
        for sound in list(self.sounds.values()):
            if sound.leg is leg:
                self.finish(sound)
        queue, leg.queue = leg.queue, None
        if queue is not None:
            self.mention(leg, queue.action, QueueResult="hangup", QueueSid=queue.sid, CallStatus="completed")
        if leg.room is not None:
            if self.weather.often(0.3):
                self.mention(leg, leg.after_dial, DialCallStatus="answered", CallStatus="completed")
            self.leave(leg, "participant_hung_up")
        self.becomes(leg, state)

    # rooms

    def enter(self, leg: Leg, noun: Element) -> bool:
        """Join a room; False when the label is taken there."""
        name, label = noun.text or "", noun.attrib["participantLabel"]
        room = next((room for room in self.rooms if room.name == name and not room.ended), None)
        if room is None:
            room = Room(self.new_sid("CF"), name, noun.attrib["statusCallback"])
            self.rooms.append(room)
        if label in room.labels.values():
            return False
        room.legs.append(leg)
        room.labels[leg.sid] = label
        leg.room = room
        self.tell_room(room, "participant-join", leg)
        if len(room.legs) > 1 and not room.started:
            room.started = True
            self.tell_room(room, "conference-start")
        self._measure(room)
        return True

    def leave(self, leg: Leg, reason: str) -> None:
        """Out of the room; it ends with the caller, or when it is empty."""
        room, leg.room, leg.alone_since = leg.room, None, None
        if room is None:
            return
        room.legs.remove(leg)
        room.held.discard(leg.sid)
        room.labels.pop(leg.sid, None)
        self._measure(room, leg)
        self.tell_room(room, "participant-leave", leg, ReasonParticipantLeft=reason)
        if leg.is_caller or not room.legs:
            self.end_room(room, "moderator_ended_conference")

    def end_room(self, room: Room, reason: str) -> None:
        """Everybody who is left goes on after it."""
        if room.ended:
            return
        room.ended = True
        others, room.legs = room.legs, []
        for leg in others:
            leg.room, leg.alone_since = None, None
            self._measure(room, leg)
            self.tell_room(room, "participant-leave", leg, ReasonParticipantLeft=reason)
            self.ask(leg, leg.after_dial, DialCallStatus="answered")
        self.tell_room(room, "conference-end")

    def _measure(self, room: Room, leaver: Leg | None = None) -> None:
        """The truth about who talks and who is alone."""
        now, callers = self.agenda.seconds, [leg for leg in room.legs if leg.is_caller]
        together = bool(callers) and len(room.legs) > 1
        if room.together_since is not None and not together:
            for leg in {*callers, *([leaver] if leaver and leaver.is_caller else [])}:
                leg.talked += now - room.together_since
            room.together_since = None
        elif together and room.together_since is None:
            room.together_since = now
        for leg in callers:
            leg.alone_since = None if together else leg.alone_since or now

    def tell_room(self, room: Room, event: str, leg: Leg | None = None, **more: str) -> None:
        """A conference event."""
        room.sequence += 1
        form = {
            "ConferenceSid": room.sid,
            "FriendlyName": room.name,
            "StatusCallbackEvent": event,
            "SequenceNumber": str(room.sequence),
            "Timestamp": self.stamp(),
        }
        if leg is not None:
            form["CallSid"] = leg.sid
        self.notify(room.status_url, form | more)

    # recordings

    def record(self, leg: Leg, url: str, *, is_message: bool) -> Sound:
        """A recording begins."""
        sound = Sound(self.new_sid("RE"), leg, url, self.agenda.seconds, is_message)
        self.sounds[sound.sid] = sound
        self._tell_sound(sound, "in-progress")
        return sound

    def finish(self, sound: Sound, *, absent: bool = False) -> None:
        """A recording is over; one that is over already stays as it is."""
        if sound.ended is None:
            sound.ended, sound.absent = self.agenda.seconds, absent
            self._tell_sound(sound, "absent" if absent else "completed")

    def _tell_sound(self, sound: Sound, status: str) -> None:
        form = {"RecordingSid": sound.sid, "CallSid": sound.leg.sid, "RecordingStatus": status}
        form |= {"RecordingStartTime": self.stamp(sound.started), "RecordingChannels": "2"}
        if sound.ended is not None and not sound.absent:
            form["RecordingDuration"] = str(round(sound.ended - sound.started))
        self.notify(sound.url, form)

    def moment(self, seconds: float | None) -> datetime | None:
        """A time as the carrier's library reads it."""
        return None if seconds is None else (NOW + timedelta(seconds=seconds)).replace(microsecond=0)

    def new_sid(self, prefix: str) -> str:
        """A carrier id that nobody else has."""
        return f"{prefix}{new_id()}"
