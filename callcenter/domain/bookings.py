"""Bookings: the words, and the grain that keeps them from overlapping."""

from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.errors import BadInput


class BookingState(StrEnum):
    """A booking is either on or off; moving keeps it booked."""

    BOOKED = "booked"
    CANCELLED = "cancelled"


class LinkAction(StrEnum):
    """What a call did to a booking."""

    BOOKED = "booked"
    MOVED = "moved"
    CANCELLED = "cancelled"
    ENQUIRY = "enquiry"


SLOT_MINUTES = 5
"""Bookings start and last in multiples of this; one row per practitioner and grain makes overlap impossible."""


def occupied_slots(starts_at: datetime, ends_at: datetime) -> list[datetime]:
    """Every grain from start (inclusive) to end (exclusive). Both aware UTC and on the grain."""
    step = timedelta(minutes=SLOT_MINUTES)
    slots = []
    slot = starts_at
    while slot < ends_at:
        slots.append(slot)
        slot += step
    return slots


FURTHEST_AHEAD_DAYS = 730
LATE_ENTRY_MINUTES = 60
"""A booking may be entered this long after it began: the caller is already in the waiting room."""


def check_start(starts_at: datetime, now: datetime) -> None:
    """Raise BadInput when a booking may not begin at this aware time: off the grain, in the past, or too far ahead."""
    if starts_at.tzinfo is None:
        raise BadInput("The start must say its time zone.")
    if starts_at.timestamp() % (SLOT_MINUTES * 60):
        raise BadInput(f"The start must be a whole multiple of {SLOT_MINUTES} minutes.")
    if starts_at < now - timedelta(minutes=LATE_ENTRY_MINUTES):
        raise BadInput("The start must not be in the past.")
    if starts_at > now + timedelta(days=FURTHEST_AHEAD_DAYS):
        raise BadInput(f"The start must be within {FURTHEST_AHEAD_DAYS} days.")
