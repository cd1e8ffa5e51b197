"""The dates at which other services have deleted a day too early or too late (privacy rules, R10), from the end of the
recording through the one function that computes its expiry to the sweep."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from callcenter.db import transaction
from callcenter.domain.events import RecordingReport, RecordingReportKind
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.domain.retention import expires_at
from callcenter.models import Clinic, Recording, new_id
from callcenter.services import recordings, retention_requests
from callcenter.services.ingest import run_once
from tests.factories import create_answered_call
from tests.fakes import wav
from tests.retention.world import World

LONDON, KOLKATA = ZoneInfo("Europe/London"), ZoneInfo("Asia/Kolkata")
MICROSECOND = timedelta(microseconds=1)
SECONDS = 60
ENDS = {
    "29 February 2024": datetime(2024, 2, 29, 12, tzinfo=UTC),
    "29 February 2028": datetime(2028, 2, 29, 12, tzinfo=UTC),
    "a month before 29 February": datetime(2028, 1, 30, tzinfo=UTC),
    "31 January": datetime(2026, 1, 31, 8, tzinfo=UTC),
    "30 April": datetime(2026, 4, 30, 8, tzinfo=UTC),
    "31 May": datetime(2026, 5, 31, 8, tzinfo=UTC),
    "the last microsecond of a year": datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    "just before the missing hour": datetime(2026, 3, 29, 0, 59, 59, tzinfo=LONDON),
    "in the missing hour": datetime(2026, 3, 29, 1, 30, tzinfo=LONDON),
    "just after the missing hour": datetime(2026, 3, 29, 2, 0, tzinfo=LONDON),
    "a period before the missing hour": datetime(2026, 2, 27, 1, 30, tzinfo=LONDON),
    "the repeated hour, first time": datetime(2026, 10, 25, 1, 30, tzinfo=LONDON, fold=0),
    "the repeated hour, second time": datetime(2026, 10, 25, 1, 30, tzinfo=LONDON, fold=1),
    "half an hour off": datetime(2026, 3, 29, 1, 30, tzinfo=KOLKATA),
}


def _recorded(world: World, clinic: Clinic, ended_at: datetime) -> Recording:
    """A recording that ended then, by the carrier's word, and is stored."""
    started_at = ended_at - timedelta(seconds=SECONDS)
    sid = f"RE{new_id()}"
    with transaction(world.engine) as session:
        call = create_answered_call(session, session.get_one(Clinic, clinic.id), started_at=started_at)
        row = recordings.add_row(session, call, RecordingKind.CONVERSATION, now=started_at)
        report = RecordingReport("r", RecordingReportKind.COMPLETED, sid, None, SECONDS, 2, started_at)
        recordings.reported(session, row, report, now=ended_at + timedelta(seconds=9))
    world.carrier.media[sid] = wav(SECONDS, rate=50)
    assert run_once(world.engine, world.carrier.carrier(), world.store, ended_at + timedelta(seconds=10))
    return world.row(row.id)


@pytest.mark.parametrize("name", ENDS)
def test_it_goes_at_its_instant_and_not_a_microsecond_earlier(world: World, name: str) -> None:
    ended_at = ENDS[name].astimezone(UTC)
    for number, days in enumerate((1, 30), 1):
        clinic = world.clinic()
        with transaction(world.engine) as session:
            session.get_one(Clinic, clinic.id).retention_days = days
        row = _recorded(world, clinic, ended_at)
        assert (row.state, row.ended_at) == (RecordingState.STORED, ended_at)
        assert row.expires_at == expires_at(ended_at, days) == ended_at + timedelta(seconds=days * 86_400)
        world.now = row.expires_at - MICROSECOND
        assert (world.sweep(confirmed=True).due, world.states()[row.id]) == (0, RecordingState.STORED)
        world.now = row.expires_at
        assert world.sweep().deleted == 1
        assert (world.s3.names(), world.carrier.media, len(world.ledger())) == ([], {}, number)
        assert row.expires_at in {entry.expired_at for entry in world.ledger()}


def test_a_clinic_that_moves_to_another_zone_changes_no_expiry(world: World) -> None:
    clinic = world.clinic()
    row = _recorded(world, clinic, ENDS["31 May"])
    with transaction(world.engine) as session:
        session.get_one(Clinic, clinic.id).timezone = "Asia/Kolkata"
    world.now = row.expires_at - MICROSECOND
    assert world.sweep().due == 0
    world.now = row.expires_at
    assert world.sweep().deleted == 1


@pytest.mark.parametrize("days", [1, 29, 365])
def test_a_changed_period_counts_from_the_end_of_the_recording_too(world: World, days: int) -> None:
    clinic = world.clinic()
    before = _recorded(world, clinic, ENDS["29 February 2028"])
    with transaction(world.engine) as session:
        retention_requests.change_policy(
            session, clinic_id=clinic.id, days=days, actor_id="x", now=before.expires_at, confirmed=True
        )
    after = _recorded(world, clinic, ENDS["29 February 2028"])
    assert world.row(before.id).expires_at == expires_at(ENDS["29 February 2028"], min(days, 30))
    assert after.expires_at == expires_at(ENDS["29 February 2028"], days)
