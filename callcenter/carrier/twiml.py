"""Steps written in the carrier's language. The library escapes; nothing is formatted by hand.

Every document for a live leg ends in a redirect to where its next step is asked for, or in a hang-up: a caller never
falls off the end.
"""

import re
from dataclasses import dataclass
from typing import Any

from twilio.twiml.voice_response import Dial, VoiceResponse

from callcenter.carrier.urls import DoorUrls
from callcenter.config import VoiceSettings
from callcenter.domain.steps import (
    AskToRecord,
    ForwardTo,
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

LONGEST_TEXT = 4096
"""The carrier's limit for one spoken text (twilio-voice §4.1)."""
CONFERENCE_EVENTS = "start end join leave hold"
RECORDING_EVENTS = "in-progress completed absent"
PlacedStep = Greet | Wait | LeaveQueue | Talk | AskToRecord | TakeMessage | HoldMusic
_HOLD_LOOPS = 5
_KEY_SECONDS = 8
_MESSAGE_SILENCE_SECONDS = 10
_FORWARD_RING_SECONDS = 30
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class CallPlace:
    """Where a caller's leg is asked about: which call and turn."""

    call_id: str
    turn: int


@dataclass(frozen=True)
class TwimlWriter:
    """Writes documents. ``region`` is where conferences are mixed, ``music_url`` what waiting callers hear."""

    urls: DoorUrls
    voice: VoiceSettings
    region: str
    music_url: str

    def write(self, step: Step, place: CallPlace | None = None, *, own_number: str | None = None) -> str:
        """The document of a step.

        ``place`` is needed by every step of a caller that can be followed by another; ``own_number`` is the clinic's
        number, shown when a call is forwarded (the caller's own may be refused, and is not ours to pass on).
        """
        match step:
            case SayAndHangUp(texts):
                return self._last_words(texts)
            case ForwardTo(texts, number):
                return self._forward(texts, number, own_number)
            case JoinAsReceptionist():
                return self._join(step)
        if place is None:
            raise ValueError(f"{type(step).__name__} needs a call and turn.")
        return self._write_at(step, place)

    def _write_at(self, step: PlacedStep, place: CallPlace) -> str:
        match step:
            case Greet():
                return self._greet(step, place)
            case Wait():
                return self._wait(step, place)
            case LeaveQueue():
                return self.leave_queue()
            case Talk():
                return self._talk(step, place)
            case AskToRecord(text):
                return self._ask(text, place)
            case TakeMessage():
                return self._take_message(step, place)
            case HoldMusic(texts):
                return self._hold(texts, place)

    def leave_queue(self) -> str:
        """Out of the queue; the carrier then asks what the `queued` address has to say."""
        response = VoiceResponse()
        response.leave()
        return str(response)

    def keep_waiting(self, place: CallPlace) -> str:
        """A round of music in the queue without asking anything of the database."""
        return self._wait(Wait((), may_refuse=False), place)

    def ask_again(self, place: CallPlace) -> str:
        """A few words, and then the last try for a next step."""
        response = self._saying((self.voice.prompt("please_wait"),))
        response.pause(length=2)
        response.redirect(self.urls.call("again", place.call_id, place.turn), method="POST")
        return str(response)

    def _saying(self, texts: tuple[str, ...]) -> VoiceResponse:
        response = VoiceResponse()
        for text in texts:
            self._say(response, text)
        return response

    def _say(self, parent: Any, text: str) -> None:
        speakable = _NOT_XML.sub(" ", text).strip()[:LONGEST_TEXT]
        if speakable:
            parent.say(speakable, voice=self.voice.voice, language=self.voice.language)

    def _last_words(self, texts: tuple[str, ...]) -> str:
        response = self._saying(texts)
        response.hangup()
        return str(response)

    def _to_next(self, response: VoiceResponse, place: CallPlace) -> str:
        response.redirect(self.urls.call("next", place.call_id, place.turn), method="POST")
        return str(response)

    def _greet(self, step: Greet, place: CallPlace) -> str:
        response = self._saying(step.texts)
        response.enqueue(
            step.queue_name,
            action=self.urls.call("queued", place.call_id, place.turn),
            method="POST",
            wait_url=self.urls.call("wait", place.call_id, place.turn),
            wait_url_method="POST",
        )
        return self._to_next(response, place)

    def _wait(self, step: Wait, place: CallPlace) -> str:
        """Inside the queue: it redirects to the next round, since `next` may answer what a wait document may not."""
        response = VoiceResponse()
        speaker: Any = response
        if step.may_refuse:
            speaker = response.gather(
                input="dtmf",
                num_digits=1,
                timeout=1,
                action=self.urls.call("key", place.call_id, place.turn),
                method="POST",
            )
        for text in step.texts:
            self._say(speaker, text)
        if step.music:
            speaker.play(self.music_url)
        response.redirect(self.urls.call("wait", place.call_id, place.turn), method="POST")
        return str(response)

    def _talk(self, step: Talk, place: CallPlace) -> str:
        response = VoiceResponse()
        if step.recording_id is not None:
            response.start().recording(
                name=step.recording_id,
                channels="dual",
                track="both",
                trim="do-not-trim",
                recording_status_callback=self.urls.recording(step.recording_id),
                recording_status_callback_method="POST",
                recording_status_callback_event=RECORDING_EVENTS,
            )
        dial = response.dial(action=self.urls.call("next", place.call_id, place.turn), method="POST")
        self._conference(dial, step.conference_name, f"caller-{place.call_id}", end_on_exit=True)
        response.pause(length=1)  # reached only when the conference did not let us in: try again, but not at full speed
        return self._to_next(response, place)

    def _join(self, step: JoinAsReceptionist) -> str:
        after = self.urls.offer("next", step.offer_id)
        response = VoiceResponse()
        dial = response.dial(action=after, method="POST")
        self._conference(dial, step.conference_name, f"offer-{step.offer_id}", end_on_exit=False)
        response.redirect(after, method="POST")
        return str(response)

    def _conference(self, dial: Dial, name: str, label: str, *, end_on_exit: bool) -> None:
        """Callback settings are the same from every leg: only those of the first one count (twilio-voice §13.18)."""
        call_id, _, turn = name.rpartition("-")
        dial.conference(
            name,
            beep="false",
            wait_url="",
            start_conference_on_enter=True,
            end_conference_on_exit=end_on_exit,
            participant_label=label,
            region=self.region,
            status_callback=self.urls.conference_status(call_id, int(turn)),
            status_callback_method="POST",
            status_callback_event=CONFERENCE_EVENTS,
        )

    def _ask(self, text: str, place: CallPlace) -> str:
        response = VoiceResponse()
        gather = response.gather(
            input="dtmf",
            num_digits=1,
            timeout=_KEY_SECONDS,
            action=self.urls.call("consent", place.call_id, place.turn),
            method="POST",
            action_on_empty_result=True,  # silence is an answer too: no
        )
        self._say(gather, text)
        return self._to_next(response, place)

    def _take_message(self, step: TakeMessage, place: CallPlace) -> str:
        response = self._saying((step.text,))
        taken = self.urls.call("message", place.call_id, place.turn)
        response.record(
            action=taken,
            method="POST",
            max_length=step.max_seconds,
            timeout=_MESSAGE_SILENCE_SECONDS,
            finish_on_key="#",
            play_beep=True,
            trim="do-not-trim",
            recording_status_callback=self.urls.recording(step.recording_id),
            recording_status_callback_method="POST",
            recording_status_callback_event=RECORDING_EVENTS,
        )
        # Reached when the caller said nothing at all: no message, and no second prompt.
        response.redirect(taken, method="POST")
        return str(response)

    def _forward(self, texts: tuple[str, ...], number: str, own_number: str | None) -> str:
        response = self._saying(texts)
        dial = response.dial(timeout=_FORWARD_RING_SECONDS, caller_id=own_number)
        dial.number(number)
        response.hangup()
        return str(response)

    def _hold(self, texts: tuple[str, ...], place: CallPlace) -> str:
        response = self._saying(texts)
        response.play(self.music_url, loop=_HOLD_LOOPS)
        response.redirect(self.urls.call("hold", place.call_id, place.turn), method="POST")
        return str(response)
