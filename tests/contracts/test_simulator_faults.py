"""The simulator misbehaves on request, and only then."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, Rig, ToSimulator, connect, fresh, rig, ring


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig) -> Rig:
    return fresh(shared)


def spoil(world: Rig, kind: str, action: str, event: str = "", **more: Any) -> None:
    match = {"kind": kind} | ({"event": event} if event else {})
    world.control("PUT", "/faults", {"rules": [{"match": match, "action": action, **more}]})


def statuses(world: Rig) -> list[str]:
    return [params["CallStatus"] for params in world.door.of("/leg")]


def ring_and_end(world: Rig) -> None:
    world.ended(ring(world))
    world.door.wait_for("/leg", lambda params: params["CallStatus"] == "no-answer")
    time.sleep(0.2)


def test_a_callback_comes_three_times(world: Rig) -> None:
    spoil(world, "callback", "duplicate", "ringing", n=2)
    ring_and_end(world)
    assert sorted(statuses(world)) == ["initiated", "no-answer", "ringing", "ringing", "ringing"]


def test_a_callback_never_comes(world: Rig) -> None:
    spoil(world, "callback", "drop", "ringing")
    ring_and_end(world)
    assert "ringing" not in statuses(world)


def test_a_callback_comes_late(world: Rig) -> None:
    spoil(world, "callback", "delay", "initiated", seconds=0.6)
    ring_and_end(world)
    assert "initiated" not in statuses(world)
    assert world.door.wait_for("/leg", lambda params: params["CallStatus"] == "initiated")["SequenceNumber"] == "0"


def test_a_callback_is_overtaken_by_the_next(world: Rig) -> None:
    spoil(world, "callback", "reorder", "initiated")
    ring_and_end(world)
    assert statuses(world).index("initiated") > 0


def test_callbacks_come_three_times_and_shuffled(world: Rig) -> None:
    spoil(world, "callback", "scatter", n=2, seconds=0.5, times=None)
    world.ended(ring(world))
    time.sleep(1)
    assert sorted(statuses(world)) == ["initiated"] * 3 + ["no-answer"] * 3 + ["ringing"] * 3


def test_a_control_request_comes_twice(world: Rig) -> None:
    spoil(world, "control", "duplicate")
    caller = world.place()
    world.until(caller, lambda state: state["queue"] == "q1")
    assert [params["CallSid"] for params in world.door.of("/incoming")] == [caller, caller]


def test_the_answer_to_a_control_request_is_lost(world: Rig) -> None:
    spoil(world, "control", "timeout")
    caller = world.place()
    world.ended(caller)
    assert world.door.of("/fallback")[0]["ErrorCode"] == "11200"


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (500, 20500), (503, 20503)])
def test_the_rest_api_fails_as_often_as_asked_and_does_nothing(world: Rig, status: int, code: int) -> None:
    spoil(world, "rest", "status", status=status, times=2)
    for _ in range(2):
        with pytest.raises(TwilioRestException) as refused:
            ring(world)
        assert (refused.value.status, refused.value.code) == (status, code)
    ring(world)
    assert len(world.client.calls.list()) == 1


def test_a_throttled_request_says_when_to_come_again(world: Rig) -> None:
    spoil(world, "rest", "status", status=429, retry_after=7)
    path = f"{world.base}/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
    assert requests.get(path, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=5).headers["Retry-After"] == "7"


@pytest.mark.parametrize(("action", "calls"), [("timeout", 0), ("timeout_after_success", 1)])
def test_a_create_without_an_answer_may_or_may_not_have_happened(world: Rig, action: str, calls: int) -> None:
    spoil(world, "rest", action)
    hasty = ToSimulator(world.base)
    hasty.timeout = 0.5
    world.client.http_client, patient = hasty, world.client.http_client
    try:
        with pytest.raises(requests.Timeout):
            ring(world)
    finally:
        world.client.http_client = patient
    assert len(world.client.calls.list()) == calls


def test_media_comes_late_then_broken_then_whole(world: Rig) -> None:
    connect(world, {"wait": 2}, {"hang_up": True})
    told = world.door.wait_for("/recorded", lambda params: params["RecordingStatus"] == "completed")
    url = f"{world.base}/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{told['RecordingSid']}.wav"
    rules = [{"match": {"kind": "media"}, "action": action} for action in ("media_late", "truncate")]
    rules.append({"match": {"kind": "media"}, "action": "truncate", "mode": "short_file"})
    world.control("PUT", "/faults", {"rules": rules})
    credentials = (ACCOUNT_SID, AUTH_TOKEN)
    assert requests.get(url, auth=credentials, timeout=5).status_code == 404
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url, auth=credentials, timeout=5)
    short = requests.get(url, auth=credentials, timeout=5).content
    assert len(requests.get(url, auth=credentials, timeout=5).content) // 2 == len(short)


@pytest.mark.parametrize(
    "rule",
    [
        {"match": {"kind": "weather"}, "action": "drop"},
        {"match": {"kind": "rest"}, "action": "drop"},
        {"match": {"kind": "rest", "colour": "red"}, "action": "status"},
        {"match": {"kind": "rest"}, "action": "status", "often": 3},
        {"match": {"kind": "rest"}, "action": "status", "times": "many"},
        "drop",
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_and_changes_nothing(world: Rig, rule: Any) -> None:
    spoil(world, "callback", "drop")
    before = world.control("GET", "/faults")
    answer = requests.put(f"{world.base}/simulator/faults", json={"rules": [rule]}, timeout=5)
    assert answer.status_code == 400
    assert world.control("GET", "/faults") == before
