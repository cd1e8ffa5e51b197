"""Nobody but the carrier is heard at the door: requests that were tampered with in every way we could think of (S1-S6).

A forgery counts as accepted when it gets anything but a refusal with an empty body, or when a thread of the door so
much as begins a transaction for it. What the signature covers is computed by the test itself (tests/faults/forgery.py).
"""

import http.client
import io
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urldefrag

import pytest
from flask import Flask
from sqlalchemy import Engine, event, select
from werkzeug.test import run_wsgi_app

from callcenter import clock
from callcenter.carrier import callbacks
from callcenter.carrier.urls import DoorUrls
from callcenter.db import create_engine_for, transaction
from callcenter.domain.phone_numbers import caller_number
from callcenter.errors import BadInput, Forbidden
from callcenter.models import Base, Call, Clinic
from tests.campaigns import runs
from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, CLINIC
from tests.factories import create_clinic, create_offer, create_receptionist, create_recording
from tests.faults.forgery import SIGNATURE, Forger, Request, genuine
from tests.webhooks.door import ACCOUNT, BASE, CALLER, NUMBER, TOKEN, Carrier, settings, target_of
from tests.webhooks.test_served import served
from webhooks.app import create_app

pytestmark = pytest.mark.campaign

COMMON = {"AccountSid": ACCOUNT, "ApiVersion": "2010-04-01", "CallSid": CALLER, "FromCity": "", "FromCountry": "GB"}
RINGS = COMMON | {"From": "+447700900123", "To": NUMBER, "Caller": "+447700900123", "CallStatus": "ringing"}
ENDED = COMMON | {"CallStatus": "completed", "CallDuration": "75", "SequenceNumber": "12", "To": NUMBER}
QUEUE = {"QueueSid": "QU" + "1" * 32, "QueuePosition": "1", "QueueTime": "12"}
WORDS = {"CallStatus", "RecordingStatus", "StatusCallbackEvent", "QueueResult"}
KNOWN_WORDS = {"ringing", "in-progress", "completed", "absent", "participant-join"}
REFUSALS = range(400, 500)


@dataclass
class Watched:
    """The door without a server around it, and how often it began a transaction."""

    app: Flask
    engine: Engine
    genuine: list[Request]
    transactions: list[str] = field(default_factory=list)

    def send(self, one: Request) -> tuple[int, bytes]:
        """Status and body of the answer to a request as a server hands it over."""
        parts, status, _headers = run_wsgi_app(self.app.wsgi_app, environ_of(one))
        return int(status.split()[0]), b"".join(parts)


def environ_of(one: Request) -> dict[str, Any]:
    path, _, query = urldefrag(one.target).url.partition("?")
    body = one.body
    return {
        "REQUEST_METHOD": one.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path.encode("utf-8", "surrogatepass")).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": one.target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": one.content_type,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "door.example.org",
        "HTTP_X_TWILIO_SIGNATURE": one.signature,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in one.headers},
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def every_kind(engine: Engine, base: str = BASE, account: str = ACCOUNT, token: str = TOKEN) -> list[Request]:
    """One genuine request of each kind, about rows that are there."""
    with transaction(engine) as session:
        call = session.scalars(select(Call)).one()
        receptionist = create_receptionist(session, session.get_one(Clinic, call.clinic_id))
        offer = create_offer(session, call, receptionist)
        recording = create_recording(session, call)
        ids = (call.id, offer.id, recording.id)
    urls, (call_id, offer_id, recording_id) = DoorUrls(base, "ie1"), ids
    conference = {"ConferenceSid": "CF" + "f" * 32, "StatusCallbackEvent": "participant-join", "SequenceNumber": "1"}
    sound = {"RecordingSid": "RE" + "e" * 32, "RecordingStatus": "completed", "RecordingDuration": "17"}
    kinds: list[tuple[str, dict[str, str]]] = [
        (urls.incoming(), RINGS),
        (urls.incoming() + "?x=%7E%2F&y=a+b", RINGS),
        (urls.status(), ENDED | {"Timestamp": format_datetime(clock.now() + timedelta(minutes=1))}),
        (urls.call("wait", call_id, 1), COMMON | QUEUE),
        (urls.call("key", call_id, 1), COMMON | {"Digits": "9", "msg": "Gather End"}),
        (urls.call("next", call_id, 1), COMMON),
        (urls.offer("answer", offer_id), COMMON | {"Direction": "outbound-api"}),
        (urls.offer_status(offer_id), COMMON | {"CallStatus": "ringing", "SequenceNumber": "1"}),
        (urls.conference_status(call_id, 1), conference | COMMON),
        (urls.recording(recording_id), COMMON | sound | {"RecordingUrl": "https://api.twilio.com/x", "Msg": "ü\u2028"}),
    ]
    return [genuine(target_of(url), fields | {"AccountSid": account}, token, base) for url, fields in kinds]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nobody reads a hundred thousand refusals."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def door(tmp_path: Path, sqlite_url: str, quiet: None) -> Iterator[Watched]:
    """A door behind which a call waits; the gate is the same on every database."""
    engine = create_engine_for(sqlite_url)
    with transaction(engine) as session:
        clinic = create_clinic(session, number=NUMBER)
        create_receptionist(session, clinic, heartbeat_at=clock.now())
    app = create_app(settings(tmp_path), engine)
    Carrier(app).rings()
    watched = Watched(app, engine, every_kind(engine))

    @event.listens_for(engine, "begin")
    def count(_connection: object) -> None:
        if threading.current_thread().name.startswith("door-database"):
            watched.transactions.append("begun")

    yield watched
    app.extensions["door"].close()
    engine.dispose()


def what_is_there(engine: Engine) -> dict[str, Any]:
    """The rows of each table and the states of what has one. The events are left out: under a right signature the
    number of a notification can be hidden, and the same fact is then noted once more, to no effect."""
    found: dict[str, Any] = {}
    with engine.connect() as connection:
        for table in (table for table in Base.metadata.sorted_tables if table.name != "carrier_events"):
            columns = [*table.primary_key, *(table.c[name] for name in ("state", "outcome") if name in table.c)]
            found[table.name] = sorted(map(str, connection.execute(select(*columns))))
    return found


def read(one: Request) -> dict[str, str] | None:
    """The parameters that we would use, numbers only where they are numbers and words only where they are known; None
    when we would use nothing."""
    try:
        fields = dict(callbacks.read(one.sent_pairs, ACCOUNT))
    except (BadInput, Forbidden):
        return None
    usable = {"From": caller_number(fields.get("From")), "To": callbacks.dialled_number(fields)}
    unknown = {name: None for name in WORDS & fields.keys() if fields[name] not in KNOWN_WORDS}
    return {name: value for name, value in (fields | usable | unknown).items() if value is not None}


def test_the_genuine_requests_are_answered(door: Watched) -> None:
    answers = [door.send(one)[0] for one in door.genuine]
    assert set(answers) <= {200, 204}
    assert all(one.is_signed_with(TOKEN) for one in door.genuine)
    assert len(door.transactions) >= len(door.genuine)


def test_no_forged_request_is_accepted(door: Watched, figures: Callable[..., None]) -> None:
    for one in door.genuine:
        door.send(one)
    before = what_is_there(door.engine)
    verdicts: Counter[str] = Counter()
    for seed in range(runs(4_000, 100_000)):
        original, forged = Forger(door.genuine, seed).forge()
        door.transactions.clear()
        status, body = door.send(forged)
        refused = status in REFUSALS and not body and not door.transactions
        if not forged.is_signed_with(TOKEN):
            assert refused, (seed, status, body, forged)
            verdicts["forged"] += 1
        elif forged.says_the_same_as(original):
            assert status in (200, 204), (seed, status, forged)
            verdicts["the same in other words"] += 1
        elif refused:
            verdicts["under a right signature, refused"] += 1
        else:
            used, meant = read(forged), read(original)
            assert used is None or used.items() <= (meant or {}).items(), (seed, status, used, meant)
            verdicts["under a right signature, less is understood"] += 1
    assert what_is_there(door.engine) == before
    figures(**{"requests": sum(verdicts.values()), "accepted": 0, **verdicts})


def over_the_wire(base: str, one: Request) -> tuple[int, bytes]:
    """Status and body of the answer of a real server; the request is sent byte for byte, whatever is in it."""
    host, _, port = base.removeprefix("http://").partition(":")
    headers = {"Host": "door.example.org", "Content-Type": one.content_type, SIGNATURE: one.signature}
    headers |= {"Content-Length": str(len(one.body)), "Connection": "close"} | dict(one.headers)
    lines = [f"{one.method} {one.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + one.body)
        answer = http.client.HTTPResponse(connection, method=one.method)
        answer.begin()
        return answer.status, answer.read()


def test_no_forged_request_is_accepted_by_the_real_server(
    sqlite_url: str, tmp_path: Path, figures: Callable[..., None]
) -> None:
    engine = create_engine_for(sqlite_url)
    with transaction(engine) as session:
        create_receptionist(session, create_clinic(session, number=CLINIC), heartbeat_at=clock.now())
    with served(sqlite_url, tmp_path) as base:
        rings = RINGS | {"AccountSid": ACCOUNT_SID, "To": CLINIC}
        first = genuine("/webhooks/voice/incoming", rings, AUTH_TOKEN, base)
        assert over_the_wire(base, first)[0] == 200
        kinds = [first, *every_kind(engine, base, ACCOUNT_SID, AUTH_TOKEN)[2:]]
        assert {over_the_wire(base, one)[0] for one in kinds} == {200, 204}
        before, refused = what_is_there(engine), 0
        for seed in range(runs(500, 5_000)):
            _, forged = Forger(kinds, seed).forge()
            if not forged.is_signed_with(AUTH_TOKEN):
                status, body = over_the_wire(base, forged)
                assert 400 <= status <= 501, (seed, status, forged)
                assert (body, status != 500) == (b"", True), (seed, status, forged)
                refused += 1
        assert what_is_there(engine) == before
    engine.dispose()
    figures(requests=refused, accepted=0)
