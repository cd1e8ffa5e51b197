"""When a recording may be heard and when it must go. Nobody else does maths with retention days (R10)."""

from datetime import datetime, timedelta

from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.errors import BadInput

SHORTEST_DAYS = 1
LONGEST_DAYS = 365
DAY_SECONDS = 86_400

BRAKE_COUNT = 50
BRAKE_PERCENT = 20
"""R11: a sweep that would delete more than the larger of both from one clinic stops and asks."""
BRAKE_JUMP_SECONDS = 1800
"""A clock that moved this much further than real time did is not believed. R11 says an hour; the most common mistake is
exactly one hour (F22)."""


def check_days(days: object) -> int:
    """Retention as a whole number of days from 1 to 365 (P27), or BadInput. Digits in a string are accepted."""
    number = int(days) if isinstance(days, str) and days.isascii() and days.isdigit() else days
    if isinstance(number, bool) or not isinstance(number, int) or not SHORTEST_DAYS <= number <= LONGEST_DAYS:
        raise BadInput(f"The retention period must be a whole number of days from {SHORTEST_DAYS} to {LONGEST_DAYS}.")
    return number


def expires_at(from_at: datetime, days: int) -> datetime:
    """``days`` × 86,400 s after ``from_at`` (aware UTC): no calendar, no time zone, no second reading (R10)."""
    return from_at + timedelta(seconds=days * DAY_SECONDS)


def is_audible(state: RecordingState, expires_at: datetime, now: datetime, *, purge_wanted: bool = False) -> bool:
    """Whether any route may serve the audio at ``now`` (P28, R1): never from the instant of expiry on, whether or not
    it was purged. A legal hold keeps the bytes; it does not make them audible again."""
    return state == RecordingState.STORED and not purge_wanted and now < expires_at


def is_due(
    state: RecordingState, expires_at: datetime, now: datetime, *, held: bool = False, purge_wanted: bool = False
) -> bool:
    """Whether the recording must be purged: it has expired, or its early deletion is wanted and it is not running any
    more. Never while it is held (P30)."""
    if held or state == RecordingState.PURGED:
        return False
    return now >= expires_at or (purge_wanted and state not in LIVE_RECORDING_STATES)


def brakes(due: int, of_all: int) -> bool:
    """Whether deleting ``due`` of a clinic's ``of_all`` recordings at once is too much to do unasked (R11)."""
    return due > max(BRAKE_COUNT, of_all * BRAKE_PERCENT / 100)
