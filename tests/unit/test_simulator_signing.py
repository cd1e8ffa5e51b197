"""The simulator signs as Twilio does (vectors of twilio-voice.md §1.5)."""

import pytest
from twilio.request_validator import RequestValidator

from callcenter.simulator.signing import signature, signed_url

FIELDS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675310"),
    ("Digits", "1234"),
    ("From", "+14158675310"),
    ("To", "+18005551212"),
]


@pytest.mark.parametrize(
    ("url", "fields", "expected"),
    [
        ("https://example.com/myapp.php?foo=1&bar=2", FIELDS, "L/OH5YylLD5NRKLltdqwSvS0BnU="),
        ("https://voice.example.org/webhooks/voice/inbound", FIELDS, "qeT64oRw+FATdxjqfyDVFXzHSaQ="),
        ("https://example.com/cb?a=1&CallSid=CA1&From=%2B14158675310", [], "0Wn9nkg7W+T+m9c5TzEFqthgfus="),
    ],
)
def test_the_published_vectors_are_met(url: str, fields: list[tuple[str, str]], expected: str) -> None:
    assert signature("12345", url, fields) == expected


def test_the_order_of_the_fields_does_not_matter() -> None:
    url = "https://example.com/"
    assert signature("12345", url, reversed(FIELDS)) == signature("12345", url, FIELDS)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:secret@example.com:8443/a?b=c#rc=2", "https://example.com/a?b=c"),
        ("http://user:secret@127.0.0.1:8000/a", "http://127.0.0.1:8000/a"),
        ("https://[::1]:8443/a", "https://[::1]/a"),
        ("https://example.com/%C3%BC%7E?x=%3A%2F", "https://example.com/%C3%BC%7E?x=%3A%2F"),
    ],
)
def test_credentials_fragment_and_https_port_are_not_signed(url: str, expected: str) -> None:
    assert signed_url(url) == expected


def test_the_library_accepts_blank_fields_and_other_scripts() -> None:
    fields = {"CallerName": "Zoë Ünal", "Digits": "", "a": "1", "B": "2"}
    url = "http://127.0.0.1:8000/webhooks/voice/incoming?x=%20"
    assert RequestValidator("12345").validate(url, fields, signature("12345", url, fields.items()))
