"""Only the carrier's own word, 404 with its code 20404, is proof that a recording is gone (R6, P33)."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from callcenter.carrier.twilio_client import TwilioCarrier
from callcenter.errors import CarrierNotFound, CarrierRefused
from tests.contracts.carrier_rig import carrier_at

SID, LEG = "RE" + "a" * 32, "CA" + "a" * 32
QUESTIONS: dict[str, Callable[[TwilioCarrier], object]] = {
    "delete": lambda carrier: carrier.delete_recording(SID),
    "fetch": lambda carrier: carrier.recording(SID),
    "list": lambda carrier: carrier.recordings_of(LEG),
    "leg": lambda carrier: carrier.call(LEG),
}


class Server(ThreadingHTTPServer):
    """Refuses everything in the same way."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Refusal)
        self.daemon_threads = True
        self.status, self.body = 404, b""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Refusal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_DELETE = do_GET  # noqa: N815 - the name that the library looks for

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _body(code: int) -> bytes:
    return json.dumps({"code": code, "message": "no", "status": 404}).encode()


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_carriers_own_word_is_proof(server: Server, tmp_path: Path, question: str) -> None:
    server.body = _body(20404)
    with pytest.raises(CarrierNotFound):
        QUESTIONS[question](carrier_at(server.address, "http://127.0.0.1:8000", tmp_path))


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, b"<html>nothing here</html>"),
        (404, b"{}"),
        (404, b"[]"),
        (404, _body(21220)),
        (404, _body(16022)),
        (400, _body(21220)),
        (400, _body(20404)),
    ],
    ids=["empty", "a page", "no code", "a list", "21220", "16022", "400 with 21220", "400 with 20404"],
)
def test_any_other_refusal_proves_nothing(
    server: Server, tmp_path: Path, question: str, status: int, body: bytes
) -> None:
    server.status, server.body = status, body
    with pytest.raises(CarrierRefused):
        QUESTIONS[question](carrier_at(server.address, "http://127.0.0.1:8000", tmp_path))
