"""How a leg carries out the documents it is given (twilio-voice §4), in virtual time."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from tests.faults.storm_lines import Lines
from tests.faults.storm_model import Leg, Queued, Sound

SAY_SECONDS = 3.0
PLAY_SECONDS = 12.0
MESSAGE_SECONDS = 7.0
"""How long a caller speaks after the tone, unless somebody makes them stop."""
NOTICE = "Calls are recorded"
"""The words by which the recording notice is known."""


class Documents(Lines):
    """Lines whose legs do what they are told."""

    def carry_out(self, leg: Leg, document: Element) -> None:
        """Begin with a new document."""
        leg.document += 1
        leg.verbs = list(document)
        leg.words = any((say.text or "").strip() for say in document.iter("Say"))
        leg.notice = any(NOTICE in (say.text or "") for say in document.iter("Say"))
        leg.key_url = None
        self._go_on(leg)

    def presses(self, leg: Leg, key: str) -> None:
        """Somebody presses a key: it ends a message, or goes where the document says, or nowhere."""
        if leg.message is not None and key == "#":
            self._message_over(leg, leg.message)
        elif leg.key_url is not None:
            self._asks(leg, leg.key_url, Digits=key)

    # one verb after the other

    def _go_on(self, leg: Leg) -> None:
        verbs: dict[str, Callable[[Leg, Element], bool]] = {
            "Say": lambda leg, _verb: self._takes(leg, SAY_SECONDS),
            "Play": lambda leg, _verb: self._takes(leg, PLAY_SECONDS),
            "Pause": lambda leg, verb: self._takes(leg, float(verb.get("length", "1"))),
            "Redirect": lambda leg, verb: self._asks(leg, verb.text or ""),
            "Gather": self._gather,
            "Enqueue": self._enqueue,
            "Leave": self._leave_queue,
            "Start": self._start,
            "Dial": self._dial,
            "Record": self._record,
            "Hangup": self._hang_up,
        }
        number = leg.document
        while leg.up and leg.document == number:
            if not leg.verbs:
                self._falls_off(leg)
                return
            verb = leg.verbs.pop(0)
            if not verbs[verb.tag](leg, verb):
                return

    def _takes(self, leg: Leg, seconds: float) -> bool:
        self.later(leg, seconds, lambda: self._go_on(leg))
        return False

    def _asks(self, leg: Leg, url: str, **more: str) -> bool:
        queue = leg.queue
        if queue is not None:
            place = {"QueueSid": queue.sid, "QueuePosition": "1"}
            more = place | {"QueueTime": str(int(self.agenda.seconds - queue.since))} | more
        self.ask(leg, url, **more)
        return False

    def _falls_off(self, leg: Leg) -> None:
        if leg.queue is not None:
            self._asks(leg, leg.queue.wait_url)  # a wait document begins anew
        else:
            self.complaints.append(f"A document ended in nothing for {leg.to}.")
            self.end_leg(leg)

    def _gather(self, leg: Leg, verb: Element) -> bool:
        spans = {"Say": SAY_SECONDS, "Play": PLAY_SECONDS}
        seconds = sum(spans.get(child.tag, 1.0) for child in verb) + float(verb.get("timeout", "5"))
        leg.key_url = verb.get("action")

        def nothing_pressed() -> None:
            url, leg.key_url = leg.key_url, None
            if verb.get("actionOnEmptyResult") == "true":
                self._asks(leg, url or "", Digits="")
            else:
                self._go_on(leg)

        self.later(leg, seconds, nothing_pressed)
        return False

    def _enqueue(self, leg: Leg, verb: Element) -> bool:
        name = verb.text or ""
        if leg.heard_notice is None and leg.notice:
            leg.heard_notice = self.agenda.seconds
        leg.queue = Queued("QU" + name, verb.attrib["waitUrl"], verb.attrib["action"], self.agenda.seconds, leg.verbs)
        return self._asks(leg, leg.queue.wait_url)

    def _leave_queue(self, leg: Leg, verb: Element) -> bool:
        queue, leg.queue = leg.queue, None
        if queue is None:
            return True
        self.ask(leg, queue.action, QueueResult="leave", QueueSid=queue.sid)
        return False

    def _start(self, leg: Leg, verb: Element) -> bool:
        noun = verb[0]
        if leg.refused is not None and leg.refused < leg.rendered:
            self.complaints.append("A document that was written after the refusal starts a recording.")
        if leg.heard_notice is None:
            self.complaints.append("A recording starts before the notice was heard.")
        self.record(leg, noun.attrib["recordingStatusCallback"], is_message=False)
        return True

    def _dial(self, leg: Leg, verb: Element) -> bool:
        noun = verb[0]
        if noun.tag != "Conference":
            leg.forwarded = True
            return self._takes(leg, 60)
        leg.after_dial = verb.attrib["action"]
        return not self.enter(leg, noun)

    def _record(self, leg: Leg, verb: Element) -> bool:
        if leg.refused is not None and not leg.consented:
            self.complaints.append("A message is taken of a caller who refused and was not asked.")
        sound = self.record(leg, verb.attrib["recordingStatusCallback"], is_message=True)
        if not leg.talkative:
            self.later(leg, float(verb.get("timeout", "5")), lambda: self._said_nothing(leg, sound))
            return False
        leg.message, leg.message_url = sound, verb.attrib["action"]
        self.later(leg, MESSAGE_SECONDS, lambda: self._message_over(leg, sound))
        return False

    def _said_nothing(self, leg: Leg, sound: Sound) -> None:
        self.finish(sound, absent=True)
        self._go_on(leg)

    def _message_over(self, leg: Leg, sound: Sound) -> None:
        leg.message = None
        self.finish(sound)
        self.ask(leg, leg.message_url, RecordingDuration=str(round(self.agenda.seconds - sound.started)))

    def _hang_up(self, leg: Leg, verb: Element) -> bool:
        if leg.is_caller and not leg.words:
            self.complaints.append("A caller was hung up without a word.")
        self.end_leg(leg)
        return False
