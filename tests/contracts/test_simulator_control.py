"""The simulator's own API and page: for this machine only, and clear about bad input."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.contracts.simulator_rig import CLINIC, Rig, connect, fresh, rig, simulator


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig) -> Rig:
    return fresh(shared)


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8001", "localhost.evil.example"])
@pytest.mark.parametrize("path", ["/", "/simulator/state", "/healthz"])
def test_a_foreign_host_name_is_not_answered(world: Rig, host: str, path: str) -> None:
    assert requests.get(world.base + path, headers={"Host": host}, timeout=5).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8001"])
def test_loopback_names_are_answered(world: Rig, host: str) -> None:
    assert requests.get(world.base + "/healthz", headers={"Host": host}, timeout=5).json() == {"status": "ok"}


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_other_sites_cannot_place_calls(world: Rig, header: dict[str, str]) -> None:
    answer = requests.post(f"{world.base}/simulator/calls", json={"to": CLINIC}, headers=header, timeout=5)
    assert answer.status_code == 403
    assert world.control("GET", "/calls") == {"calls": []}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/calls", {"scenario": "unheard_of"}),
        ("POST", "/calls", {"to": "+15550000000"}),
        ("POST", "/calls", {"steps": [{"dance": True}]}),
        ("POST", "/calls", {"steps": [{"wait_for": "spring"}]}),
        ("POST", "/calls", {"steps": [{"wait": "long"}]}),
        ("POST", "/calls", {"colour": "red"}),
        ("POST", "/calls", ["booking"]),
        ("PUT", "/clients/receptionist_1", {"action": "sing"}),
        ("PUT", "/clients/receptionist_1", {"answer_after_seconds": "soon"}),
        ("PUT", "/clients/receptionist_1", {"mood": "good"}),
        ("PUT", "/numbers", {CLINIC: {"voice": "x"}}),
        ("PUT", "/numbers", [1]),
        ("GET", "/exchanges?since=yesterday", None),
    ],
)
def test_bad_input_is_refused_with_a_sentence(world: Rig, method: str, path: str, body: Any) -> None:
    answer = requests.request(method, f"{world.base}/simulator{path}", json=body, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_an_unknown_call_is_not_found(world: Rig) -> None:
    assert requests.get(f"{world.base}/simulator/calls/CA1", timeout=5).status_code == 404


def test_every_exchange_is_kept_with_what_was_sent_and_answered(world: Rig) -> None:
    caller, _ = connect(world, {"hang_up": True})
    world.ended(caller)
    exchanges = world.control("GET", "/exchanges")["exchanges"]
    first = next(e for e in exchanges if e["url"].endswith("/incoming"))
    assert (first["direction"], first["kind"], first["method"], first["status"]) == ("out", "control", "POST", 200)
    assert first["params"]["CallSid"] == caller
    assert "<Say>Welcome</Say>" in first["body"]
    assert {"control", "callback", "rest"} <= {e["kind"] for e in exchanges}
    assert world.control("GET", f"/exchanges?since={exchanges[-1]['id']}")["exchanges"] == []


def test_the_page_shows_a_form_and_loads_nothing_from_elsewhere(world: Rig) -> None:
    page = requests.get(world.base, timeout=5)
    assert "Place a call" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "://" not in page.text
    for name in ("/inspector.js", "/inspector.css"):
        assert requests.get(world.base + name, timeout=5).ok


def test_every_field_of_the_page_has_a_label(world: Rig) -> None:
    page = requests.get(world.base, timeout=5).text
    for name in ("to", "scenario", "kind"):
        assert f'<label for="{name}">' in page


def test_a_reset_forgets_calls_and_keeps_numbers(world: Rig) -> None:
    caller = world.place()
    world.control("POST", "/reset")
    assert requests.get(f"{world.base}/simulator/calls/{caller}", timeout=5).status_code == 404
    assert CLINIC in world.control("GET", "/numbers")


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "callcenter.simulator", *options]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=20, check=False
    )


def test_it_does_not_start_in_production() -> None:
    refused = run("--port", "0", CALLCENTER_ENV="production")
    assert (refused.returncode, refused.stderr) == (2, "simulator: the simulator does not run in production\n")


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "example.org"])
def test_it_listens_on_loopback_only(host: str) -> None:
    refused = run("--port", "0", "--host", host)
    assert refused.returncode == 2
    assert "loopback" in refused.stderr


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with simulator() as base:
        refused = run("--port", base.rpartition(":")[2])
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
