"""Every exchange and every complaint, for the inspector page and for tests."""

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from callcenter.simulator.timing import utc_now

_KEPT = 3000
_LONGEST_BODY = 20_000
GIVEN_UP = "not waited for: the call had gone on"
"""Stands for the answer to a request that the carrier itself broke off, as for hold music nobody hears any more."""


@dataclass
class Exchange:
    """One request between simulator and application, or one alert (kind `alert`), as the inspector shows it."""

    id: int
    at: str
    direction: str
    kind: str
    method: str
    url: str
    params: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    milliseconds: int | None = None
    body: str = ""
    call_sid: str | None = None
    event: str | None = None
    error_code: int | None = None
    fault: str | None = None


class Journal:
    """Keeps the last few thousand exchanges. Credentials never get here."""

    def __init__(self) -> None:
        self._next = 1
        self._kept: deque[Exchange] = deque(maxlen=_KEPT)

    def open(self, direction: str, kind: str, method: str, url: str, **more: Any) -> Exchange:
        """Write down a request as it begins; fill in status, time and body afterwards."""
        exchange = Exchange(self._next, utc_now().isoformat(), direction, kind, method, url, **more)
        self._next += 1
        self._kept.append(exchange)
        return exchange

    def close(self, exchange: Exchange, status: int | None, seconds: float, body: str = "") -> None:
        """Fill in how a request ended; status None means that no answer came."""
        exchange.status = status
        exchange.milliseconds = round(seconds * 1000)
        exchange.body = body[:_LONGEST_BODY]

    def alert(self, code: int, message: str, *, call_sid: str | None = None, url: str = "") -> None:
        """Write down a complaint with Twilio's error code."""
        self.open("note", "alert", "", url, body=message, call_sid=call_sid, error_code=code)

    def since(self, after: int = 0) -> list[dict[str, Any]]:
        """Exchanges with a greater id, oldest first."""
        return [asdict(exchange) for exchange in self._kept if exchange.id > after]

    def alerts(self) -> list[dict[str, Any]]:
        """All kept complaints, oldest first."""
        return [asdict(exchange) for exchange in self._kept if exchange.kind == "alert"]

    def clear(self) -> None:
        """Forget everything; ids go on counting."""
        self._kept.clear()
