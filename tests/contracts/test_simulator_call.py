"""One whole call through the simulator, driven by the official client library and a signed-for door."""

import io
import wave
from collections.abc import Iterator

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, CLINIC, Rig, rig

RECEPTIONIST = "receptionist_" + "1" * 32


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig) -> Rig:
    shared.control("POST", "/reset")
    shared.door.answers.clear()
    shared.door.received.clear()
    shared.door.forged = 0
    door = shared.door.url
    number = {"voice_url": f"{door}/incoming", "voice_fallback_url": f"{door}/fallback", "status_callback": f"{door}/over"}
    shared.control("PUT", "/numbers", {CLINIC: number})
    shared.door.answers |= {
        "/incoming": "<Response><Say>Welcome</Say><Enqueue waitUrl='/wait' action='/left'>q1</Enqueue></Response>",
        "/wait": "<Response><Say>You are first</Say><Pause length='5'/></Response>",
        "/left": "<Response/>",
        "/caller": f"""<Response><Start><Recording name="r1" trim="do-not-trim" recordingStatusCallback="{door}/recorded"
            recordingStatusCallbackEvent="in-progress completed absent"/></Start><Dial action="/after"><Conference
            beep="false" endConferenceOnExit="true" statusCallback="/room" statusCallbackEvent="start end join leave hold"
            >c-1</Conference></Dial></Response>""",
        "/receptionist": """<Response><Dial><Conference waitUrl="" beep="false" endConferenceOnExit="false"
            statusCallback="/room" statusCallbackEvent="start end join leave hold">c-1</Conference></Dial></Response>""",
    }
    return shared


def connect(world: Rig, *steps: dict[str, object]) -> tuple[str, str]:
    """Caller waits, receptionist is rung and answers, both meet; returns both CallSids."""
    world.control("PUT", f"/clients/{RECEPTIONIST}", {"answer_after_seconds": 1, "say": "Good morning, how can I help?"})
    caller = world.place({"wait_for": "connected", "timeout": 120}, *steps)
    waiting = world.door.wait_for("/wait", lambda p: p["CallSid"] == caller)
    leg = world.client.calls.create(
        to=f"client:{RECEPTIONIST}?offer=o1",
        from_=CLINIC,
        url=f"{world.door.url}/receptionist",
        status_callback=f"{world.door.url}/leg",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        timeout=15,
    )
    world.door.wait_for("/room", lambda p: p["StatusCallbackEvent"] == "participant-join" and p["CallSid"] == leg.sid)
    world.client.queues(waiting["QueueSid"]).members(caller).update(url=f"{world.door.url}/caller")
    world.until(caller, lambda state: state["connected"])
    return caller, str(leg.sid)


def test_a_call_is_greeted_queued_answered_recorded_and_its_recording_fetched_and_deleted(world: Rig) -> None:
    caller, receptionist = connect(world, {"wait": 3}, {"say": "I need an appointment"}, {"wait": 1}, {"hang_up": True})
    world.ended(caller)
    world.ended(receptionist)
    recorded = world.door.wait_for("/recorded", lambda p: p["RecordingStatus"] == "completed")
    assert recorded["CallSid"] == caller
    assert recorded["RecordingChannels"] == "2"
    media = requests.get(
        f"{world.base}/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{recorded['RecordingSid']}.wav?RequestedChannels=2",
        auth=(ACCOUNT_SID, AUTH_TOKEN),
        timeout=10,
    )
    assert media.headers["Content-Length"] == str(len(media.content))
    with wave.open(io.BytesIO(media.content)) as file:
        assert file.getnchannels() == 2
        assert abs(file.getnframes() / file.getframerate() - int(recorded["RecordingDuration"])) < 1
    recording = world.client.recordings(recorded["RecordingSid"])
    assert recording.fetch().status == "completed"
    assert recording.delete()
    with pytest.raises(TwilioRestException) as gone:
        recording.fetch()
    assert gone.value.status == 404
    assert recording.fetch(include_soft_deleted=True).status == "deleted"
    assert world.door.forged == 0
    assert world.alerts() == []
