"""Downloads from a server that does not mean well: redirects, wrong types, wrong lengths (S9, S10, S11)."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from callcenter.carrier.media import LARGEST_BYTES, may_follow
from callcenter.errors import CarrierError, CarrierNotFound, CarrierRefused, CarrierUnavailable
from tests.contracts.carrier_rig import carrier_at

SID = "RE" + "a" * 32
HOSTS = frozenset({"media.twiliocdn.com"})


class Server(ThreadingHTTPServer):
    """Answers every download with the same status, headers and body, and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.daemon_threads = True
        self.status, self.headers, self.body = 200, {"Content-Type": "audio/x-wav"}, b"RIFF"
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(self.path)
        self.send_response(server.status)
        for name, value in ({"Content-Length": str(len(server.body))} | server.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(server: Server, folder: Path, sid: str = SID) -> bytes:
    carrier = carrier_at(server.address, "http://127.0.0.1:8000", folder)
    return b"".join(carrier.open_media(sid, channels=2).chunks)


def test_the_address_is_made_of_our_account_and_the_sid(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path) == b"RIFF"
    (path,) = server.asked
    assert path == f"/2010-04-01/Accounts/AC{'a' * 32}/Recordings/{SID}.wav?RequestedChannels=2"


@pytest.mark.parametrize("sid", ["../../etc/passwd", "RE" + "A" * 32, SID + "/..", "", "CA" + "a" * 32])
def test_only_the_sid_of_a_recording_is_asked_for(server: Server, tmp_path: Path, sid: str) -> None:
    with pytest.raises(CarrierRefused):
        fetch(server, tmp_path, sid)
    assert server.asked == []


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (200, {"Content-Type": "application/xml"}, CarrierUnavailable),
        (200, {"Content-Type": "text/html"}, CarrierUnavailable),
        (200, {"Content-Type": "audio/wav", "Content-Length": str(LARGEST_BYTES + 1)}, CarrierRefused),
        (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, CarrierRefused),
        (302, {"Location": "https://evil.example/x.wav"}, CarrierRefused),
        (301, {}, CarrierRefused),
        (401, {"Content-Type": "audio/wav"}, CarrierRefused),
        (404, {"Content-Type": "audio/wav"}, CarrierNotFound),
        (429, {"Retry-After": "2"}, CarrierUnavailable),
        (503, {}, CarrierUnavailable),
    ],
)
def test_what_is_not_a_recording_is_an_error_and_never_audio(
    server: Server, tmp_path: Path, status: int, headers: dict[str, str], error: type[CarrierError]
) -> None:
    server.status, server.headers = status, headers
    with pytest.raises(error):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("url", "followed"),
    [
        ("https://media.twiliocdn.com/AC1/RE1.wav?x=1", True),
        ("http://media.twiliocdn.com/x", False),
        ("https://media.twiliocdn.com.evil.example/x", False),
        ("https://media.twiliocdn.com@evil.example/x", False),
        ("https://user:secret@media.twiliocdn.com/x", False),
        ("https://media.twiliocdn.com\\@evil.example/x", False),
        ("https://media.twiliocdn.com./x", False),
        ("https://media.twiliocdn.com:8443/x", False),
        ("https://evil.example/media.twiliocdn.com/x", False),
        ("https://MEDIA.twiliocdn.com/x", False),
        ("https://media.twiliocdn.com/x\r\nHost: evil.example", False),
        ("//media.twiliocdn.com/x", False),
        ("", False),
    ],
)
def test_a_redirect_is_followed_only_to_exactly_a_host_on_the_list(url: str, followed: bool) -> None:
    assert may_follow(url, HOSTS) is followed
