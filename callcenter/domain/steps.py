"""What a leg should do next, in our own words; ``carrier/twiml.py`` writes it in the carrier's language.

Every URL of a step is derived from the call id and turn by the carrier layer. Texts are ready to be spoken.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Greet:
    """Greeting and recording notice, then into the clinic's queue (``queue_name`` is opaque)."""

    texts: tuple[str, ...]
    queue_name: str


@dataclass(frozen=True)
class Wait:
    """One round in the queue: texts, then ``music`` or not; ``may_refuse`` listens for key 9 meanwhile."""

    texts: tuple[str, ...]
    may_refuse: bool
    music: bool = True


@dataclass(frozen=True)
class LeaveQueue:
    """The caller should not wait any more: leave the queue and ask what is next."""


@dataclass(frozen=True)
class Talk:
    """Join the conference of this turn as the caller. ``recording_id`` None means: do not start a recording."""

    conference_name: str
    recording_id: str | None


@dataclass(frozen=True)
class JoinAsReceptionist:
    """Join the conference of this turn as the receptionist of ``offer_id``."""

    conference_name: str
    offer_id: str


@dataclass(frozen=True)
class AskToRecord:
    """A caller who refused recording is asked to press 1 before a message is recorded (design §2)."""

    text: str


@dataclass(frozen=True)
class TakeMessage:
    """Prompt and record a message into the row ``recording_id``."""

    text: str
    recording_id: str
    max_seconds: int


@dataclass(frozen=True)
class SayAndHangUp:
    """Last words (may be empty) and the end of the leg."""

    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForwardTo:
    """Say ``texts`` and connect to a telephone number: the way out when nothing of ours can serve the caller."""

    texts: tuple[str, ...]
    number: str


@dataclass(frozen=True)
class HoldMusic:
    """What a caller on hold hears."""

    texts: tuple[str, ...] = ()


CallerStep = Greet | Wait | LeaveQueue | Talk | AskToRecord | TakeMessage | SayAndHangUp | ForwardTo
ReceptionistStep = JoinAsReceptionist | SayAndHangUp
Step = CallerStep | ReceptionistStep | HoldMusic
