"""What there is at the carrier in virtual time: legs, their places in queues, rooms, recordings. All times are seconds
since the start."""

from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from callcenter.domain.calls import LegState

STATUS = "/webhooks/voice/status"


@dataclass(eq=False)
class Queued:
    """A leg's place in a queue, and the document that goes on after it."""

    sid: str
    wait_url: str
    action: str
    since: float
    after: list[Element]


@dataclass(eq=False)
class Leg:
    """A connection. ``document`` counts the documents it was given: what an older one wanted is void."""

    sid: str
    caller: str
    to: str
    started: float
    identity: str | None = None
    status_url: str = STATUS
    answer_url: str = ""
    talkative: bool = True
    state: LegState = LegState.IN_PROGRESS
    ended: float | None = None
    changed: float = 0.0
    before: LegState = LegState.INITIATED
    sequence: int = -1
    document: int = 0
    rendered: float = 0.0
    verbs: list[Element] = field(default_factory=list)
    words: bool = False
    notice: bool = False
    queue: Queued | None = None
    room: "Room | None" = None
    after_dial: str = ""
    key_url: str | None = None
    message: "Sound | None" = None
    message_url: str = ""
    heard_notice: float | None = None
    refused: float | None = None
    consented: bool = False
    alone_since: float | None = None
    talked: float = 0.0
    forwarded: bool = False

    @property
    def up(self) -> bool:
        return self.ended is None

    @property
    def is_caller(self) -> bool:
        return self.identity is None


@dataclass(eq=False)
class Room:
    """A conference; it ends with its caller, or when it is empty."""

    sid: str
    name: str
    status_url: str
    legs: list[Leg] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    started: bool = False
    ended: bool = False
    sequence: int = 0
    together_since: float | None = None


@dataclass(eq=False)
class Sound:
    """A recording of a leg."""

    sid: str
    leg: Leg
    url: str
    started: float
    is_message: bool
    ended: float | None = None
    paused: bool = False
    absent: bool = False
