"""kill -9 at the worst moments: after a restart every call is closed as it really went, every recording stored once."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select

from callcenter.db import reading
from callcenter.domain.calls import JOIN_WITHIN_SECONDS, CallState, EndedBy, OfferState, Outcome
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, CarrierCommand, Offer, Recording
from tests.e2e.processes import below, command_line
from tests.e2e.rig import Rig, installation

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(300)]

STAY = [{"wait_for": "connected", "timeout": 120}, {"say": "I would like to book."}]
AWAY_SECONDS = JOIN_WITHIN_SECONDS + 3
"""Longer than an answered receptionist may be kept waiting for a caller who is on the way."""
TALK = [*STAY, {"wait": 4}, {"hang_up": True}]


@pytest.fixture(scope="module")
def shared(sqlite_template, tmp_path_factory) -> Iterator[Rig]:  # type: ignore[no-untyped-def]
    directory: Path = tmp_path_factory.mktemp("kill")
    with installation(directory, sqlite_template.copy_to(directory / "callcenter.db")) as rig:
        yield rig


@pytest.fixture
def rig(shared: Rig) -> Rig:
    """One installation for several tests, with a carrier that behaves and softphones that answer."""
    shared.faults()
    for receptionist in (shared.cast.rosie, shared.cast.robin):
        shared.softphone(receptionist)
    return shared


def test_a_crash_in_the_middle_of_calls_neither_breaks_them_nor_hides_their_end(
    tmp_path: Path, postgresql_url: str
) -> None:
    with installation(tmp_path, postgresql_url) as rig:
        leaver, talker = rig.dial(steps=STAY), rig.dial(steps=STAY)
        for sid in (leaver, talker):
            rig.until_state(sid, CallState.CONNECTED)
            rig.until_recorded(sid)
        waiter = rig.dial(steps=STAY)
        rig.until_state(waiter, CallState.QUEUED)
        rig.kill_serve()
        _hang_up(rig, leaver)
        rig.until("the carrier has given the waiting caller up", lambda: not rig.phone(waiter)["live"], seconds=60)
        rig.start_serve()

        waited = rig.until_settled(waiter)
        assert (waited.outcome, waited.connected_at, rig.recordings(waiter)) == (Outcome.ABANDONED, None, [])
        left = rig.until_settled(leaver)
        assert (left.outcome, left.ended_by, left.turn) == (Outcome.ANSWERED, EndedBy.CALLER, 1)
        hung_up_at = datetime.fromisoformat(rig.phone(leaver)["ended_at"])
        assert left.ended_at is not None
        assert abs(left.ended_at - hung_up_at) <= timedelta(seconds=1), "when it ended, not when we found out"

        talking = rig.until_state(talker, CallState.CONNECTED)
        rig.until("the carrier was asked about it", lambda: _done(rig, talking, CommandKind.VERIFY_CALL))
        assert rig.api("POST", f"/calls/{talking.id}/hold").status_code == 202
        rig.until("held", lambda: rig.api("GET", f"/calls/{talking.id}").json()["hold"] == "held")
        assert rig.api("POST", f"/calls/{talking.id}/hang-up").status_code == 202
        talked = rig.until_settled(talker)
        assert (talked.outcome, talked.ended_by, talked.turn) == (Outcome.ANSWERED, EndedBy.RECEPTIONIST, 1)

        with reading(rig.engine) as session:
            assert session.scalar(select(func.count()).select_from(Call)) == 3
        _recordings_are_kept_once(rig, leaver, talker)


def test_a_crash_in_the_middle_of_copying_and_of_deleting_leaves_one_recording_each(rig: Rig) -> None:
    late = {"action": "delay", "seconds": 8, "times": 1}
    rig.faults({"match": {"kind": "media"}, **late}, {"match": {"kind": "rest", "method": "DELETE"}, **late})
    copying = rig.dial(steps=TALK)
    rig.until("its copy is held up", lambda: _asked(rig, "media", ".wav"))
    deleting = rig.dial(steps=TALK)
    rig.until("its deletion is held up", lambda: _asked(rig, "rest", "/Recordings/", "DELETE"))
    assert rig.recordings(copying)[0].state == RecordingState.COPYING
    assert rig.recordings(deleting)[0].state == RecordingState.STORED
    rig.kill_serve()
    rig.start_serve()

    for sid in (copying, deleting):
        assert rig.until_settled(sid).outcome == Outcome.ANSWERED
    _recordings_are_kept_once(rig, copying, deleting)
    assert list(rig.store.rglob("*.part")) == [], "what the crash left of the first copy"


def test_a_caller_is_connected_by_the_next_worker_when_one_dies_while_it_rings(rig: Rig) -> None:
    for receptionist in (rig.cast.rosie, rig.cast.robin):
        rig.softphone(receptionist, answer_after_seconds=6)
    slow = {"action": "delay", "seconds": 2, "times": None}
    rig.faults({"match": {"kind": "rest", "path_contains": "/Members/"}, **slow})
    before = rig.child("worker")
    sid = rig.dial(steps=TALK)
    rig.until("it rings", lambda: [offer for offer in _offers(rig, sid) if offer.state == OfferState.RINGING])
    until = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < until:
        rig.kill_child("worker")
        time.sleep(0.2)
    assert [offer.state for offer in _offers(rig, sid)] == [OfferState.ACCEPTED], "answered while no worker was there"
    call = rig.until_settled(sid)
    assert rig.child("worker") != before
    assert (call.outcome, call.turn) == (Outcome.ANSWERED, 1)
    assert [offer.state for offer in _offers(rig, sid)] == [OfferState.ACCEPTED]
    _recordings_are_kept_once(rig, sid)


def test_a_door_that_dies_during_a_call_is_replaced_and_the_call_goes_on(rig: Rig) -> None:
    before = rig.child("http")
    assert before is not None
    servers = below(before)
    sid = rig.dial(steps=STAY)
    rig.until_state(sid, CallState.CONNECTED)
    rig.until_recorded(sid)
    rig.kill_child("http")
    rig.until("it took its server along", lambda: not any(map(command_line, servers)))
    rig.until("another answers", lambda: requests.get(f"{rig.web}/readyz", timeout=2).ok, seconds=60)
    call = rig.until_state(sid, CallState.CONNECTED)
    assert rig.api("POST", f"/calls/{call.id}/hang-up").status_code == 202
    call = rig.until_settled(sid)
    assert (call.outcome, call.ended_by, call.turn) == (Outcome.ANSWERED, EndedBy.RECEPTIONIST, 1)
    _recordings_are_kept_once(rig, sid)


def _hang_up(rig: Rig, sid: str) -> None:
    requests.post(f"{rig.control}/calls/{sid}/hang_up", timeout=10).raise_for_status()


def _asked(rig: Rig, kind: str, url: str, method: str = "GET") -> bool:
    """Whether we have asked the carrier for something that it has not answered yet."""
    exchanges = requests.get(f"{rig.control}/exchanges", timeout=10).json()["exchanges"]
    return any(
        one["kind"] == kind and url in one["url"] and one["method"] == method and one["milliseconds"] is None
        for one in exchanges
    )


def _done(rig: Rig, call: Call, kind: CommandKind) -> bool:
    with reading(rig.engine) as session:
        query = select(CarrierCommand.id).where(
            CarrierCommand.call_id == call.id, CarrierCommand.kind == kind, CarrierCommand.state == CommandState.DONE
        )
        return bool(session.scalars(query).all())


def _offers(rig: Rig, sid: str) -> list[Offer]:
    with reading(rig.engine) as session:
        query = select(Offer).join(Call, Call.id == Offer.call_id).where(Call.carrier_call_sid == sid)
        return list(session.scalars(query.order_by(Offer.created_at)))


def _recordings_are_kept_once(rig: Rig, *sids: str) -> None:
    """One row and one object for each of these calls, and nothing left at the carrier."""
    found = [recording for sid in sids for recording in rig.recordings(sid)]
    assert [recording.state for recording in found] == [RecordingState.STORED] * len(sids)
    assert {recording.store_key for recording in found} <= set(rig.stored_objects())
    with reading(rig.engine) as session:
        assert rig.stored_objects() == sorted(session.scalars(select(Recording.store_key)))
    for sid in sids:
        assert [recording["status"] for recording in rig.phone(sid)["recordings"]] == ["deleted"]
