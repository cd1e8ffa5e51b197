"""Receptionists: presence is what she chose, activity is what we know she does."""

from datetime import datetime, timedelta
from enum import StrEnum


class Role(StrEnum):
    """What a person or key may do (design §6.6)."""

    RECEPTIONIST = "receptionist"
    SUPERVISOR = "supervisor"
    CLINIC_MANAGER = "clinic_manager"
    CLINIC_VIEWER = "clinic_viewer"
    PRIVACY_OFFICER = "privacy_officer"
    OPERATOR = "operator"


class Presence(StrEnum):
    """Chosen by the receptionist, or set for her when she missed an offer."""

    AVAILABLE = "available"
    ON_BREAK = "on_break"
    SIGNED_OUT = "signed_out"


class Activity(StrEnum):
    """Derived from offers and calls, never chosen."""

    IDLE = "idle"
    RINGING = "ringing"
    TALKING = "talking"
    WRAPPING_UP = "wrapping_up"


HEARTBEAT_LAPSES_AFTER_SECONDS = 30
"""Without a heartbeat for this long a softphone is not ringable (twilio-voice §9.3: "registered" proves nothing)."""


def is_reachable(heartbeat_at: datetime | None, now: datetime) -> bool:
    """Whether the softphone has shown a sign of life lately enough to be rung."""
    return heartbeat_at is not None and now - heartbeat_at <= timedelta(seconds=HEARTBEAT_LAPSES_AFTER_SECONDS)
