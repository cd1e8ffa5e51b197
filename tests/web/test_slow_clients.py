"""Slow clients cost no thread: whoever sends or reads slowly, callers are answered (S33). Raw sockets on loopback."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port

SCRIPT = """
import sys
from callcenter import logs, serving
from callcenter.serving import worker

worker.REQUEST_SECONDS = 3.0

def door(environ, start_response):
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Length", str(len(str(size))))])
    return [str(size).encode()]

def web(environ, start_response):
    start_response("200 OK", [("Content-Length", str(200 * 1024 * 1024))])
    for _ in range(200):
        yield b"x" * 1024 * 1024

logs.configure()
serving.run(serving.by_path(door, web), sys.argv[1], int(sys.argv[2]))
"""
ROOT = Path(__file__).parents[2]
POST = b"POST /webhooks/voice HTTP/1.1\r\nHost: x\r\n"
CONNECTIONS = 60


@contextmanager
def serving(log: Path, threads: int) -> Iterator[int]:
    """A server with both apps; its port."""
    port = free_port()
    with log.open("w") as stderr:
        command = [sys.executable, "-c", SCRIPT, f"127.0.0.1:{port}", str(threads)]
        with subprocess.Popen(command, stderr=stderr, cwd=ROOT) as process:
            try:
                _wait_for(lambda: socket.create_connection(("127.0.0.1", port), timeout=10).close())
                yield port
            finally:
                process.terminate()
                process.wait(timeout=25)


def _wait_for(attempt: Callable[[], None]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return attempt()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with very few threads."""
    with serving(tmp_path_factory.mktemp("slow") / "log", 2) as port:
        yield port


def seconds_of_a_call(port: int) -> float:
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/webhooks/voice", b"x" * 1000)
    assert connection.getresponse().read() == b"1000"
    connection.close()
    return time.monotonic() - started


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /webhooks/voice HT",
        POST + b"X-Half: a header",
        POST + b"Content-Length: 100\r\n\r\nx",
        POST + b"Content-Length: 100000000\r\n\r\nx",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nxx",
        POST + b"Content-Length: 1\r\nConnection: close\r\n\r\nx",
        POST + b"Content-Length: 1\r\n\r\nx",
        POST + b"Content-Length: 1\r\n\r\nx" + POST,
    ],
    ids=["silent", "half line", "half head", "half body", "too much", "chunks", "stays", "kept", "half of a second"],
)
def test_a_call_is_answered_at_once_while_others_send_slowly(port: int, sent: bytes) -> None:
    with ExitStack() as slow:
        for _ in range(CONNECTIONS):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(sent)
        time.sleep(0.2)
        assert seconds_of_a_call(port) < 1
        time.sleep(1)  # nor when the others' answers have been sent
        assert seconds_of_a_call(port) < 1


def test_a_request_that_trickles_in_is_given_up_on(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n")
        started = time.monotonic()
        while time.monotonic() - started < 15:
            try:
                connection.sendall(b"x")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert 2 < time.monotonic() - started < 8


def test_a_request_in_pieces_is_answered_and_so_is_the_next_on_its_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for length in (3, 4):
            for piece in (POST[:9], POST[9:] + b"content-LENGTH:  %d\r" % length, b"\n\r", b"\n" + b"y" * (length - 1)):
                connection.sendall(piece)
                time.sleep(0.05)
            connection.sendall(b"z")
            answer = b""
            while not answer.endswith(b"\r\n\r\n%d" % length):
                more = connection.recv(4096)
                assert more, answer
                answer += more


def test_requests_sent_in_one_go_are_answered_one_after_the_other(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall((POST + b"Content-Length: 2\r\n\r\nxx") * 2 + POST + b"Connection: close\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answers.count(b"HTTP/1.1 200") == 3


def test_a_body_without_a_length_is_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 411")


def test_callers_are_answered_while_downloads_hang(tmp_path: Path) -> None:
    download = b"GET /api/v1/recordings/1/audio HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(tmp_path / "log", 24) as port, ExitStack() as slow:
        first = []
        for _ in range(40):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(download)
            first.append(connection.recv(12))
        assert first.count(b"HTTP/1.1 200") == 12
        assert first.count(b"HTTP/1.1 503") == 28
        assert seconds_of_a_call(port) < 1
        slow.close()
        _wait_for_a_place(port, download)


def _wait_for_a_place(port: int, download: bytes) -> None:
    """Places are given back when a download ends, however it ends."""
    deadline = time.monotonic() + 10
    status = b""
    while status != b"HTTP/1.1 200":
        assert time.monotonic() < deadline
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(download)
            status = connection.recv(12)
