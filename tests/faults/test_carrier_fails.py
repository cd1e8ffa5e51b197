"""The carrier asks for patience, answers nonsense, half or nothing, or refuses our key (F10–F14): with our own client
against a server that does so. Callers are not touched by it."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest

from callcenter.carrier import http, media
from callcenter.db import create_engine_for, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierUnavailable
from callcenter.ports import Carrier
from callcenter.services.ingest import run_once
from tests.contracts.carrier_rig import carrier_at
from tests.factories import NOW, create_clinic
from tests.retention.world import AUDIO, World
from tests.webhooks.door import NUMBER, verbs
from tests.webhooks.door import Carrier as Caller

LATER = timedelta(minutes=20)
DOOR = "https://door.example.org"


class Server(ThreadingHTTPServer):
    """A carrier's REST side that keeps recordings and, once told so, answers everything with ``trouble``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.trouble: Callable[[Handler], None] | None = None
        self.media: set[str] = set()
        self.asked: list[str] = []
        self.secret: str | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Recordings: the sound, and deleting it."""

    def do_GET(self) -> None:
        if self._begun() and self._sid in self._carrier.media:
            self.answer(200, AUDIO, "audio/x-wav")

    def do_DELETE(self) -> None:
        if not self._begun():
            return
        if self._sid in self._carrier.media:
            self._carrier.media.remove(self._sid)
            self.answer(204)
        else:
            self.refuse(404, 20404)

    def refuse(self, status: int, code: int, *, wait: int = 0) -> None:
        self.answer(status, json.dumps({"code": code, "status": status}).encode(), "application/json", wait=wait)

    def answer(self, status: int, body: bytes = b"", kind: str = "text/plain", *, cut: int = 0, wait: int = 0) -> None:
        """``cut`` bytes are announced and missing; ``wait`` is for how many seconds nobody should ask again."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if wait:
            self.send_header("Retry-After", str(wait))
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.close_connection = True

    def log_message(self, *args: object) -> None: ...

    @property
    def _carrier(self) -> Server:
        return cast(Server, self.server)

    @property
    def _sid(self) -> str:
        return self.path.partition("?")[0].rsplit("/", 1)[-1].removesuffix(".wav").removesuffix(".json")

    def _begun(self) -> bool:
        self._carrier.asked.append(f"{self.command} {self._sid}")
        if self._carrier.secret is not None and self._carrier.secret not in self.headers.get("Authorization", ""):
            self.refuse(401, 20003)
            return False
        if self._carrier.trouble is not None:
            self._carrier.trouble(self)
            return False
        return True


def _hangs(handler: Handler) -> None:
    threading.Event().wait(3)
    handler.close_connection = True


TROUBLES: dict[str, Callable[[Handler], None]] = {
    "429": lambda handler: handler.refuse(429, 20429, wait=120),
    "500": lambda handler: handler.refuse(500, 20500),
    "503 of a proxy": lambda handler: handler.answer(503, b"<html>busy</html>", "text/html"),
    "broken off": lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
    "silent": _hangs,
    "nonsense": lambda handler: handler.answer(200, b"<html>log in</html>", "text/html"),
}


@pytest.fixture
def server() -> Iterator[Server]:
    """A carrier in order."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    """What the carrier does has nothing to do with the kind of database."""
    engine = create_engine_for(sqlite_url)
    yield World(engine)
    engine.dispose()


@pytest.fixture
def carrier(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Carrier:
    """Our client, less patient than in life."""
    monkeypatch.setattr(http, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(media, "STALL_SECONDS", 1.0)
    return carrier_at(server.address, DOOR, tmp_path)


def _use(world: World, carrier: Carrier) -> None:
    world.carrier.carrier = lambda: carrier  # type: ignore[method-assign]


def _recordings(world: World, server: Server) -> tuple[str, str]:
    """One to be copied and one to be purged, both at the carrier."""
    waiting = {"state": RecordingState.COPYING, "duration_seconds": 2, "expires_at": NOW + timedelta(days=9)}
    copied = world.recording(versions=0, carrier_call_sid=None, **waiting)  # type: ignore[arg-type]
    purged = world.recording(carrier_call_sid=None)
    server.media |= {str(world.row(one).carrier_recording_sid) for one in (copied, purged)}
    return copied, purged


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_the_carrier_does_not_do_now_is_done_later(
    world: World, server: Server, carrier: Carrier, trouble: str
) -> None:
    _use(world, carrier)
    copied, purged = _recordings(world, server)
    server.trouble = TROUBLES[trouble]
    assert run_once(world.engine, carrier, world.store, NOW)
    world.sweep()
    for one, state in ((copied, RecordingState.COPYING), (purged, RecordingState.PURGING)):
        row = world.row(one)
        assert (row.state, row.failure) == (state, "carrier_unavailable")
        assert row.next_attempt_at >= NOW + timedelta(seconds=120 if trouble == "429" else 0)
    assert (world.s3.names(), world.ledger(), len(server.media)) == ([], [], 2)
    if trouble == "429":
        asked = len(server.asked)
        world.now += timedelta(seconds=119)
        assert not run_once(world.engine, carrier, world.store, world.now)
        world.sweep()
        assert len(server.asked) == asked, "asked again before it may be"
    server.trouble = None
    world.now = NOW + LATER
    while run_once(world.engine, carrier, world.store, world.now):
        pass
    assert world.sweep().deleted == 1
    assert (world.row(copied).state, server.media, len(world.ledger())) == (RecordingState.STORED, set(), 1)


def test_a_carrier_whose_name_is_not_found_is_away(
    world: World, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = carrier_at("http://localhost:9", DOOR, tmp_path)
    _use(world, carrier)
    copied, purged = _recordings(world, server)

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as no_names:
        no_names.setattr(socket, "getaddrinfo", unknown)
        run_once(world.engine, carrier, world.store, NOW)
        world.sweep()
    assert {world.row(one).failure for one in (copied, purged)} == {"carrier_unavailable"}


@pytest.mark.parametrize("cut", [1, len(AUDIO) // 2, len(AUDIO)])
def test_audio_that_breaks_off_is_not_stored_and_comes_whole_later(
    world: World, server: Server, carrier: Carrier, cut: int
) -> None:
    copied, _ = _recordings(world, server)
    server.trouble = lambda handler: handler.answer(200, AUDIO, "audio/x-wav", cut=cut)
    run_once(world.engine, carrier, world.store, NOW)
    assert world.row(copied).state == RecordingState.COPYING
    assert world.row(copied).store_key not in world.s3.names()
    server.trouble = None
    run_once(world.engine, carrier, world.store, NOW + LATER)
    assert world.row(copied).state == RecordingState.STORED


def test_what_is_not_complete_yet_waits_a_minute_and_keeps_nobody_else(
    world: World, server: Server, carrier: Carrier
) -> None:
    _use(world, carrier)
    unfinished = [world.recording(carrier_call_sid=None) for _ in range(7)]
    ready = [world.recording(carrier_call_sid=None) for _ in range(3)]
    server.media |= {str(world.row(one).carrier_recording_sid) for one in (*unfinished, *ready)}
    theirs = {str(world.row(one).carrier_recording_sid) for one in unfinished}

    def some(handler: Handler) -> None:
        if handler._sid in theirs:
            handler.refuse(400, 20009)
        else:
            server.media.discard(handler._sid)
            handler.answer(204)

    server.trouble = some
    result = world.sweep()
    assert (result.deleted, result.failed) == (3, 7)
    assert all(world.row(one).next_attempt_at >= NOW + timedelta(seconds=60) for one in unfinished)
    server.trouble = None
    world.now += LATER
    assert world.sweep().deleted == 7


def test_a_clinic_whose_recordings_always_fail_does_not_take_anothers_turn(world: World) -> None:
    poisoned, healthy = world.clinic(), world.clinic()
    bad = [world.recording(poisoned, next_attempt_at=NOW - timedelta(days=2)) for _ in range(40)]
    good = [world.recording(healthy) for _ in range(5)]
    down = CarrierUnavailable("down", status=500)
    world.carrier.errors = {str(world.row(one).carrier_recording_sid): [down] * 999 for one in bad}
    for minutes in range(1, 15):
        world.sweep()
        world.now = NOW + timedelta(minutes=minutes)
    assert {world.states()[one] for one in good} == {RecordingState.PURGED}
    assert {world.states()[one] for one in bad} == {RecordingState.PURGING}
    assert len(world.carrier.deletions) < 15 * 10, "the carrier is left alone after a few failures in a row"
    world.carrier.errors.clear()
    world.now += LATER
    assert world.sweep().deleted == len(bad)


def test_after_429_nobody_is_asked_for_as_long_as_the_carrier_wants(world: World) -> None:
    turns = [world.recording(world.clinic(), next_attempt_at=NOW - timedelta(hours=9 - n)) for n in range(6)]
    busy = CarrierUnavailable("429", status=429, retry_after_seconds=120, maybe_done=False)
    world.carrier.errors[str(world.row(turns[2]).carrier_recording_sid)] = [busy]
    assert world.sweep().deleted == 2
    asked = len(world.carrier.deletions)
    world.now += timedelta(seconds=119)
    world.sweep()
    assert len(world.carrier.deletions) == asked
    world.now += timedelta(seconds=2)
    assert world.sweep().deleted == 4


@pytest.mark.parametrize("trouble", ["500", "silent"])
def test_callers_do_not_notice_that_the_carriers_rest_side_is_away(
    sqlite_url: str, server: Server, tmp_path: Path, trouble: str
) -> None:
    server.trouble = TROUBLES[trouble]
    engine = create_engine_for(sqlite_url)
    with transaction(engine) as session:
        create_clinic(session, number=NUMBER, name="Oak Lane")
    door = Caller.to_new_door(engine, tmp_path, TWILIO_API_BASE_URL=server.address)
    assert "Enqueue" in verbs(door.rings())
    assert server.asked == []
    door.door.close()
    engine.dispose()


def test_a_key_that_was_replaced_is_refused_and_never_taken_for_gone(
    world: World, server: Server, carrier: Carrier, tmp_path: Path
) -> None:
    _use(world, carrier)
    copied, purged = _recordings(world, server)
    new = {"TWILIO_REST_KEY_SID": "SK" + "2" * 32, "TWILIO_REST_KEY_SECRET": "the-new-secret-of-the-tests"}
    server.secret = base64.b64encode(":".join(new.values()).encode()).decode()
    run_once(world.engine, carrier, world.store, NOW)
    assert world.sweep().failed == 1
    assert {world.row(one).failure for one in (copied, purged)} == {"carrier_refused"}
    assert (len(server.media), world.ledger()) == (2, [])
    renewed = carrier_at(server.address, DOOR, tmp_path, **new)
    _use(world, renewed)
    world.now += LATER
    while run_once(world.engine, renewed, world.store, world.now):
        pass
    assert world.sweep().deleted == 1
    assert (world.row(copied).state, server.media) == (RecordingState.STORED, set())
