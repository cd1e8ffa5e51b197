"""What the simulator does with the documents it is given."""

import io
import wave
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, CLINIC, Rig, fresh, rig


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig) -> Rig:
    return fresh(shared)


def play(world: Rig, body: str, *steps: dict[str, Any]) -> Any:
    """A call that gets this document; its state once it is over."""
    world.door.answers["/incoming"] = f"<Response>{body}</Response>"
    return world.ended(world.place(*steps))


def test_keys_pressed_during_the_prompt_silence_it_and_reach_the_action(world: Rig) -> None:
    body = "<Gather numDigits='1' action='/chosen'><Say>{}</Say></Gather>".format("Press nine to refuse. " * 20)
    world.door.answers["/chosen"] = "<Response><Hangup/></Response>"
    state = play(world, body, {"wait": 1}, {"press": "9"})
    assert world.door.of("/chosen")[0]["Digits"] == "9"
    assert state["duration_seconds"] < 5


def test_a_gather_without_keys_falls_through_to_the_next_verb(world: Rig) -> None:
    play(world, "<Gather timeout='2' action='/chosen'/><Redirect>/after</Redirect>")
    assert world.door.of("/chosen") == []
    assert len(world.door.of("/after")) == 1


def test_an_empty_result_reaches_the_action_if_it_is_asked_for(world: Rig) -> None:
    play(world, "<Gather timeout='1' actionOnEmptyResult='true' action='/chosen'/>")
    assert world.door.of("/chosen")[0]["Digits"] == ""


def test_the_finishing_key_is_not_among_the_digits(world: Rig) -> None:
    play(world, "<Gather action='/chosen'/>", {"press": "12#"})
    assert world.door.of("/chosen")[0]["Digits"] == "12"


def test_keys_that_nobody_listens_for_are_lost(world: Rig) -> None:
    sid = world.place()
    assert world.control("POST", f"/calls/{sid}/press", {"digits": "9", "wait_seconds": 0}) == {"heard": False}


def test_a_message_is_recorded_until_silence_and_can_be_fetched(world: Rig) -> None:
    callback = f"recordingStatusCallback='{world.door.url}/recorded' recordingStatusCallbackEvent='completed absent'"
    body = f"<Say>Speak</Say><Record action='/left_message' maxLength='60' timeout='3' {callback}/>"
    play(world, body, {"wait_for": "recording"}, {"say": "This is Mr Webb, please call me back on Friday"})
    told = world.door.wait_for("/recorded")
    assert (told["RecordingStatus"], told["RecordingChannels"], told["RecordingSource"]) == (
        "completed",
        "1",
        "RecordVerb",
    )
    assert int(world.door.of("/left_message")[0]["RecordingDuration"]) >= 3
    path = f"{world.base}/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{told['RecordingSid']}.wav"
    media = requests.get(path, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=10)
    with wave.open(io.BytesIO(media.content)) as file:
        assert int(file.getnframes() / file.getframerate()) == int(told["RecordingDuration"])
    refused = requests.get(path + "?RequestedChannels=2", auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=10)
    assert (refused.status_code, refused.json()["code"]) == (400, 16113)


def test_a_caller_who_hangs_up_while_recording_is_told_to_the_action(world: Rig) -> None:
    play(world, "<Record action='/left_message'/>", {"wait_for": "recording"}, {"wait": 2}, {"hang_up": True})
    told = world.door.wait_for("/left_message")
    assert (told["Digits"], told["CallStatus"]) == ("hangup", "completed")


def test_a_recording_of_silence_that_is_trimmed_away_is_absent(world: Rig) -> None:
    callback = f"recordingStatusCallback='{world.door.url}/recorded' recordingStatusCallbackEvent='completed absent'"
    play(world, f"<Record timeout='2' playBeep='false' action='/left_message' {callback}/>")
    told = world.door.wait_for("/recorded")
    assert told["RecordingStatus"] == "absent"
    assert "RecordingDuration" not in told


def test_waiting_callers_are_told_their_position_again_and_again(world: Rig) -> None:
    world.door.answers["/wait"] = "<Response><Say>You are waiting</Say></Response>"
    first = world.place()
    world.until(first, lambda state: state["queue"] == "q1")
    second = world.place()
    told = world.door.wait_for("/wait", lambda p: p["CallSid"] == second)
    assert (told["QueuePosition"], told["CurrentQueueSize"]) == ("2", "2")
    world.control("POST", f"/calls/{first}/hang_up")
    assert world.door.wait_for("/wait", lambda p: p["CallSid"] == second and p["QueuePosition"] == "1")
    assert world.door.wait_for("/left")["QueueResult"] == "hangup"


def test_leave_in_a_wait_document_goes_on_after_enqueue(world: Rig) -> None:
    world.door.answers["/wait"] = "<Response><Leave/></Response>"
    sid = world.place()
    world.ended(sid)
    assert world.door.of("/left")[0]["QueueResult"] == "leave"


def test_a_redirect_to_nowhere_asks_for_the_same_document_by_post(world: Rig) -> None:
    texts = iter(["<Response><Say>Once</Say><Redirect/></Response>", "<Response><Say>Twice</Say></Response>"])
    world.door.answers["/incoming"] = lambda params: next(texts)
    sid = world.place()
    world.ended(sid)
    assert world.heard(sid) == ["Once", "Twice"]


@pytest.mark.parametrize(("reason", "status"), [("rejected", "no-answer"), ("busy", "busy")])
def test_a_rejected_call_is_never_answered(world: Rig, reason: str, status: str) -> None:
    state = play(world, f"<Reject reason='{reason}'/>")
    assert (state["status"], state["answered_at"]) == (status, None)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("<Response>", 12100),
        ("<Other/>", 12102),
        ("", 11770),
        ("<Response>" + " " * 70_000 + "</Response>", 11750),
        (("application/json", "{}"), 12300),
        (("", "<Response/>"), 11200),
        (500, 11200),
        (404, 11200),
        ("<Response><Connect/></Response>", 12400),
    ],
)
def test_a_failed_document_leads_to_the_fallback_with_its_code(world: Rig, answer: Any, code: int) -> None:
    world.door.answers["/incoming"] = answer
    world.door.answers["/fallback"] = "<Response><Say>Please hold on</Say></Response>"
    sid = world.place()
    world.ended(sid)
    told = world.door.of("/fallback")[0]
    assert (told["ErrorCode"], told["ErrorUrl"]) == (str(code), world.door.url + "/incoming")
    assert world.heard(sid) == ["Please hold on"]
    assert code in world.alerts()


def test_without_a_usable_fallback_the_caller_hears_an_apology_and_the_call_ends(world: Rig) -> None:
    world.door.answers |= {"/incoming": 500, "/fallback": 500}
    sid = world.place()
    assert world.ended(sid)["status"] == "completed"
    assert "application error" in world.heard(sid)[0]


def test_plain_text_is_read_aloud_and_the_call_ends(world: Rig) -> None:
    world.door.answers["/incoming"] = ("text/plain", "Internal Server Error")
    sid = world.place()
    world.ended(sid)
    assert world.heard(sid) == ["Internal Server Error"]
    assert 12300 in world.alerts()


def test_plain_text_that_is_twiml_is_executed(world: Rig) -> None:
    world.door.answers["/incoming"] = ("text/plain", "<Response><Say>Fine</Say></Response>")
    sid = world.place()
    world.ended(sid)
    assert world.heard(sid) == ["Fine"]


def test_unknown_attributes_and_verbs_are_complained_about_and_left_out(world: Rig) -> None:
    state = play(world, "<say>small</say><Say speed='fast'>Large</Say>")
    assert [entry["text"] for entry in state["heard"]] == ["Large"]
    assert world.alerts() == [12200, 12200]


def test_sound_is_fetched_unsigned_and_played_as_often_as_asked(world: Rig) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(b"\1\1" * 16000)
    world.door.answers["/media/tune"] = ("audio/wav", file.getvalue())
    state = play(world, "<Play loop='3'>/media/tune</Play>")
    assert state["duration_seconds"] in (3, 4)
    assert world.door.of("/media/tune") == [{}]


def test_forbidden_verbs_in_a_hold_document_are_refused(world: Rig) -> None:
    world.door.answers["/music"] = "<Response><Gather/></Response>"
    play(world, "<Dial><Conference waitUrl='/music'>alone</Conference></Dial><Say>Next</Say>")
    assert 13238 in world.alerts()


def test_a_telephone_can_be_dialled_and_hears_the_whisper_first(world: Rig) -> None:
    world.control(
        "PUT", "/phones/+441134961111", {"answer_after_seconds": 1, "hang_up_after_seconds": 2, "say": "Yes?"}
    )
    world.door.answers["/whisper"] = "<Response><Say>A call for you</Say></Response>"
    number = (
        "<Number url='/whisper' statusCallback='/leg' statusCallbackEvent='ringing completed'>+441134961111</Number>"
    )
    body = f"<Dial action='/after' callerId='{CLINIC}'>{number}</Dial>"
    state = play(world, body)
    told = world.door.of("/after")[0]
    assert (told["DialCallStatus"], told["DialBridged"]) == ("completed", "true")
    assert world.heard(told["DialCallSid"]) == ["A call for you"]
    assert "Yes?" in [entry["text"] for entry in state["heard"]]


@pytest.mark.parametrize(
    ("behaviour", "status"), [({"action": "busy"}, "busy"), ({"answer_after_seconds": None}, "no-answer")]
)
def test_a_dialled_telephone_that_is_not_answered_is_told_to_the_action(
    world: Rig, behaviour: dict[str, Any], status: str
) -> None:
    world.control("PUT", "/phones/+441134961111", behaviour)
    play(world, "<Dial timeout='5' action='/after'><Number>+441134961111</Number></Dial>")
    assert world.door.of("/after")[0]["DialCallStatus"] == status


def test_control_requests_carry_the_fields_of_a_voice_request(world: Rig) -> None:
    play(world, "<Hangup/>")
    sent = world.door.of("/incoming")[0]
    assert (sent["CallStatus"], sent["Direction"], sent["To"]) == ("ringing", "inbound", CLINIC)
    assert {"CallSid", "AccountSid", "From", "ApiVersion", "FromCity", "CallerZip", "ToCountry"} <= set(sent)


def test_the_fragment_of_a_url_asks_for_retries_and_is_not_signed(world: Rig) -> None:
    world.control("PUT", "/numbers", {CLINIC: {"voice_url": world.door.url + "/flaky#rc=2&rp=5xx"}})
    answers = iter([500, 503, "<Response><Say>At last</Say></Response>"])
    world.door.answers["/flaky"] = lambda params: next(answers)
    sid = world.place()
    world.ended(sid)
    assert world.heard(sid) == ["At last"]
    assert world.door.forged == 0


def test_a_call_can_be_sent_to_another_document_and_back_by_rest(world: Rig) -> None:
    sid = world.place()
    world.until(sid, lambda state: state["queue"] == "q1")
    world.client.calls(sid).update(twiml="<Response><Say>Something else</Say></Response>")
    world.ended(sid)
    assert world.heard(sid)[-1] == "Something else"
    assert world.door.wait_for("/left")["QueueResult"] == "redirected"


def test_a_key_pressed_while_waiting_is_answered_and_the_wait_goes_on(world: Rig) -> None:
    world.door.answers["/wait"] = (
        "<Response><Gather numDigits='1' action='/refuse' timeout='3'><Say>Press nine</Say></Gather></Response>"
    )
    world.door.answers["/refuse"] = "<Response><Say>Not recorded</Say></Response>"
    sid = world.place({"wait_for": "queued"}, {"press": "9"})
    told = world.door.wait_for("/refuse")
    assert (told["Digits"], told["QueuePosition"]) == ("9", "1")
    world.until(sid, lambda state: len(world.door.of("/wait")) > 1)
    assert "Not recorded" in world.heard(sid)
    assert world.call(sid)["queue"] == "q1"


def test_only_the_first_participant_decides_about_conference_callbacks(world: Rig) -> None:
    hook = "statusCallback='/{}' statusCallbackEvent='start join'"
    rooms = [f"<Dial><Conference {hook.format(name)}>both</Conference></Dial>" for name in ("first", "second")]
    documents = iter(f"<Response>{room}</Response>" for room in rooms)
    world.door.answers["/incoming"] = lambda params: next(documents)
    for _ in rooms:
        sid = world.place({"wait": 300})
        world.until(sid, lambda state: state["conference"] == "both")
    world.door.wait_for("/first", lambda _: len(world.door.of("/first")) == 3)
    assert [params["StatusCallbackEvent"] for params in world.door.of("/first")].count("conference-start") == 1
    assert world.door.of("/second") == []


def test_a_recording_started_by_a_document_loses_its_silence_unless_told_otherwise(world: Rig) -> None:
    callback = f"recordingStatusCallback='{world.door.url}/recorded'"
    play(
        world,
        f"<Say>Hello there</Say><Start><Recording {callback}/></Start><Pause length='20'/><Say>Bye now, bye now</Say>",
    )
    assert int(world.door.wait_for("/recorded")["RecordingDuration"]) < 3
