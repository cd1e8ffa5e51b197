"""What the carrier posts to us, in our own words. The only place that knows the carrier's words.

``read`` keeps an allow-list of parameters (P2) and checks each by a full-match pattern: the signed text joins names and
values without separators, so a valid signature alone does not prove where one ends and the next begins (S3).
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from callcenter.domain.calls import LegState
from callcenter.domain.events import (
    ConferenceEvent,
    ConferenceEventKind,
    IncomingCall,
    LegReport,
    RecordingReport,
    RecordingReportKind,
)
from callcenter.domain.phone_numbers import caller_number
from callcenter.errors import BadInput, Forbidden

_WORD = r"[a-z-]{1,40}"
_COUNT = r"[0-9]{1,9}"
_MOMENT = r"[A-Za-z0-9 ,:+-]{1,40}"
_ALLOWED = {
    name: re.compile(pattern)
    for name, pattern in {
        "AccountSid": r"AC[0-9a-f]{32}",
        "CallSid": r"CA[0-9a-f]{32}",
        "ConferenceSid": r"CF[0-9a-f]{32}",
        "QueueSid": r"QU[0-9a-f]{32}",
        "RecordingSid": r"RE[0-9a-f]{32}",
        # Any text: what it is worth is decided by caller_number and dialled_number.
        "From": r"(?s:.{1,300})",
        "To": r"(?s:.{1,300})",
        "CallStatus": _WORD,
        "CallDuration": _COUNT,
        "SequenceNumber": _COUNT,
        "Timestamp": _MOMENT,
        "StatusCallbackEvent": _WORD,
        "ReasonParticipantLeft": r"[a-z_]{1,60}",
        "QueueTime": _COUNT,
        "QueueResult": _WORD,
        "Digits": r"[0-9A-D#*]{1,32}|hangup",
        "RecordingStatus": _WORD,
        "RecordingDuration": r"-?[0-9]{1,6}",  # -1 while the carrier does not know
        "RecordingChannels": r"[12]",
        "RecordingStartTime": _MOMENT,
        "ErrorCode": r"[0-9]{1,6}",
    }.items()
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")

_LEG_STATES = {
    "queued": LegState.INITIATED,
    "initiated": LegState.INITIATED,
    "ringing": LegState.RINGING,
    "in-progress": LegState.IN_PROGRESS,
    "completed": LegState.COMPLETED,
    "busy": LegState.BUSY,
    "no-answer": LegState.NO_ANSWER,
    "failed": LegState.FAILED,
    "canceled": LegState.CANCELLED,
}
_CONFERENCE_EVENTS = {
    "conference-start": ConferenceEventKind.START,
    "conference-end": ConferenceEventKind.END,
    "participant-join": ConferenceEventKind.JOIN,
    "participant-leave": ConferenceEventKind.LEAVE,
    "participant-hold": ConferenceEventKind.HOLD,
    "participant-unhold": ConferenceEventKind.UNHOLD,
}
_RECORDING_STATES = {
    "in-progress": RecordingReportKind.IN_PROGRESS,
    "completed": RecordingReportKind.COMPLETED,
    "absent": RecordingReportKind.ABSENT,
    "failed": RecordingReportKind.ABSENT,
}

Fields = Mapping[str, str]


class QueueEnd(StrEnum):
    """Why a leg stands in a queue no more."""

    LEFT = "left"
    GONE = "gone"
    FAILED = "failed"


_QUEUE_ENDS = {
    "hangup": QueueEnd.GONE,
    "error": QueueEnd.FAILED,
    "queue-full": QueueEnd.FAILED,
    "system-error": QueueEnd.FAILED,
}


def read(parameters: Iterable[tuple[str, str]], account_sid: str) -> Fields:
    """The parameters we know, checked; empty ones count as absent, unknown ones are dropped.

    Raises Forbidden for what the carrier never sends (a repeated name, one that begins with the digits of the value
    before it, another account) and BadInput for a value that does not fit its pattern; neither names a value.
    """
    fields: dict[str, str] = {}
    seen: set[str] = set()
    misfits = []
    for name, value in parameters:
        if name in seen:
            raise Forbidden("A parameter was sent twice.", code="repeated_parameter")
        if not _NAME.fullmatch(name):
            raise Forbidden("A parameter has no name of the carrier's.", code="malformed_parameter")
        seen.add(name)
        pattern = _ALLOWED.get(name)
        if pattern is None or not value:
            continue
        if pattern.fullmatch(value):
            fields[name] = value
        else:
            misfits.append(name)
    if fields.get("AccountSid") != account_sid:
        raise Forbidden("The request is about another account.", code="foreign_account")
    if misfits:
        raise BadInput(f"The carrier sent {', '.join(misfits)} in a form that we do not know.")
    return fields


def parse_incoming(fields: Fields) -> IncomingCall:
    """A caller's first request. A withheld or unusable caller number becomes None. Raises BadInput."""
    return IncomingCall(
        carrier_call_sid=_required(fields, "CallSid"),
        from_number=caller_number(fields.get("From", "")),
        to_number=dialled_number(fields) or _missing("To"),
    )


def dialled_number(fields: Fields) -> str | None:
    """The clinic's number that a caller dialled, E.164; None on a leg towards a softphone."""
    to = fields.get("To", "")
    return to if _E164.fullmatch(to) else None


def is_answered(fields: Fields) -> bool:
    """Whether somebody has been spoken to on this leg already."""
    return fields.get("CallStatus") == "in-progress"


def parse_call_sid(fields: Fields) -> str:
    """The leg that asks. Raises BadInput."""
    return _required(fields, "CallSid")


def parse_wait(fields: Fields) -> str | None:
    """The carrier's queue; None when the carrier did not say."""
    return fields.get("QueueSid")


def waited_seconds(fields: Fields) -> int:
    """How long this leg has been in the queue, by the carrier's own count."""
    return _count(fields, "QueueTime") or 0


def parse_queue_end(fields: Fields) -> QueueEnd:
    """Why the caller is no longer in the queue; an unknown word counts as having left it."""
    return _QUEUE_ENDS.get(fields.get("QueueResult", ""), QueueEnd.LEFT)


def parse_digits(fields: Fields) -> str:
    """The keys that were pressed, or an empty text."""
    return fields.get("Digits", "")


def parse_record_action(fields: Fields) -> int:
    """How many seconds of message were recorded; 0 when there is none."""
    return max(_count(fields, "RecordingDuration") or 0, 0)


def parse_leg(fields: Fields) -> LegReport | None:
    """A status callback of a leg; None when its status is of no interest. Raises BadInput."""
    sid = _required(fields, "CallSid")
    word = _required(fields, "CallStatus")
    if word not in _LEG_STATES:
        return None
    return LegReport(
        key=":".join(("leg", sid, word, fields.get("SequenceNumber", "-"))),
        carrier_call_sid=sid,
        state=_LEG_STATES[word],
        at=_moment(fields, "Timestamp"),
        duration_seconds=_count(fields, "CallDuration"),
    )


def parse_conference(fields: Fields) -> ConferenceEvent | None:
    """A conference callback; None for events that we do not use. Raises BadInput."""
    sid = _required(fields, "ConferenceSid")
    word = _required(fields, "StatusCallbackEvent")
    if word not in _CONFERENCE_EVENTS:
        return None
    call_sid = fields.get("CallSid")
    return ConferenceEvent(
        key=":".join(("conference", sid, word, call_sid or "-", fields.get("SequenceNumber", "-"))),
        kind=_CONFERENCE_EVENTS[word],
        carrier_conference_sid=sid,
        carrier_call_sid=call_sid,
        at=_moment(fields, "Timestamp"),
        hung_up=fields.get("ReasonParticipantLeft") == "participant_hung_up",
    )


def parse_recording(fields: Fields) -> RecordingReport | None:
    """A recording callback; None for states that we do not use. Raises BadInput."""
    sid = _required(fields, "RecordingSid")
    word = _required(fields, "RecordingStatus")
    if word not in _RECORDING_STATES:
        return None
    seconds = _count(fields, "RecordingDuration")
    return RecordingReport(
        key=":".join(("recording", sid, word)),
        kind=_RECORDING_STATES[word],
        carrier_recording_sid=sid,
        carrier_call_sid=fields.get("CallSid"),
        duration_seconds=seconds if seconds is not None and seconds >= 0 else None,
        channels=_count(fields, "RecordingChannels"),
        started_at=_moment(fields, "RecordingStartTime"),
    )


def leg_state(word: str) -> LegState:
    """The carrier's call status as ours; unknown words count as still under way. Used for look-ups too."""
    return _LEG_STATES.get(word, LegState.INITIATED)


def recording_kind(word: str) -> RecordingReportKind | None:
    """The carrier's recording status as ours; None while its end is not known. Used for look-ups too."""
    return _RECORDING_STATES.get(word)


def _required(fields: Fields, name: str) -> str:
    return fields.get(name) or _missing(name)


def _missing(name: str) -> str:
    raise BadInput(f"The carrier did not send a usable {name}.")


def _count(fields: Fields, name: str) -> int | None:
    value = fields.get(name)
    return None if value is None else int(value)


def _moment(fields: Fields, name: str) -> datetime | None:
    """An RFC 2822 time, aware UTC; None when absent or unreadable, because the event itself still counts."""
    try:
        moment = parsedate_to_datetime(fields[name])
    except (KeyError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
