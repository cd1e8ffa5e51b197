"""Bookings: the words, and the grain that keeps them from overlapping."""

from datetime import datetime, timedelta
from enum import StrEnum


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
