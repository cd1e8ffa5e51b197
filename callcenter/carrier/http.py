"""How requests reach the carrier: with time limits, to one origin when so configured, and failing in our own words."""

import logging
import math
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response

from callcenter.errors import CarrierUnavailable

CONNECT_SECONDS = 3.05
ANSWER_SECONDS = 8.0
TOO_MANY = 429

_silent = logging.getLogger("twilio.http_client")
_silent.setLevel(logging.WARNING)  # below that it writes numbers and addresses


class RestHttpClient(TwilioHttpClient):  # type: ignore[misc] # the library brings no types
    """The library's client with time limits, and with ``origin`` (scheme and host) in place of the carrier's hosts.

    Raises CarrierUnavailable for 429, 5xx, timeouts and broken connections; other refusals go back to the library.
    """

    def __init__(self, origin: str | None = None) -> None:
        super().__init__(timeout=(CONNECT_SECONDS, ANSWER_SECONDS), logger=_silent)
        self._origin = origin

    def request(self, method: str, url: str, *args: Any, **more: Any) -> Response:
        """Send a request. ``url`` is the one that the library made."""
        try:
            response = super().request(method, moved_to(self._origin, url), *args, **more)
        except requests.RequestException as error:
            raise unreachable(error) from None
        check_available(response.status_code, response.headers)
        return response


def moved_to(origin: str | None, url: str) -> str:
    """The URL at another scheme and host; unchanged when ``origin`` is None."""
    if origin is None:
        return url
    wanted, parts = urlsplit(origin), urlsplit(url)
    return urlunsplit((wanted.scheme, wanted.netloc, parts.path, parts.query, ""))


def unreachable(error: requests.RequestException) -> CarrierUnavailable:
    """What a failed connection means. Only one that was never made has certainly done nothing."""
    never_sent = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error)
    return CarrierUnavailable(f"The carrier could not be reached ({type(error).__name__}).", maybe_done=not never_sent)


def check_available(status: int, headers: Any) -> None:
    """Raise CarrierUnavailable for 429, which was certainly not processed, and for 5xx, which may have been."""
    if status == TOO_MANY:
        raise CarrierUnavailable(
            "The carrier asks us to slow down.",
            status=status,
            retry_after_seconds=_seconds(headers.get("Retry-After")),
            maybe_done=False,
        )
    if status >= 500:
        raise CarrierUnavailable(
            f"The carrier answered {status}.", status=status, retry_after_seconds=_seconds(headers.get("Retry-After"))
        )


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header; dates and nonsense count as absent."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
