"""Requests that two readers could read differently, sent byte for byte to the processes as they are served (S7, S33).

Behind every ambiguous request hides a harmless second one; were it ever answered, the server would have read the first
one in a way in which somebody in front of it may not.
"""

import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from callcenter import clock
from callcenter.db import create_engine_for, transaction
from tests.campaigns import runs
from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, CLINIC
from tests.databases import SQLiteTemplate
from tests.factories import create_clinic, create_receptionist
from tests.faults.forgery import SIGNATURE, genuine
from tests.ports import free_port

COMMANDS = ("http", "webhooks", "web")
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
POST = "POST /webhooks/voice/incoming HTTP/1.1\r\nHost: 127.0.0.1\r\n"
REFUSED = re.compile(rb"HTTP/1\.1 (4\d\d|501) ")
CALLER_WAITS_SECONDS = 10
"""After 15 s the carrier gives up on us."""


@dataclass
class Server:
    """One of our processes behind its real socket."""

    command: str
    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def says(self, sent: bytes) -> bytes:
        """Everything that is answered until the connection is closed; nothing more is sent meanwhile."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(65536), b""))
            except (ConnectionResetError, BrokenPipeError):
                return b""


@pytest.fixture(scope="module", params=COMMANDS)
def server(
    request: pytest.FixtureRequest, sqlite_template: SQLiteTemplate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A door, a web, and both on one port, each as the process that operators run."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    server = Server(request.param, free_port())
    url = sqlite_template.copy_to(folder / "callcenter.db")
    engine = create_engine_for(url)
    with transaction(engine) as session:
        create_receptionist(session, create_clinic(session, number=CLINIC), heartbeat_at=clock.now())
    engine.dispose()
    ours = {"PUBLIC_BASE_URL": server.base, "DATABASE_URL": url, "CALLCENTER_STATE_DIR": str(folder)}
    ours |= {"TWILIO_ACCOUNT_SID": ACCOUNT_SID, "TWILIO_AUTH_TOKEN": AUTH_TOKEN, "RECORDINGS_URL": f"file://{folder}/r"}
    command = [sys.executable, "-m", "callcenter.cli", server.command, "--bind", f"127.0.0.1:{server.port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | ours, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_until_up(server, folder / "log")
        yield server
        assert requests.get(f"{server.base}/readyz", timeout=60).ok, "it serves others as before"
    finally:
        process.terminate()
        process.wait(30)
    assert b"Traceback" not in (folder / "log").read_bytes()


def _wait_until_up(server: Server, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if requests.get(f"{server.base}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def smuggling(framing: str, body: str = "") -> bytes:
    """A request with these framing headers, and the hidden one behind it."""
    return f"{POST}{framing}\r\n\r\n{body}".encode("latin-1") + HIDDEN


AMBIGUOUS = {
    "both": smuggling("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "both, the other way round": smuggling("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
    "two lengths": smuggling("Content-Length: 5\r\nContent-Length: 0", "xxxxx"),
    "two equal lengths": smuggling("Content-Length: 5\r\nContent-Length: 5", "xxxxx"),
    "a list of lengths": smuggling("Content-Length: 5, 5", "xxxxx"),
    "signed": smuggling("Content-Length: +5", "xxxxx"),
    "negative": smuggling("Content-Length: -5", "xxxxx"),
    "hexadecimal": smuggling("Content-Length: 0x5", "xxxxx"),
    "with underscore": smuggling("Content-Length: 1_0", "xxxxxxxxxx"),
    "with a space inside": smuggling("Content-Length: 1 0", "xxxxxxxxxx"),
    "other digits": smuggling("Content-Length: \xb2", "xx"),
    "a fraction": smuggling("Content-Length: 5.0", "xxxxx"),
    "an exponent": smuggling("Content-Length: 1e1", "xxxxxxxxxx"),
    "no number": smuggling("Content-Length: ", ""),
    "a huge number": smuggling("Content-Length: " + "9" * 40, ""),
    "space before the colon": smuggling("Content-Length : 5", "xxxxx"),
    "tab before the name": smuggling("X: 1\r\n\tContent-Length: 5", "xxxxx"),
    "chunked": smuggling("Transfer-Encoding: chunked", "0\r\n\r\n"),
    "chunked with extensions": smuggling("Transfer-Encoding: chunked", "0;x=y\r\n\r\n"),
    "chunked with a trailer": smuggling("Transfer-Encoding: chunked", "0\r\nContent-Length: 5\r\n\r\n"),
    "a coding that nobody knows": smuggling("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    "two codings": smuggling("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    "two coding headers": smuggling("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "a coding in a strange space": smuggling("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    "a coding before its colon": smuggling("Transfer-Encoding : chunked", "0\r\n\r\n"),
    "a folded coding": smuggling("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
    "a bare CR": smuggling("X: a\rTransfer-Encoding: chunked", "0\r\n\r\n"),
    "a bare LF": smuggling("X: a\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "a NUL in a value": smuggling("X: a\x00b"),
    "a NUL in a name": smuggling("X\x00: a"),
    "a space in a name": smuggling("X y: a"),
    "no name": smuggling(": a"),
    "no colon": smuggling("nonsense"),
    "a letter beyond ASCII in a name": smuggling("X\xe4: a"),
    "a NUL in the target": b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "a space in the target": b"GET / /x HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "an unknown version": b"GET / HTTP/9.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "no version": b"GET /\r\n\r\n" + HIDDEN,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "no method": b" / HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "a strange method": b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "a method in lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "lines that end in LF": POST.replace("\r", "").encode() + b"Content-Length: 0\n\n",
    "an expectation": smuggling("Content-Length: 5\r\nExpect: the-unexpected", "xxxxx"),
    "a line that is too long": b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "a header that is too long": smuggling("X: " + "y" * 9000),
    "too many headers": smuggling("\r\n".join(f"X{number}: y" for number in range(100))),
    "a head that never ends": POST.encode() + b"X: y\r\n" * 20_000,
    "a body that is too large": smuggling(f"Content-Length: {64 * 1024 + 1}"),
    "a body that is announced and never sent": f"{POST}Content-Length: 100\r\n\r\n".encode() + HIDDEN,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_not_read_at_all(server: Server, name: str) -> None:
    answer = server.says(AMBIGUOUS[name])
    assert answer == b"" or REFUSED.match(answer), answer[:300]
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert b" 200 " not in answer


def test_the_hidden_request_would_be_seen(server: Server) -> None:
    two = POST.encode() + b"Content-Length: 5\r\n\r\nxxxxx" + HIDDEN
    assert [line[9:12] for line in re.findall(rb"HTTP/1\.1 \d{3}", server.says(two))][1:] == [b"200"]


LINES = [
    *(f"Content-Length: {value}" for value in ("0", "5", "+5", "05", "5,5", "0x5", "-1", "٥", "5 5", "")),
    *(f"Transfer-Encoding: {value}" for value in ("chunked", "identity", "xchunked", "chunked,chunked", "", "gzip")),
    *("Content-Length : 5", " Content-Length: 5", "content-length:5", "Content_Length: 5", "Content-Length\t: 5"),
    *("transfer-encoding:chunked", "Transfer_Encoding: chunked", "X: y\r\n folded", "X: \x00", "X-Plain: y"),
    *("Connection: close, Content-Length", "Connection: keep-alive", "Upgrade: h2c", "Host: 127.0.0.1"),
]
FRAMING = ("content-length", "transfer-encoding")
BODIES = ["", "xxxxx", "0\r\n\r\n", "5\r\nxxxxx\r\n0\r\n\r\n"]


def is_plain(lines: list[str]) -> bool:
    """Whether nobody can be of two minds about where the request with these lines ends."""
    heads = [line.partition(":") for line in lines]
    framing = [(name, value) for name, _, value in heads if name.strip().lower() in FRAMING]
    odd = len(framing) > 1 or any("\x00" in line or "\r\n" in line or line != line.strip() for line in lines)
    return not odd and all(
        name.lower() == "content-length" and value.strip().isascii() and value.strip().isdecimal()
        for name, value in framing
    )


@pytest.mark.campaign
def test_no_mixture_of_framings_brings_a_hidden_request_through(server: Server, figures: Callable[..., None]) -> None:
    sent = plain = 0
    for seed in range(runs(150, 5_000)):
        dice = random.Random(seed)
        lines = dice.sample(LINES, dice.randrange(1, 4))
        answer = server.says(smuggling("\r\n".join(lines).encode().decode("latin-1"), dice.choice(BODIES)))
        sent, plain = sent + 1, plain + is_plain(lines)
        assert is_plain(lines) or b" 200 " not in answer, (seed, lines, answer)
        assert b" 500 " not in answer, (seed, lines)
    figures(requests=sent, unambiguous=plain, smuggled=0)


SLOW = {
    "silent": b"",
    "half a line": b"POST /webhooks/voice/inc",
    "half a head": POST.encode() + b"X-Half: a",
    "half a body": POST.encode() + b"Content-Length: 100\r\n\r\nx",
    "a lie about the length": POST.encode() + b"Content-Length: 100000000\r\n\r\nx",
    "answers that nobody takes": (POST.encode() + b"Content-Length: 0\r\n\r\n") * 50,
}


@pytest.mark.campaign
def test_callers_are_answered_while_others_dawdle(server: Server, figures: Callable[..., None]) -> None:
    if server.command == "web":
        return
    rings = {"AccountSid": ACCOUNT_SID, "CallSid": "CA" + "c" * 32, "To": CLINIC, "From": "anonymous"}
    request = genuine("/webhooks/voice/incoming", rings, AUTH_TOKEN, server.base)
    headers = {"Content-Type": request.content_type, SIGNATURE: request.signature}
    slowest = 0.0
    with ExitStack() as dawdlers:
        for _ in range(runs(30, 100)):
            for sent in SLOW.values():
                connection = dawdlers.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                connection.sendall(sent)
        for _ in range(10):
            started = time.monotonic()
            answer = requests.post(server.base + request.target, request.body, headers=headers, timeout=60)
            slowest = max(slowest, time.monotonic() - started)
            assert (answer.status_code, b"<Enqueue" in answer.content) == (200, True)
    assert slowest < CALLER_WAITS_SECONDS
    figures(dawdlers=runs(30, 100) * len(SLOW), slowest_answer_seconds=round(slowest, 3))
