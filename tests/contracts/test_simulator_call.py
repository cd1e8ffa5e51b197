"""Whole calls through the simulator, driven by the official client library and a door that checks signatures."""

import io
import threading
import time
import wave
from collections.abc import Iterator

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from callcenter.simulator.journal import GIVEN_UP
from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, CLINIC, Params, Rig, connect, fresh, rig, ring

TALK = ({"wait": 3}, {"say": "I need an appointment"}, {"wait": 1}, {"hang_up": True})


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig) -> Rig:
    return fresh(shared)


def media_of(world: Rig, recording_sid: str, channels: int = 2) -> requests.Response:
    path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{recording_sid}.wav?RequestedChannels={channels}"
    return requests.get(world.base + path, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=10)


def recorded(world: Rig) -> Params:
    return world.door.wait_for("/recorded", lambda p: p["RecordingStatus"] == "completed")


def test_a_call_is_greeted_queued_answered_and_ended_without_a_complaint(world: Rig) -> None:
    caller, receptionist = connect(world, *TALK, say="Good morning, how can I help?")
    assert world.ended(caller)["status"] == "completed"
    world.ended(receptionist)
    assert world.heard(caller)[0] == "Welcome"
    assert world.heard(caller, "speech") == ["Good morning, how can I help?"]
    assert world.heard(receptionist, "speech") == ["I need an appointment"]
    assert world.door.wait_for("/over")["CallStatus"] == "completed"
    assert (world.door.forged, world.alerts()) == (0, [])


def test_the_recording_of_a_talk_is_a_two_channel_file_as_long_as_it_says(world: Rig) -> None:
    caller, _ = connect(world, *TALK, say="Good morning")
    told = recorded(world)
    assert (told["CallSid"], told["RecordingChannels"]) == (caller, "2")
    media = media_of(world, told["RecordingSid"])
    assert media.headers["Content-Length"] == str(len(media.content))
    with wave.open(io.BytesIO(media.content)) as file:
        assert file.getnchannels() == 2
        assert abs(file.getnframes() / file.getframerate() - int(told["RecordingDuration"])) < 1
        sound = memoryview(file.readframes(file.getnframes())).cast("h")
    assert any(sound[0::2].tolist())
    assert any(sound[1::2].tolist())


def test_a_deleted_recording_is_gone_but_for_its_metadata(world: Rig) -> None:
    connect(world, *TALK)
    told = recorded(world)
    recording = world.client.recordings(told["RecordingSid"])
    assert recording.delete()
    with pytest.raises(TwilioRestException) as gone:
        recording.fetch()
    assert gone.value.status == 404
    assert recording.fetch(include_soft_deleted=True).status == "deleted"
    assert media_of(world, told["RecordingSid"]).status_code == 404


def test_a_pause_is_confirmed_only_by_the_answer_to_the_update(world: Rig) -> None:
    caller, _ = connect(world, {"wait": 60})
    recording = world.client.calls(caller).recordings("Twilio.CURRENT")
    assert recording.update(status="paused", pause_behavior="silence").status == "paused"
    assert world.client.calls(caller).recordings.list()[0].status == "processing"
    assert recording.update(status="in-progress").status == "in-progress"
    assert recording.update(status="stopped").status == "stopped"


def test_skipping_while_paused_makes_the_recording_shorter(world: Rig) -> None:
    caller, _ = connect(world, {"wait": 60})
    world.until(caller, lambda state: state["events"][-1]["at_seconds"] > 0)
    recording = world.client.calls(caller).recordings("Twilio.CURRENT")
    recording.update(status="paused", pause_behavior="skip")
    world.control("POST", f"/calls/{caller}/say", {"text": "four nine two nine " * 10})
    recording.update(status="in-progress")
    world.control("POST", f"/calls/{caller}/say", {"text": "thank you very much for your patience"})
    world.control("POST", f"/calls/{caller}/hang_up")
    assert int(recorded(world)["RecordingDuration"]) < 12


def test_leg_events_come_numbered_and_in_full(world: Rig) -> None:
    _, receptionist = connect(world, *TALK)
    world.ended(receptionist)
    world.door.wait_for("/leg", lambda _: len(world.door.of("/leg")) == 4)
    events = sorted(world.door.of("/leg"), key=lambda p: int(p["SequenceNumber"]))
    assert [(p["SequenceNumber"], p["CallStatus"]) for p in events] == [
        ("0", "initiated"),
        ("1", "ringing"),
        ("2", "in-progress"),
        ("3", "completed"),
    ]
    assert {"Timestamp", "CallbackSource", "CallDuration"} <= set(events[3])
    assert int(events[3]["CallDuration"]) >= 4


def test_the_second_dequeue_of_one_caller_fails(world: Rig) -> None:
    caller, _ = connect(world, {"wait": 300})
    queue = world.door.of("/wait")[0]["QueueSid"]
    with pytest.raises(TwilioRestException) as refused:
        world.client.queues(queue).members(caller).update(url=world.door.url + "/caller")
    assert (refused.value.status, refused.value.code) == (404, 20404)
    assert world.door.wait_for("/left")["QueueResult"] == "redirected"


def test_a_softphone_in_a_call_ignores_further_invites(world: Rig) -> None:
    connect(world, {"wait": 300})
    second = ring(world, timeout=5)
    assert world.ended(second)["status"] == "no-answer"
    assert world.ended(second)["duration_seconds"] == 0


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        ({"registered": False}, "no-answer"),
        ({"action": "decline"}, "busy"),
        ({"action": "ignore"}, "no-answer"),
        ({"answer_after_seconds": "never"}, "no-answer"),
        ({"action": "answer"}, "completed"),
    ],
)
def test_what_a_receptionist_does_decides_how_her_leg_ends(world: Rig, behaviour: Params, status: str) -> None:
    world.door.answers["/receptionist"] = "<Response><Say>Hello</Say></Response>"
    world.control("PUT", "/clients/receptionist_" + "1" * 32, behaviour)
    assert world.ended(ring(world, timeout=5))["status"] == status


def test_a_ring_lasts_five_seconds_longer_than_asked_for(world: Rig) -> None:
    world.control("PUT", "/clients/receptionist_" + "1" * 32, {"action": "ignore"})
    events = world.ended(ring(world, timeout=7))["events"]
    rang, ended = (next(e["at_seconds"] for e in events if e.get("status") == s) for s in ("ringing", "no-answer"))
    assert 12 <= ended - rang < 13


def test_a_withdrawn_ring_is_cancelled(world: Rig) -> None:
    world.control("PUT", "/clients/receptionist_" + "1" * 32, {"answer_after_seconds": None})
    leg = ring(world)
    world.until(leg, lambda state: state["status"] == "ringing")
    assert world.client.calls(leg).update(status="canceled").status == "canceled"


def test_cancelling_an_answered_leg_does_nothing(world: Rig) -> None:
    _, receptionist = connect(world, {"wait": 300})
    assert world.client.calls(receptionist).update(status="canceled").status == "in-progress"
    assert world.client.calls(receptionist).update(status="completed").status == "completed"


def test_a_caller_who_hangs_up_during_the_first_request_still_gets_it_answered(world: Rig) -> None:
    def slowly(params: Params) -> str:
        time.sleep(0.3)
        return "<Response><Say>Too late</Say></Response>"

    world.door.answers["/incoming"] = slowly
    caller = world.place({"wait": 1}, {"hang_up": True})
    assert world.ended(caller)["answered_at"] is None
    answered = [e for e in world.control("GET", "/exchanges")["exchanges"] if e["url"].endswith("/over")]
    assert answered[0]["params"]["CallStatus"] == "canceled"
    time.sleep(0.4)
    first = next(e for e in world.control("GET", "/exchanges")["exchanges"] if e["url"].endswith("/incoming"))
    assert first["status"] == 200


def test_music_that_nobody_waits_for_any_more_is_written_down_as_given_up(world: Rig) -> None:
    asked, moved_on = threading.Event(), threading.Event()

    def slowly(params: Params) -> tuple[str, bytes]:
        asked.set()
        moved_on.wait(60)
        return "audio/wav", b""

    world.door.answers["/media/music"] = slowly
    world.door.answers["/incoming"] = f"<Response><Play>{world.door.url}/media/music</Play></Response>"
    caller = world.place({"wait": 300})
    try:
        assert asked.wait(60)
        world.client.calls(caller).update(url=f"{world.door.url}/after")
        world.until(caller, lambda state: any(entry["text"] == "Afterwards" for entry in state["heard"]))
        music = next(e for e in world.control("GET", "/exchanges")["exchanges"] if e["kind"] == "media")
        assert (music["status"], music["body"]) == (None, GIVEN_UP)
    finally:
        moved_on.set()


WISH = "Good morning to you, I would like to make an appointment for some time next week, please."
"""Long enough to be a recording whatever program speaks it: what is under a second counts as absent."""


def test_thirty_callers_at_once_are_each_served_and_recorded(world: Rig) -> None:
    sound = f"<Start><Recording recordingStatusCallback='{world.door.url}/recorded'/></Start>"
    world.door.answers["/incoming"] = f"<Response><Say>Hello</Say>{sound}<Pause length='30'/></Response>"
    callers = [world.place({"wait_for": "recording"}, {"say": WISH}, {"hang_up": True}) for _ in range(30)]
    assert {world.ended(caller)["status"] for caller in callers} == {"completed"}
    world.door.wait_for("/recorded", lambda _: len(world.door.of("/recorded")) == len(callers))
    assert {params["CallSid"] for params in world.door.of("/recorded")} == set(callers)
    assert {params["RecordingStatus"] for params in world.door.of("/recorded")} == {"completed"}
    assert world.alerts() == []


def test_the_callers_number_is_withheld_on_request(world: Rig) -> None:
    world.control("POST", "/calls", {"scenario": "withheld", "to": CLINIC})
    assert world.door.wait_for("/incoming")["From"] == "anonymous"


def test_what_is_said_while_the_recording_is_paused_is_not_in_it(world: Rig) -> None:
    caller, _ = connect(world, {"wait": 60})
    recording = world.client.calls(caller).recordings("Twilio.CURRENT")
    recording.update(status="paused")
    world.control("POST", f"/calls/{caller}/say", {"text": "Four nine two nine, one two three four, five six"})
    recording.update(status="in-progress")
    world.control("POST", f"/calls/{caller}/hang_up")
    told = recorded(world)
    assert int(told["RecordingDuration"]) >= 3
    with wave.open(io.BytesIO(media_of(world, told["RecordingSid"]).content)) as file:
        sound = memoryview(file.readframes(file.getnframes())).cast("h")
    assert not any(sound[0::2].tolist())
