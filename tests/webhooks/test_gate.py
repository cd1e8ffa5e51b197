"""Nothing gets in without the carrier's signature, and with it only what the carrier would send (S1 to S8)."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from twilio.request_validator import RequestValidator

from callcenter.db import create_engine_for, reading
from callcenter.errors import ConfigurationError
from callcenter.models import Call
from tests.webhooks.door import ACCOUNT, BASE, CALLER, NUMBER, TOKEN, Carrier, settings, twiml
from webhooks.app import create_app
from webhooks.security import OPEN_ENDPOINTS

RINGS = {"AccountSid": ACCOUNT, "CallSid": CALLER, "From": "+447700900123", "To": NUMBER, "CallStatus": "ringing"}
INCOMING = "/webhooks/voice/incoming"
NAMED = {"call_id": "a" * 32, "offer_id": "b" * 32, "recording_id": "c" * 32, "turn": "1", "wanted": "d" * 32}


@pytest.fixture
def door(tmp_path: Path, sqlite_url: str) -> Iterator[Carrier]:
    """A door; what the gate does is the same on every database."""
    engine = create_engine_for(sqlite_url)
    carrier = Carrier.to_new_door(engine, tmp_path)
    yield carrier
    carrier.door.close()
    engine.dispose()


def signature(target: str, form: dict[str, str]) -> str:
    return str(RequestValidator(TOKEN).compute_signature(BASE + target, form))


class Unread(io.RawIOBase):
    """A body that must not be asked for."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        raise AssertionError("the body was read")


def every_address(carrier: Carrier) -> list[tuple[str, str]]:
    adapter = carrier.app.url_map.bind("door.example.org")
    return [
        (method, adapter.build(rule.endpoint, {name: NAMED[name] for name in rule.arguments}, method=method))
        for rule in carrier.app.url_map.iter_rules()
        if rule.endpoint not in OPEN_ENDPOINTS
        for method in sorted(rule.methods or ())
    ]


@pytest.mark.parametrize("header", [None, ""])
def test_what_is_not_signed_is_refused_before_its_body_is_read(door: Carrier, header: str | None) -> None:
    body = {"wsgi.input": Unread(), "CONTENT_LENGTH": "100"}
    answer = door.raw(INCOMING, "", header, environ_overrides=body)
    assert (answer.status_code, answer.data) == (403, b"")


def test_every_address_refuses_whoever_does_not_sign(door: Carrier) -> None:
    addresses = every_address(door)
    assert len({path for _, path in addresses}) >= 16
    for method, path in [
        *addresses,
        ("POST", "/"),
        ("POST", "/webhooks/voice/nothing"),
        ("GET", "/webhooks"),
        ("PUT", INCOMING),
    ]:
        for header in (None, "", "bm9uc2Vuc2U="):
            answer = door.raw(path, "CallSid=" + CALLER, header, method=method)
            assert (answer.status_code, answer.data) == (403, b""), (method, path)


def test_only_fixed_audio_and_probes_are_open() -> None:
    assert sorted(OPEN_ENDPOINTS) == ["media.media", "probes.healthz", "probes.metrics", "probes.readyz"]


def test_no_answer_sets_a_cookie(door: Carrier) -> None:
    answers = [
        door.rings(),
        door.post("/webhooks/voice/status", CallStatus="completed"),
        door.raw("/healthz", "", None),
    ]
    assert [answer.headers.get("Set-Cookie") for answer in answers] == [None, None, None]


def test_a_signature_for_something_else_is_refused(door: Carrier) -> None:
    right = signature(INCOMING, RINGS)
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in RINGS.items())
    assert door.raw(INCOMING, body, right).status_code == 200
    assert door.raw("/webhooks/voice/fallback", body, right).status_code == 403
    assert door.raw(INCOMING, body.replace("ringing", "completed"), right).status_code == 403
    assert door.raw(INCOMING, body + "&More=", right).status_code == 403
    assert door.raw(INCOMING + "?x=1", body, right).status_code == 403
    assert door.raw(INCOMING, body, signature(INCOMING, RINGS).lower()).status_code == 403


def test_what_a_request_says_about_its_own_host_changes_nothing(door: Carrier) -> None:
    lies = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil",
    }
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in RINGS.items())
    assert door.raw(INCOMING, body, signature(INCOMING, RINGS), headers=lies).status_code == 200
    forged = str(RequestValidator(TOKEN).compute_signature("http://evil.example" + INCOMING, RINGS))
    assert door.raw(INCOMING, body, forged, headers=lies).status_code == 403


@pytest.mark.parametrize("query", ["?a=1&b=%2F%7E%C3%BC", "?To=%2B44", "?x=a+b&x=c"])
def test_the_query_is_checked_as_it_was_sent_and_never_used(door: Carrier, query: str) -> None:
    assert door.send(INCOMING + query, RINGS).status_code == 200


def test_old_and_new_secret_are_accepted_during_a_rotation(tmp_path: Path, sqlite_url: str) -> None:
    next_token = "the-token-that-comes-after-this-one"
    carrier = Carrier.to_new_door(create_engine_for(sqlite_url), tmp_path, TWILIO_AUTH_TOKEN_NEXT=next_token)
    for token, status in ((TOKEN, 200), (next_token, 200), ("another-token-altogether", 403)):
        assert carrier.send(INCOMING, RINGS, token=token).status_code == status
    carrier.door.close()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"CallSid": "' + CALLER + '"}', "application/json"),
        ("CallSid=" + CALLER, "text/plain"),
        ("CallSid=" + CALLER, ""),
        ("--x\r\nContent-Disposition: form-data; name=CallSid\r\n\r\nx\r\n--x--", "multipart/form-data; boundary=x"),
    ],
)
def test_only_forms_are_taken_even_when_they_are_signed(door: Carrier, body: str, kind: str) -> None:
    form = {"CallSid": "x"} if kind.startswith("multipart") else {}
    answer = door.raw(INCOMING, body, signature(INCOMING, form), content_type=kind)
    assert (answer.status_code, answer.data) == (415, b"")


def test_a_json_body_under_a_signed_hash_is_refused(door: Carrier) -> None:
    target = INCOMING + "?bodySHA256=" + "0" * 64
    answer = door.raw(target, "{}", signature(target, {}), content_type="application/json")
    assert answer.status_code == 403


def test_get_is_refused_even_when_it_is_signed(door: Carrier) -> None:
    answer = door.raw(INCOMING, "", signature(INCOMING, {}), method="GET", content_type=None)
    assert (answer.status_code, answer.data) == (405, b"")


@pytest.mark.parametrize("size", [65 * 1024, 5 * 1024 * 1024])
def test_a_body_above_64_kb_is_refused(door: Carrier, size: int) -> None:
    form = RINGS | {"Filler": "x" * size}
    answer = door.send(INCOMING, form)
    assert (answer.status_code, answer.data) == (413, b"")


def test_repeated_parameters_and_other_accounts_are_refused(door: Carrier) -> None:
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in RINGS.items())
    # The library signs a set of values, so an equal repeat passes its check.
    repeated = door.raw(INCOMING, f"{body}&CallSid={CALLER}", signature(INCOMING, RINGS))
    foreign = door.send(INCOMING, RINGS | {"AccountSid": "AC" + "2" * 32})
    nobody = door.send(INCOMING, {name: value for name, value in RINGS.items() if name != "AccountSid"})
    assert [(a.status_code, a.data) for a in (repeated, foreign, nobody)] == [(403, b"")] * 3


@pytest.mark.parametrize("sid", ["", "CA1", "CA" + "C" * 32, CALLER + "0", CALLER + "\n", "'; DROP TABLE calls; --"])
def test_a_malformed_sid_stores_nothing_and_still_gets_a_document(door: Carrier, sid: str) -> None:
    twiml(door.send(INCOMING, RINGS | {"CallSid": sid}))
    assert door.send("/webhooks/voice/status", RINGS | {"CallSid": sid, "CallStatus": "completed"}).status_code == 400
    with reading(door.door.engine) as session:
        assert session.scalars(select(Call)).all() == []


def test_a_door_without_a_secret_does_not_start(tmp_path: Path, sqlite_url: str) -> None:
    closed = settings(tmp_path).model_copy(update={"twilio_auth_token": ""})
    with pytest.raises(ValueError, match="auth token"):
        create_app(closed, create_engine_for(sqlite_url))


def test_unknown_hold_music_is_named_at_the_start(tmp_path: Path, engine: Engine) -> None:
    ours = settings(tmp_path)
    wrong = ours.model_copy(update={"voice": ours.voice.model_copy(update={"hold_music": "polka"})})
    with pytest.raises(ConfigurationError, match="hold_music"):
        create_app(wrong, engine)
