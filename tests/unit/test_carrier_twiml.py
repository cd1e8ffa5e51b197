"""The documents, read as the carrier reads them."""

import xml.etree.ElementTree as ElementTree
from urllib.parse import urldefrag

import pytest

from callcenter.carrier.twiml import CallPlace, TwimlWriter
from callcenter.carrier.urls import DoorUrls
from callcenter.config import VoiceSettings
from callcenter.domain.steps import (
    AskToRecord,
    ForwardTo,
    Greet,
    HoldMusic,
    JoinAsReceptionist,
    LeaveQueue,
    SayAndHangUp,
    Step,
    TakeMessage,
    Talk,
    Wait,
)

BASE = "https://door.example.org"
MUSIC = f"{BASE}/media/calm"
CALL, OFFER, RECORDING = "c" * 32, "0f" * 16, "e" * 32
CONFERENCE = f"{CALL}-3"
PLACE = CallPlace(CALL, 3)
HERE = f"{BASE}/webhooks/voice/calls/{CALL}/3/"
WRITER = TwimlWriter(DoorUrls(BASE, "ie1"), VoiceSettings.model_validate({}), "ie1", MUSIC)

EVERY_STEP: list[Step] = [
    Greet(("Welcome", "Recorded"), "queue-1"),
    Wait(("You are number 1",), may_refuse=True),
    Wait((), may_refuse=False),
    LeaveQueue(),
    Talk(CONFERENCE, RECORDING),
    Talk(CONFERENCE, None),
    JoinAsReceptionist(CONFERENCE, OFFER),
    AskToRecord("Press 1"),
    TakeMessage("After the tone", RECORDING, 90),
    SayAndHangUp(("Goodbye",)),
    SayAndHangUp(),
    ForwardTo(("We will forward you",), "+441632960999"),
    HoldMusic(("Please hold",)),
]


def document(step: Step) -> ElementTree.Element:
    return ElementTree.fromstring(WRITER.write(step, PLACE, own_number="+441632960001"))


def the(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = root.iter(name)
    return found


def asked(root: ElementTree.Element, name: str, attribute: str) -> str:
    """The address in an attribute, without the connection overrides."""
    return urldefrag(the(root, name).attrib[attribute]).url


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: type(step).__name__)
def test_every_document_ends_in_a_next_step_or_in_the_end_of_the_call(step: Step) -> None:
    root = document(step)
    assert root.tag == "Response"
    assert root[-1].tag in ("Redirect", "Hangup", "Leave")
    if root[-1].tag == "Redirect":
        assert (root[-1].text or "").startswith(f"{BASE}/webhooks/voice/")


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: type(step).__name__)
def test_every_address_is_absolute_posted_to_and_has_the_right_overrides(step: Step) -> None:
    for element in document(step).iter():
        for name, value in element.attrib.items():
            if value.startswith("http"):
                notification = "status" in name.lower()
                assert value.endswith(
                    "#rc=3&rp=all&e=dublin,frankfurt"
                    if notification
                    else "#ct=2000&rt=10000&rc=1&rp=ct,5xx&e=dublin,frankfurt"
                )
            if name.endswith(("method", "Method")):
                assert value == "POST"
            if name in ("action", "waitUrl", "statusCallback", "recordingStatusCallback") and value:
                assert any(other.endswith(("method", "Method")) for other in element.attrib)


def test_the_caller_hears_the_notice_before_the_queue_and_the_queue_has_an_opaque_name() -> None:
    root = document(EVERY_STEP[0])
    assert [verb.tag for verb in root] == ["Say", "Say", "Enqueue", "Redirect"]
    assert [verb.text for verb in root][:3] == ["Welcome", "Recorded", "queue-1"]
    assert asked(root, "Enqueue", "waitUrl") == HERE + "wait"
    assert asked(root, "Enqueue", "action") == HERE + "queued"


def test_a_round_in_the_queue_listens_for_one_key_and_comes_back_to_itself() -> None:
    root = document(Wait(("You are number 1",), may_refuse=True))
    assert the(root, "Gather").attrib["numDigits"] == "1"
    assert asked(root, "Gather", "action") == HERE + "key"
    assert [inner.tag for inner in the(root, "Gather")] == ["Say", "Play"]
    assert the(root, "Play").text == MUSIC
    assert urldefrag(the(root, "Redirect").text or "").url == HERE + "wait"


def test_who_has_refused_recording_already_is_not_listened_to_any_more() -> None:
    assert not list(document(Wait((), may_refuse=False)).iter("Gather"))


def test_the_talk_is_recorded_on_two_untrimmed_channels_from_the_callers_leg() -> None:
    root = document(Talk(CONFERENCE, RECORDING))
    assert [verb.tag for verb in root] == ["Start", "Dial", "Pause", "Redirect"]
    recording = the(root, "Recording").attrib
    assert (recording["channels"], recording["trim"], recording["name"]) == ("dual", "do-not-trim", RECORDING)
    assert recording["recordingStatusCallbackEvent"] == "in-progress completed absent"
    assert asked(root, "Recording", "recordingStatusCallback") == f"{BASE}/webhooks/recording/{RECORDING}"


def test_a_talk_that_may_not_be_recorded_starts_no_recording() -> None:
    assert "ecord" not in WRITER.write(Talk(CONFERENCE, None), PLACE)


def test_both_sides_join_the_same_conference_with_the_same_callbacks_and_only_the_caller_ends_it() -> None:
    caller = the(document(Talk(CONFERENCE, None)), "Conference")
    receptionist = the(document(JoinAsReceptionist(CONFERENCE, OFFER)), "Conference")
    assert caller.text == receptionist.text == CONFERENCE
    own = {"endConferenceOnExit", "participantLabel"}
    assert {k: v for k, v in caller.attrib.items() if k not in own} == {
        k: v for k, v in receptionist.attrib.items() if k not in own
    }
    assert (caller.attrib["endConferenceOnExit"], receptionist.attrib["endConferenceOnExit"]) == ("true", "false")
    assert caller.attrib["participantLabel"] != receptionist.attrib["participantLabel"]
    assert (caller.attrib["beep"], caller.attrib["waitUrl"], caller.attrib["region"]) == ("false", "", "ie1")
    assert caller.attrib["statusCallbackEvent"] == "start end join leave hold"
    assert urldefrag(caller.attrib["statusCallback"]).url == f"{BASE}/webhooks/status/conferences/{CALL}/3"


def test_silence_is_an_answer_when_a_refuser_is_asked_before_a_message() -> None:
    root = document(AskToRecord("Press 1"))
    assert the(root, "Gather").attrib["actionOnEmptyResult"] == "true"
    assert asked(root, "Gather", "action") == HERE + "consent"
    assert not list(root.iter("Record"))


def test_a_message_is_recorded_after_a_tone_and_silence_leads_on_instead_of_asking_again() -> None:
    root = document(TakeMessage("After the tone", RECORDING, 90))
    assert [verb.tag for verb in root] == ["Say", "Record", "Redirect"]
    record = the(root, "Record").attrib
    assert (record["maxLength"], record["playBeep"], record["trim"]) == ("90", "true", "do-not-trim")
    assert asked(root, "Record", "action") == HERE + "message"
    assert asked(root, "Record", "recordingStatusCallback") == f"{BASE}/webhooks/recording/{RECORDING}"
    assert urldefrag(the(root, "Redirect").text or "").url == HERE + "message"


def test_a_forwarded_call_shows_the_clinics_number_and_not_the_callers() -> None:
    root = document(ForwardTo(("We will forward you",), "+441632960999"))
    assert (the(root, "Dial").attrib["callerId"], the(root, "Number").text) == ("+441632960001", "+441632960999")
    assert "callerId" not in WRITER.write(ForwardTo((), "+441632960999"))


def test_music_on_hold_goes_on() -> None:
    root = document(HoldMusic(("Please hold",)))
    assert [verb.tag for verb in root] == ["Say", "Play", "Redirect"]
    assert urldefrag(the(root, "Redirect").text or "").url == HERE + "hold"


@pytest.mark.parametrize(
    "text",
    [
        "</Say><Dial>+900</Dial><Say>",
        'Fish & Chips "Ltd" <b>\'s',
        "]]>&#x0;&bogus;<!--",
        "control \x00\x07\x0b\x1b[31m characters",
        "lonely \ud800 surrogate",
        "\ufffe\uffff",
        "x" * 10_000,
        "🩺 ünïcode \u2028 \u202e",
        "",
        "   ",
    ],
)
def test_hostile_text_stays_text(text: str) -> None:
    for step in EVERY_STEP:
        if not hasattr(step, "texts"):
            continue
        twiml = WRITER.write(type(step)(**{**vars(step), "texts": (text,)}), PLACE)
        root = ElementTree.fromstring(twiml.encode())
        assert [element.tag for element in root.iter()].count("Dial") == (1 if isinstance(step, ForwardTo) else 0)
        assert all(len(say.text or "") <= 4096 for say in root.iter("Say"))


def test_a_step_that_leads_somewhere_needs_to_know_where_it_is() -> None:
    with pytest.raises(ValueError, match="Wait"):
        WRITER.write(Wait((), may_refuse=False))


def test_outside_the_eu_region_no_edge_is_asked_for() -> None:
    assert "&e=" not in DoorUrls(BASE, "us1").incoming()
