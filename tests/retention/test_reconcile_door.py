"""Notifications that found no database are not lost: the carrier is asked later (F2, F20)."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.calls import CallState, LegState, Outcome
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.models import Call, CarrierCommand, Recording
from callcenter.ports import CarrierCall
from callcenter.services import commands, recordings
from callcenter.services.call_rows import locked
from callcenter.worker.execute import execute
from callcenter.worker.tick import tick
from tests.factories import create_clinic
from tests.retention.reconciling import Desk, counts
from tests.webhooks.door import CALLER, NUMBER, Carrier

pytestmark = pytest.mark.in_time

VOICE = VoiceSettings()
NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:9/nothing"


@pytest.fixture
def door(engine: Engine, tmp_path: Path) -> Iterator[Carrier]:
    """A door that knows the clinic."""
    with transaction(engine) as session:
        create_clinic(session, number=NUMBER)
    carrier = Carrier.to_new_door(engine, tmp_path)
    yield carrier
    carrier.door.close()


def told_in_vain(door: Carrier, path: str, **fields: str) -> None:
    """A notification that comes while the database is away: it is refused, so nobody believes that we have it."""
    whole, door.door.engine = door.door.engine, create_engine_for(NOWHERE)
    try:
        assert door.post(path, fields).status_code == 503
    finally:
        door.door.engine.dispose()
        door.door.engine = whole


def works(desk: Desk) -> None:
    """The worker does all that is due."""
    tick(desk.engine, VOICE)
    with reading(desk.engine) as session:
        due = commands.due_ids(session, now=clock.now(), limit=20)
    for command_id in due:
        execute(desk.engine, desk.carrier.carrier(), VOICE, command_id)


def test_the_end_of_a_call_that_nobody_could_note_is_found_by_asking(door: Carrier, engine: Engine) -> None:
    desk = Desk(engine)
    assert door.rings().status_code == 200
    told_in_vain(door, "/webhooks/voice/status", CallStatus="completed", CallDuration="40")
    began, ended = clock.now() - timedelta(seconds=1), clock.now() + timedelta(seconds=40)
    desk.carrier.calls.append(CarrierCall(CALLER, LegState.COMPLETED, NUMBER, began, ended, "+447700900123"))
    desk.now = ended + timedelta(minutes=3)
    with transaction(engine) as session:
        session.scalars(select(Call)).one().check_at = desk.now + timedelta(hours=1)
    assert counts(desk.reconcile(everything=False)) == {"call_not_ended": (1, 1)}
    clock.set_offset(240)
    try:
        works(desk)
    finally:
        clock.set_offset(0)
    [call] = desk.log()
    assert (call.state, call.ended_at, call.outcome) == (CallState.ENDED, ended, Outcome.SHORT_ABANDONED)


def test_a_recording_that_nobody_could_note_is_taken_in(door: Carrier, engine: Engine) -> None:
    desk = Desk(engine)
    door.rings()
    with transaction(engine) as session:
        call = locked(session, session.scalars(select(Call.id)).one())
        row = recordings.add_row(session, call, RecordingKind.VOICEMAIL, now=clock.now())
        call.state, call.ended_at = CallState.ENDED, clock.now()
    sid = "RE" + "1" * 32
    told_in_vain(door, f"/webhooks/recording/{row.id}", RecordingSid=sid, RecordingStatus="completed")
    desk.has_recording(CALLER, sid=sid, at=clock.now())
    desk.now = clock.now() + timedelta(minutes=5)
    assert counts(desk.reconcile(everything=False)) == {"recording_not_reported": (1, 1)}
    with reading(engine) as session:
        found = session.get_one(Recording, row.id)
        assert session.scalars(select(CarrierCommand)).all() == []
    assert (found.state, found.carrier_recording_sid) == (RecordingState.COPYING, sid)
