"""The door as it is served: a process of its own behind real sockets, called by the simulated carrier."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from twilio.request_validator import RequestValidator

from callcenter import clock
from callcenter.db import create_engine_for, transaction
from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, CLINIC, simulator
from tests.databases import SQLiteTemplate
from tests.factories import create_clinic, create_receptionist
from tests.ports import free_port

FORM = {"AccountSid": ACCOUNT_SID, "CallSid": "CA" + "c" * 32, "From": "anonymous", "To": CLINIC}
INCOMING = "/webhooks/voice/incoming"
START = "import sys; from webhooks.cli import webhooks; webhooks(sys.argv[1:])"


@contextmanager
def served(database_url: str, folder: Path) -> Iterator[str]:
    """A door process; its address."""
    base = f"http://127.0.0.1:{free_port()}"
    environment = os.environ | {
        "PUBLIC_BASE_URL": base,
        "DATABASE_URL": database_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "CALLCENTER_STATE_DIR": str(folder),
    }
    command = [sys.executable, "-c", START, "--bind", base.removeprefix("http://")]
    # A file takes whatever is logged; a pipe that nobody reads is full one day, and then the door stands still.
    with (folder / "log").open("ab") as log, subprocess.Popen(command, env=environment, stderr=log) as process:
        try:
            _wait_until_up(base, process)
            yield base
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_up(base: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(base + "/readyz", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the door did not start")


@pytest.fixture(scope="module")
def base(sqlite_template: SQLiteTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a door with one clinic behind it; what a server adds does not depend on the database."""
    folder = tmp_path_factory.mktemp("served")
    url = sqlite_template.copy_to(folder / "callcenter.db")
    engine = create_engine_for(url)
    with transaction(engine) as session:
        clinic = create_clinic(session, number=CLINIC, name="Oak Lane")
        # Somebody is at work for as long as the tests take; no worker runs here, so nobody is rung.
        create_receptionist(session, clinic, heartbeat_at=clock.now() + timedelta(hours=1))
    engine.dispose()
    with served(url, folder) as address:
        yield address


def test_a_caller_of_the_simulated_carrier_is_greeted_and_waits_with_music(base: str) -> None:
    with simulator("--speed", "10") as carrier:
        number = {"voice_url": base + INCOMING, "status_callback": base + "/webhooks/voice/status"}
        requests.put(f"{carrier}/simulator/numbers", json={CLINIC: number}, timeout=10).raise_for_status()
        steps = [{"wait_for": "queued", "timeout": 60}, {"wait": 30}, {"hang_up": True}]
        placed = requests.post(f"{carrier}/simulator/calls", json={"to": CLINIC, "steps": steps}, timeout=10).json()
        until = time.monotonic() + 30
        while (call := requests.get(f"{carrier}/simulator/calls/{placed['sid']}", timeout=10).json())["live"]:
            assert time.monotonic() < until, call
            time.sleep(0.1)
        alerts = requests.get(f"{carrier}/simulator/state", timeout=10).json()["alerts"]
    heard = [(entry["kind"], entry["text"]) for entry in call["heard"]]
    assert ("say", "Thank you for calling Oak Lane.") in heard
    assert [kind for kind, _ in heard if kind == "play"]
    assert alerts == []


@pytest.mark.parametrize("target", [INCOMING, INCOMING + "?x=%7E%2F%C3%BC&y=a+b", INCOMING + "?"])
def test_the_signed_address_is_the_raw_one_behind_a_real_server(base: str, target: str) -> None:
    signature = RequestValidator(AUTH_TOKEN).compute_signature(base + target.rstrip("?"), FORM)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)  # sends the target as it is
    connection.request("POST", target, urlencode(FORM), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert b"<Enqueue" in answer.read()
    connection.close()


def test_a_body_without_a_length_is_refused(base: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 1024

    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "x"}
    try:
        status = requests.post(base + INCOMING, data=endless(), headers=headers, timeout=10).status_code
    except requests.ConnectionError:
        return  # closed while we were still sending: refused as well
    assert status == 411


@pytest.mark.parametrize(
    "lines",
    [
        "POST http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0",
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 0",
        "POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: +5",
        "POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: magic",
        "POST {path} HTTP/1.1\r\nHost: x\r\nA: b\r\n folded: c\r\nContent-Length: 0",
        "NONSENSE",
    ],
)
def test_ambiguous_requests_are_refused_by_the_server(base: str, lines: str) -> None:
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall((lines.format(path=INCOMING) + "\r\n\r\n").encode())
        status = connection.recv(64).decode(errors="replace").split(" ")[1:2]
    assert status in (["400"], ["403"], ["501"]), status
