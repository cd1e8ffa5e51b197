"""The simulator's own sense of time: spans can run faster than the wall, stamps never do."""

import asyncio
import time
from datetime import UTC, datetime
from email.utils import format_datetime


class Clock:
    """Carrier seconds since start. With speed 10, ten carrier seconds pass in one second of the wall clock.

    Only spans (audio, ring times, waits, durations) are scaled; time stamps stay true, so that an application
    under test never sees a date in the future.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._began = time.monotonic()

    def now(self) -> float:
        """Carrier seconds since the simulator started."""
        return (time.monotonic() - self._began) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so many carrier seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def real(self, seconds: float) -> float:
        """Wall-clock seconds for a span of carrier seconds."""
        return max(0.0, seconds) / self.speed


def utc_now() -> datetime:
    """Wall-clock time, aware UTC."""
    return datetime.now(UTC)


def rfc2822(at: datetime | None) -> str | None:
    """The date form of Twilio's REST API and callbacks; None stays None."""
    return None if at is None else format_datetime(at)
