"""What a call is and how it may change: states, outcomes, and the one function that decides an outcome."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class CallState(StrEnum):
    """A call as the clinic sees it. ``ended`` is terminal; connected → queued only with the next turn."""

    RINGING = "ringing"
    QUEUED = "queued"
    CONNECTED = "connected"
    LEAVING_MESSAGE = "leaving_message"
    ENDED = "ended"


LIVE_CALL_STATES = (CallState.RINGING, CallState.QUEUED, CallState.CONNECTED, CallState.LEAVING_MESSAGE)


class Outcome(StrEnum):
    """How a call ended; null while it is live."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    SHORT_ABANDONED = "short_abandoned"
    MESSAGE_LEFT = "message_left"
    CALLBACK_REQUESTED = "callback_requested"
    CLOSED = "closed"
    BLOCKED = "blocked"
    FAILED = "failed"


class EndedBy(StrEnum):
    """Who ended the call."""

    CALLER = "caller"
    RECEPTIONIST = "receptionist"
    SYSTEM = "system"
    CARRIER = "carrier"


class HoldState(StrEnum):
    """``held`` only after the carrier has confirmed it."""

    NONE = "none"
    REQUESTED = "requested"
    HELD = "held"
    FAILED = "failed"


class LegRole(StrEnum):
    """Whose connection a leg is."""

    CALLER = "caller"
    RECEPTIONIST = "receptionist"
    TRANSFER_TARGET = "transfer_target"
    SUPERVISOR = "supervisor"


class LegState(StrEnum):
    """One connection at the carrier."""

    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED_LEG_STATES = (LegState.COMPLETED, LegState.BUSY, LegState.NO_ANSWER, LegState.FAILED, LegState.CANCELLED)
_LEG_RANK = {LegState.INITIATED: 0, LegState.RINGING: 1, LegState.IN_PROGRESS: 2}


class OfferState(StrEnum):
    """One attempt to ring one receptionist for one call and turn."""

    PENDING = "pending"
    RINGING = "ringing"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    MISSED = "missed"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"


OPEN_OFFER_STATES = (OfferState.PENDING, OfferState.RINGING)


class OfferReason(StrEnum):
    """Why an offer ended without a talk."""

    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    CALLER_GONE = "caller_gone"
    TAKEN = "taken"
    OVERFLOW = "overflow"
    CARRIER_ERROR = "carrier_error"


class Disposition(StrEnum):
    """The typed result of a call without a booking link; the last three can only come from links."""

    ENQUIRY = "enquiry"
    MESSAGE_TAKEN = "message_taken"
    TRANSFERRED = "transferred"
    WRONG_NUMBER = "wrong_number"
    EMERGENCY_REDIRECTED = "emergency_redirected"
    OTHER = "other"
    BOOKED = "booked"
    MOVED = "moved"
    CANCELLED = "cancelled"


LINK_DISPOSITIONS = (Disposition.BOOKED, Disposition.MOVED, Disposition.CANCELLED)

UNREACHABLE_WITHIN_SECONDS = 2
"""A leg that ends unanswered faster than this never rang anybody (twilio-voice §9.3): not the receptionist's fault."""

JOIN_WITHIN_SECONDS = 5
"""The caller must have joined the conference this long after an offer was accepted (design §4.5)."""


def next_leg_state(present: LegState, reported: LegState) -> LegState:
    """The leg's state after a report that may be late or repeated: terminal is absorbing, rank never falls."""
    if present in ENDED_LEG_STATES:
        return present
    if reported in ENDED_LEG_STATES or _LEG_RANK[reported] > _LEG_RANK[present]:
        return reported
    return present


@dataclass(frozen=True)
class OutcomeFacts:
    """What is known of a call that has ended; every field can be filled in any order."""

    connected_at: datetime | None
    queued_at: datetime | None
    ended_at: datetime
    message_recorded: bool
    clinic_was_closed: bool
    failed: bool = False


def decide_outcome(facts: OutcomeFacts, *, short_abandon_seconds: int) -> Outcome:
    """The one outcome of an ended call. Depends on facts only, so events may arrive in any order.

    A caller who left within ``short_abandon_seconds`` of being queued (or before) did not give us a chance.
    """
    if facts.connected_at is not None:
        return Outcome.ANSWERED
    if facts.message_recorded:
        return Outcome.MESSAGE_LEFT
    if facts.clinic_was_closed:
        return Outcome.CLOSED
    if facts.failed:
        return Outcome.FAILED
    waited = facts.ended_at - facts.queued_at if facts.queued_at else timedelta(0)
    if waited < timedelta(seconds=short_abandon_seconds):
        return Outcome.SHORT_ABANDONED
    return Outcome.ABANDONED
