"""What the simulator takes for TwiML."""

import pytest

from callcenter.simulator.twiml import TwimlError, parse


def codes(body: str) -> list[int]:
    return [code for code, _ in parse(f"<Response>{body}</Response>".encode()).warnings]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 11770),
        (b"  \n", 11770),
        (b"<Response>", 12100),
        (b"\xef\xbb\xbf<Response/>", 12100),
        (b"\n<?xml version='1.0'?><Response/>", 12100),
        (b"<html/>", 12102),
        (b"<response/>", 12102),
        (b"<Response>" + b" " * 65536 + b"</Response>", 11750),
        (b"<Response><Pay/></Response>", 12400),
        (b"<Response><Dial><Sip>sip:a@b</Sip></Dial></Response>", 12400),
    ],
)
def test_an_unusable_document_has_its_code(body: bytes, code: int) -> None:
    with pytest.raises(TwimlError) as refused:
        parse(body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "body",
    [
        "<say/>",
        "<Say Voice='man'/>",
        "<Say loop='-1'/>",
        "<Pause length='1.5'/>",
        "<Gather numDigits='0'/>",
        "<Gather finishOnKey='##'/>",
        "<Redirect method='PUT'/>",
        "<Dial timeout='soon'/>",
        "<Dial><Conference beep='yes'/></Dial>",
        "<Dial><Conference statusCallbackEvent='start,end'/></Dial>",
        "<Dial><Client statusCallbackEvent=\"['ringing']\"/></Dial>",
        "<Enqueue waitMethod='GET'/>",
        "<Record transcribe='true'/>",
        "<Start><Recording trim='yes'/></Start>",
        "<Number/>",
        "<Say><Play/></Say>",
    ],
)
def test_what_does_not_exist_is_left_out_with_a_warning(body: str) -> None:
    assert codes(body) == [12200]


def test_only_prompts_go_into_a_gather() -> None:
    assert codes("<Gather><Say/><Play/><Pause/><Dial/></Gather>") == [13320]


def test_an_attribute_without_effect_here_is_named() -> None:
    assert codes("<Dial hangupOnStar='true'/>") == [12400]


def test_attributes_text_and_nouns_are_read() -> None:
    body = b"""<Response><Dial action='/x' timeout='20'><Conference endConferenceOnExit='true' waitUrl=''>
        room </Conference></Dial></Response>"""
    dial = parse(body).verbs[0]
    room = dial.children[0]
    assert (dial.get("action"), dial.number("timeout", 30)) == ("/x", 20)
    assert (room.text, room.flag("endConferenceOnExit", False), room.get("waitUrl", "absent")) == ("room", True, "")
