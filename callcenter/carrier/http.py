"""How requests reach the carrier: with time limits, to one origin when so configured, and failing in our own words."""

import json
import logging
import math
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response

from callcenter.errors import CarrierError, CarrierNotFound, CarrierRefused, CarrierUnavailable

CONNECT_SECONDS = 3.05
ANSWER_SECONDS = 8.0
TOO_MANY = 429

_silent = logging.getLogger("twilio.http_client")
_silent.setLevel(logging.WARNING)  # below that it writes numbers and addresses


UNKNOWN = 20404
"""With status 404 the carrier's own word that it has no such thing. A 404 without it comes from somewhere else, a proxy
or a wrong address, and is no proof that anything is gone (R6)."""
OVER = frozenset({21220, 16022})
"""Not in progress any more, conference gone: who wants to change it finds it over. It may be there all the same."""
NOT_YET = frozenset({20009, 20162, 20409, 20429})
"""Not finished yet, changed at the same moment, too many at once: the same request succeeds later."""
NOT_FINISHED = 20009
NOT_FINISHED_SECONDS = 60.0
"""The carrier asks for at least a minute before another try (twilio-voice §12)."""


class RestHttpClient(TwilioHttpClient):  # type: ignore[misc] # the library brings no types
    """The library's client with time limits, and with ``origin`` (scheme and host) in place of the carrier's hosts.

    Every failure is raised here in our own words, because the library has three kinds of errors for the same refusal.
    Raises CarrierUnavailable, CarrierNotFound, CarrierRefused; messages name no address and no number.
    """

    def __init__(self, origin: str | None = None) -> None:
        super().__init__(logger=_silent)
        self.timeout = (CONNECT_SECONDS, ANSWER_SECONDS)  # handed on as it is; the constructor takes a single number
        self._origin = origin

    def request(self, method: str, url: str, *args: Any, **more: Any) -> Response:
        """Send a request. ``url`` is the one that the library made."""
        try:
            response = super().request(method, moved_to(self._origin, url), *args, **more)
        except requests.RequestException as error:
            raise unreachable(error) from None
        check_available(response.status_code, response.headers)
        body = _read(response.text)
        if response.status_code >= 400:
            code = body.get("code") if isinstance(body, dict) else None
            raise refusal(response.status_code, code, changing=method.upper() == "POST")
        if response.text and body is None:
            raise CarrierUnavailable("The carrier's answer could not be read.", status=response.status_code)
        return response


def refusal(status: int, code: Any, *, changing: bool) -> CarrierError:
    """What a 4xx with the carrier's own error code means for us. Only a request ``changing`` something may be told that
    it is over; a look-up or a deletion is answered by its being there or not."""
    number = int(code) if str(code or "").isdecimal() else None
    message = f"The carrier refused (status {status}, code {number})."
    if (status == 404 and number == UNKNOWN) or (changing and number in OVER):
        return CarrierNotFound(message, carrier_code=number, status=status)
    if status == 412 or number in NOT_YET:
        wait = NOT_FINISHED_SECONDS if number == NOT_FINISHED else None
        return CarrierUnavailable(
            message, carrier_code=number, status=status, retry_after_seconds=wait, maybe_done=False
        )
    return CarrierRefused(message, carrier_code=number, status=status)


def _read(text: str) -> Any:
    """The JSON of a body, or None."""
    try:
        return json.loads(text)
    except ValueError:
        return None


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
