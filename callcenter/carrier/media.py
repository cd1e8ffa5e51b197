"""Downloads of recordings: from an address that we build ourselves, as a stream (S9, S10)."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from callcenter.carrier.http import CONNECT_SECONDS, check_available, unreachable
from callcenter.config import Settings
from callcenter.errors import CarrierNotFound, CarrierRefused, CarrierUnavailable
from callcenter.logs import log
from callcenter.ports import Media

CHUNK_BYTES = 64 * 1024
STALL_SECONDS = 20.0
LARGEST_BYTES = 2 * 1024**3
"""Beyond the longest call of the carrier (4 h on two channels); more is not a recording."""
CHANNELS_NOT_AVAILABLE = 16113
_SID = re.compile(r"RE[0-9a-f]{32}")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class MediaDownload:
    """Opens recordings with the credentials of ``settings``."""

    def __init__(self, settings: Settings) -> None:
        region, edge = settings.twilio_region, settings.twilio_edge
        self._origin = (settings.twilio_api_base_url or "").rstrip("/") or f"https://api.{edge}.{region}.twilio.com"
        self._account = settings.twilio_account_sid
        self._credentials = (settings.twilio_rest_key_sid, settings.twilio_rest_key_secret)
        self._redirect_hosts = frozenset({"media.twiliocdn.com", f"media.{edge}.{region}.twilio.com"})
        self._session = requests.Session()

    def open(self, carrier_recording_sid: str, *, channels: int) -> Media:
        """Start the download as WAV, on one channel when two are not available.

        Raises CarrierNotFound (404: not there yet, or deleted), CarrierUnavailable (also for a body that is not audio),
        CarrierRefused.
        """
        response = self._get(carrier_recording_sid, channels)
        if response.status_code == 400 and channels > 1 and _error_code(response) == CHANNELS_NOT_AVAILABLE:
            response.close()
            return self.open(carrier_recording_sid, channels=1)
        try:
            size = _size_of_audio(response)
        except Exception:
            response.close()
            raise
        return Media(size_bytes=size, channels=channels, chunks=_chunks(response))

    def _get(self, sid: str, channels: int) -> requests.Response:
        if not _SID.fullmatch(sid):
            raise CarrierRefused("That is not the SID of a recording.")
        url = f"{self._origin}/2010-04-01/Accounts/{self._account}/Recordings/{sid}.wav?RequestedChannels={channels}"
        response = self._ask(url, self._credentials)
        if response.status_code not in _REDIRECTS:
            return response
        target = response.headers.get("Location", "")
        response.close()
        if not may_follow(target, self._redirect_hosts):
            log("carrier").error("redirect_refused", step="media")
            raise CarrierRefused("The carrier sent the download to a place that is not on our list.")
        return self._ask(target, None)

    def _ask(self, url: str, credentials: tuple[str, str] | None) -> requests.Response:
        try:
            return self._session.get(
                url,
                auth=credentials,
                headers={"Accept": "audio/*", "Accept-Encoding": "identity"},
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, STALL_SECONDS),
            )
        except requests.RequestException as error:
            raise unreachable(error) from None


def may_follow(url: str, hosts: frozenset[str]) -> bool:
    """Whether a redirect leads, over https and without credentials or port, to exactly one of ``hosts`` (S10, S11)."""
    if not re.fullmatch(r"https://[a-z0-9.-]+/[!-\[\]-~]*", url):
        return False
    return urlsplit(url).netloc in hosts


def _size_of_audio(response: requests.Response) -> int:
    status = response.status_code
    check_available(status, response.headers)
    if status == 404:
        raise CarrierNotFound("The carrier has no such recording.", status=status)
    if status != 200:
        raise CarrierRefused(
            f"The carrier answered {status} to a download.", carrier_code=_error_code(response), status=status
        )
    if not response.headers.get("Content-Type", "").startswith("audio/"):
        raise CarrierUnavailable("The carrier sent something that is not audio.", status=status)
    length = response.headers.get("Content-Length", "")
    if not length.isascii() or not length.isdigit():
        raise CarrierUnavailable("The carrier did not say how long the recording is.", status=status)
    if int(length) > LARGEST_BYTES:
        raise CarrierRefused("The carrier sent more than any recording can have.", status=status)
    return int(length)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body once; a connection that breaks in between raises CarrierUnavailable."""
    try:
        with response:
            yield from response.iter_content(CHUNK_BYTES)
    except requests.RequestException as error:
        raise unreachable(error) from None


def _error_code(response: requests.Response) -> int | None:
    """The carrier's own error number in a refusal, read from a body of sane length."""
    try:
        body = response.raw.read(CHUNK_BYTES, decode_content=True)
        found = re.search(rb'"code"\s*:\s*([0-9]{1,6})', body)
    except (OSError, requests.RequestException):
        return None
    return int(found[1]) if found else None
