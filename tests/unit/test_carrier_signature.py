"""The gate's check of signatures: the carrier's documented vectors, and the traps of its library."""

import pytest
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from callcenter.carrier.signature import SignatureCheck

TOKEN = "12345"
FIELDS = MultiDict(
    {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
)
NOTHING: MultiDict[str, str] = MultiDict()
EXAMPLE = SignatureCheck("https://example.com", [TOKEN])


def signed(url: str, form: MultiDict[str, str] = FIELDS, token: str = TOKEN) -> str:
    return str(RequestValidator(token).compute_signature(url, form))


@pytest.mark.parametrize(
    ("base", "target", "form", "signature"),
    [
        ("https://example.com", "/myapp.php?foo=1&bar=2", FIELDS, "L/OH5YylLD5NRKLltdqwSvS0BnU="),
        ("https://voice.example.org", "/webhooks/voice/inbound", FIELDS, "qeT64oRw+FATdxjqfyDVFXzHSaQ="),
        ("https://example.com", "/cb?a=1&CallSid=CA1&From=%2B14158675310", NOTHING, "0Wn9nkg7W+T+m9c5TzEFqthgfus="),
    ],
)
def test_the_documented_signatures_are_accepted(
    base: str, target: str, form: MultiDict[str, str], signature: str
) -> None:
    check = SignatureCheck(base, [TOKEN])
    assert check.accepts(target, form, signature)
    assert not check.accepts(target + "x", form, signature)
    assert not check.accepts(target, form, signature.swapcase())


def test_a_request_with_a_body_hash_is_refused_because_the_library_would_not_check_the_body() -> None:
    target = "/myapp?bodySHA256=5ccde7145dfb8f56479710896586cb9d5911809d83afbe34627818790db0aec9"
    signature = "hPXmLwIy3Fgqv1i9KPmH/HhQ6zo="
    assert RequestValidator(TOKEN).validate("https://example.com" + target, NOTHING, signature)
    assert not EXAMPLE.accepts(target, NOTHING, signature)


@pytest.mark.parametrize("header", [None, "", " ", "=", "é", "x" * 10_000, "L/OH5YylLD5NRKLltdqwSvS0BnU"])
def test_a_missing_or_garbled_header_is_a_no_and_not_an_error(header: str | None) -> None:
    assert not EXAMPLE.accepts("/myapp.php?foo=1&bar=2", FIELDS, header)


def test_escapes_count_as_they_were_sent() -> None:
    target = "/caf%C3%A9?to=a%3A%2F%2Fb&x=%7E"
    signature = signed("https://example.com" + target)
    assert EXAMPLE.accepts(target, FIELDS, signature)
    assert not EXAMPLE.accepts("/café?to=a://b&x=~", FIELDS, signature)


def test_blank_and_repeated_fields_are_part_of_what_is_signed() -> None:
    form = MultiDict([("Digits", ""), ("Event", "b"), ("Event", "a"), ("Event", "a")])
    assert EXAMPLE.accepts("/x", form, signed("https://example.com/x", form))
    assert not EXAMPLE.accepts("/x", MultiDict(form.to_dict()), signed("https://example.com/x", form))


def test_a_fragment_is_never_part_of_the_signature() -> None:
    assert EXAMPLE.accepts("/x#rc=2", FIELDS, signed("https://example.com/x"))


@pytest.mark.parametrize("signed_as", ["https://example.com/x", "https://example.com:443/x"])
def test_over_https_the_port_does_not_matter(signed_as: str) -> None:
    assert EXAMPLE.accepts("/x", FIELDS, signed(signed_as))


def test_over_http_the_port_belongs_to_the_signed_address() -> None:
    check = SignatureCheck("http://127.0.0.1:8000", [TOKEN])
    assert check.accepts("/x", FIELDS, signed("http://127.0.0.1:8000/x"))
    assert not check.accepts("/x", FIELDS, signed("http://127.0.0.1:8001/x"))


@pytest.mark.parametrize("target", ["", "x", "http://example.com/x", "*", "//", "/x;", "/x;?", "/x;#y"])
def test_only_a_plain_path_is_looked_at(target: str) -> None:
    signature = signed("https://example.com/x")
    assert not EXAMPLE.accepts(target, FIELDS, signature)


def test_during_a_rotation_old_and_new_secret_are_accepted_and_no_other() -> None:
    check = SignatureCheck("https://example.com", ["the-old-one", "the-new-one"])
    for token, accepted in (("the-old-one", True), ("the-new-one", True), ("another-one", False), ("", False)):
        assert check.accepts("/x", FIELDS, signed("https://example.com/x", token=token)) is accepted


@pytest.mark.parametrize("secrets", [[], [""], ["good", ""]])
def test_a_door_without_a_secret_does_not_open(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="auth token"):
        SignatureCheck("https://example.com", secrets)
