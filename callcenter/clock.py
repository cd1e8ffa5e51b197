"""The only reader of the clock. Everything else takes time as an argument or calls ``now``."""

import time
from datetime import UTC, datetime, timedelta

_offset = timedelta(0)


def set_offset(seconds: float) -> None:
    """Shift this process's clock by ``seconds`` (development only, CALLCENTER_CLOCK_OFFSET_SECONDS)."""
    global _offset  # noqa: PLW0603 - one clock per process is the point of this module
    _offset = timedelta(seconds=seconds)


def offset() -> timedelta:
    """The shift that ``now`` adds to the host's clock."""
    return _offset


def host_now() -> datetime:
    """The host's own time, aware UTC, without the development offset (used to compare host and database)."""
    return datetime.now(UTC)


def now() -> datetime:
    """The time this process works with, aware UTC."""
    return host_now() + _offset


def monotonic_seconds() -> float:
    """Seconds that never jump, for measuring spans inside one process."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Let real time pass (processes that poll)."""
    time.sleep(seconds)
