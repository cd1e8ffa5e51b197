"""What the carrier keeps: legs, queues, conferences, recordings."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from callcenter.simulator.media import Clip
from callcenter.simulator.timing import utc_now

TERMINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


def new_sid(prefix: str) -> str:
    """A SID of Twilio's form: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)


@dataclass
class Hook:
    """Where to send notifications, and which."""

    url: str
    method: str = "POST"
    events: frozenset[str] = frozenset()


@dataclass
class Fetch:
    """A control document to get and run: a URL with extra parameters, or the document itself."""

    url: str
    method: str = "POST"
    params: dict[str, str] = field(default_factory=dict)
    twiml: str | None = None


@dataclass
class Leg:
    """One connection between the carrier and a party. Spans are carrier seconds, stamps are wall clock UTC."""

    direction: str
    from_: str
    to: str
    began: float
    sid: str = field(default_factory=lambda: new_sid("CA"))
    status: str = "queued"
    parent_sid: str | None = None
    number_sid: str | None = None
    fallback: Fetch | None = None
    hook: Hook | None = None
    sip_code: int | None = None
    timeout: float = 60
    created_at: datetime = field(default_factory=utc_now)
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    answered: float | None = None
    ended: float | None = None
    queue_time: int = 0
    sequence: int = 0
    digits: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    listening: bool = False
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    spoken: list[Clip] = field(default_factory=list)
    heard: list[Clip] = field(default_factory=list)
    transcript: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    pressed: str = ""
    queue: "Queue | None" = None
    participant: "Participant | None" = None
    bridged_to: "Leg | None" = None
    takeover: Fetch | None = None
    document: "asyncio.Task[Any] | None" = None
    farewells: list[Fetch] = field(default_factory=list)
    tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)
    requests: "set[asyncio.Task[Any]]" = field(default_factory=set)

    @property
    def live(self) -> bool:
        """Whether the leg has not ended."""
        return self.status not in TERMINAL

    @property
    def identity(self) -> str | None:
        """Identity of the softphone that this leg rings, without custom parameters."""
        return self.to[len("client:") :].partition("?")[0] if self.to.startswith("client:") else None

    def note(self, now: float, event: str, **detail: Any) -> None:
        """Write down an event with its time since the leg was created."""
        self.log.append({"at_seconds": round(now - self.began, 2), "event": event, **detail})

    def hears(self, now: float, kind: str, text: str) -> None:
        """Write down that something began to sound for this party."""
        self.transcript.append({"at_seconds": round(now - self.began, 2), "kind": kind, "text": text})


@dataclass
class QueueMember:
    """A leg waiting in a queue."""

    leg: Leg
    entered: float
    entered_at: datetime = field(default_factory=utc_now)


@dataclass
class Queue:
    """A named queue; positions follow arrival."""

    friendly_name: str
    sid: str = field(default_factory=lambda: new_sid("QU"))
    max_size: int = 1000
    members: list[QueueMember] = field(default_factory=list)
    waits: "deque[float]" = field(default_factory=lambda: deque(maxlen=100))
    created_at: datetime = field(default_factory=utc_now)

    def member(self, call_sid: str) -> QueueMember | None:
        """The waiting leg with this SID; "Front" is whoever is first."""
        if call_sid == "Front":
            return self.members[0] if self.members else None
        return next((member for member in self.members if member.leg.sid == call_sid), None)

    @property
    def average_wait(self) -> int:
        """Mean seconds that those who left have waited."""
        return round(sum(self.waits) / len(self.waits)) if self.waits else 0


@dataclass
class Participant:
    """A leg inside a conference."""

    leg: Leg
    conference: "Conference"
    label: str = ""
    muted: bool = False
    hold: bool = False
    coached_sid: str | None = None
    start_on_enter: bool = True
    end_on_exit: bool = False
    beep: str = "true"
    joined_at: datetime = field(default_factory=utc_now)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    holding: "asyncio.Task[Any] | None" = None


@dataclass
class Conference:
    """A room. Hook and region are those of whoever came first."""

    friendly_name: str
    hook: Hook | None = None
    region: str = "us1"
    max_participants: int = 250
    sid: str = field(default_factory=lambda: new_sid("CF"))
    status: str = "init"
    participants: dict[str, Participant] = field(default_factory=dict)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    sequence: int = 0
    reason_ended: str | None = None
    ended_by_sid: str | None = None
    created_at: datetime = field(default_factory=utc_now)
    updated_at: datetime = field(default_factory=utc_now)

    def find(self, call_sid_or_label: str) -> Participant | None:
        """A participant by CallSid or by label."""
        return self.participants.get(call_sid_or_label) or next(
            (p for p in self.participants.values() if p.label and p.label == call_sid_or_label), None
        )


@dataclass
class Recording:
    """Sound of one leg. `spans` are (from, to or None, how), how: sound, silence or skip."""

    leg: Leg
    source: str
    channels: int
    track: str = "both"
    trim: str = "do-not-trim"
    name: str = ""
    hook: Hook | None = None
    sid: str = field(default_factory=lambda: new_sid("RE"))
    status: str = "in-progress"
    spans: list[tuple[float, float | None, str]] = field(default_factory=list)
    duration: int = -1
    error_code: int | None = None
    file: Path | None = None
    created_at: datetime = field(default_factory=utc_now)
    updated_at: datetime = field(default_factory=utc_now)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def live(self) -> bool:
        """Whether sound may still be added."""
        return self.status in ("in-progress", "paused")
