"""What the carrier tells us, in our own words. ``carrier/callbacks.py`` makes these; services consume them.

Times are aware UTC and may be None where the carrier did not say. ``key`` is unique per event, so that a repeat
is recognised (twilio-voice §13.2).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from callcenter.domain.calls import LegState


@dataclass(frozen=True)
class IncomingCall:
    """A caller's first request. ``from_number`` is E.164, or None when withheld or unusable (twilio-voice §3.3)."""

    carrier_call_sid: str
    from_number: str | None
    to_number: str


@dataclass(frozen=True)
class LegReport:
    """A status callback or a look-up of one leg."""

    key: str
    carrier_call_sid: str
    state: LegState
    at: datetime | None = None
    duration_seconds: int | None = None


class ConferenceEventKind(StrEnum):
    """The conference events we subscribe to and use."""

    START = "start"
    END = "end"
    JOIN = "join"
    LEAVE = "leave"
    HOLD = "hold"
    UNHOLD = "unhold"


@dataclass(frozen=True)
class ConferenceEvent:
    """An event of the conference of one call and turn."""

    key: str
    kind: ConferenceEventKind
    carrier_conference_sid: str
    carrier_call_sid: str | None = None
    at: datetime | None = None
    hung_up: bool = False
    """Of a LEAVE: the participant's own leg ended, not the conference under it."""


class RecordingReportKind(StrEnum):
    """What became of a recording at the carrier."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    ABSENT = "absent"


@dataclass(frozen=True)
class RecordingReport:
    """A recording callback or a look-up."""

    key: str
    kind: RecordingReportKind
    carrier_recording_sid: str
    carrier_call_sid: str | None = None
    duration_seconds: int | None = None
    channels: int | None = None
    started_at: datetime | None = None
