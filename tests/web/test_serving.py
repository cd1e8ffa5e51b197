"""The server around the apps: what it does when an answer breaks off."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

SCRIPT = """
import sys
from callcenter import logs, serving

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5000")])
    yield b"x" * 1000
    raise RuntimeError("canary7c41 +447700900777")

logs.configure()
serving.run(app, sys.argv[1], 2)
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server whose answers break off; its port and its log."""
    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as stderr:
        command = [sys.executable, "-c", SCRIPT, f"127.0.0.1:{port}"]
        process = subprocess.Popen(command, stderr=stderr, cwd=ROOT)
        yield port, log
        process.terminate()
        process.wait(timeout=20)


def _ask(port: int) -> bytes:
    """Everything the server sends before it closes the connection."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_an_answer_that_breaks_off_closes_the_connection_and_its_reason_s_text_is_not_logged(
    server: tuple[int, Path],
) -> None:
    port, log = server
    assert _ask(port).endswith(b"x" * 1000)
    text = log.read_text()
    assert '"error": "RuntimeError"' in text
    assert "canary7c41" not in text
    assert "900777" not in text
