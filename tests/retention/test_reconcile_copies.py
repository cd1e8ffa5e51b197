"""The carrier's recordings and our rows: what is awaited is taken in, what should be gone goes, evidence stays."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState, LegState
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.domain.events import RecordingReportKind
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierRefused, CarrierUnavailable
from callcenter.models import Call, CarrierCommand, Recording, new_id
from callcenter.ports import CarrierCall
from callcenter.services import found_recordings, ingest
from callcenter.services.recordings import NO_TRACE
from retention.reconcile.work import Wishes
from tests.factories import NOW, create_answered_call, create_call, create_recording
from tests.retention.reconciling import ALL, DAY, HOUR, Desk, counts

LEG = "CA" + "7" * 32
BEGAN = NOW - 2 * DAY
WAITING: dict[str, Any] = {
    "carrier_recording_sid": None,
    "ended_at": None,
    "stored_at": None,
    "size_bytes": None,
    "sha256": None,
}
STARTING: dict[str, Any] = {"state": RecordingState.STARTING, **WAITING}


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def row_of(desk: Desk, *, live: bool = False, call: str | None = None, **values: Any) -> str:
    """A recording of the leg, whose call is over unless ``live``; in the same call as another when named."""
    with transaction(desk.engine) as session:
        if call is not None:
            of_call = session.get_one(Call, session.get_one(Recording, call).call_id)
        elif live:
            of_call = create_call(session, desk.clinic_of(session), carrier_call_sid=LEG, started_at=BEGAN)
        else:
            ended = {"started_at": BEGAN, "carrier_call_sid": LEG}
            of_call = create_answered_call(session, desk.clinic_of(session), **ended)
        return create_recording(session, of_call, **{"carrier_call_sid": LEG, "started_at": BEGAN} | values).id


@pytest.mark.parametrize(
    "state", [STARTING, {**STARTING, "state": RecordingState.ABSENT, "failure": NO_TRACE}], ids=["live", "no trace"]
)
def test_a_recording_whose_report_never_came_is_taken_in_and_stored(desk: Desk, state: dict[str, Any]) -> None:
    awaited = row_of(desk, **state)
    sid = desk.has_recording(LEG, at=BEGAN)
    assert counts(desk.reconcile()) == {"recording_not_reported": (1, 1)}
    row = desk.row(awaited)
    assert (row.state, row.carrier_recording_sid) == (RecordingState.COPYING, sid)
    assert row.expires_at == BEGAN + timedelta(seconds=2) + timedelta(days=30)
    assert ingest.run_once(desk.engine, desk.carrier.carrier(), desk.store, NOW)
    assert desk.row(awaited).state == RecordingState.STORED
    assert counts(desk.reconcile()) == {}


def test_the_report_of_an_absent_recording_that_never_came_is_made_up_for(desk: Desk) -> None:
    sid = f"RE{new_id()}"
    awaited = row_of(desk, **STARTING | {"carrier_recording_sid": sid, "state": RecordingState.RECORDING})
    desk.has_recording(LEG, sid=sid, kind=RecordingReportKind.ABSENT)
    assert counts(desk.reconcile()) == {"recording_not_reported": (1, 1)}
    assert desk.row(awaited).state == RecordingState.ABSENT


def test_of_two_rows_that_wait_the_recording_goes_to_the_one_of_its_time(desk: Desk) -> None:
    first = row_of(desk, **STARTING)
    second = row_of(desk, call=first, **STARTING | {"started_at": BEGAN + timedelta(minutes=5)})
    sid = desk.has_recording(LEG, at=BEGAN + timedelta(minutes=5, seconds=1))
    desk.reconcile()
    assert desk.row(second).carrier_recording_sid == sid
    assert desk.row(first).carrier_recording_sid is None


def test_a_recording_that_was_given_up_is_copied_when_it_is_there_after_all(desk: Desk) -> None:
    sid = f"RE{new_id()}"
    given_up = row_of(desk, state=RecordingState.FAILED, carrier_recording_sid=sid, stored_at=None, size_bytes=None)
    desk.has_recording(LEG, sid=sid)
    desk.reconcile()
    assert desk.row(given_up).state == RecordingState.COPYING


def test_a_refused_recording_that_nobody_had_seen_is_due_to_go_and_never_stored(desk: Desk) -> None:
    refused = row_of(desk, **STARTING | {"state": RecordingState.REFUSED, "ended_at": BEGAN})
    desk.has_recording(LEG, at=BEGAN)
    assert counts(desk.reconcile()) == {"recording_not_reported": (1, 1)}
    row = desk.row(refused)
    assert (row.state, row.carrier_copy_due) == (RecordingState.REFUSED, True)
    assert ingest.run_once(desk.engine, desk.carrier.carrier(), desk.store, NOW)
    assert (desk.carrier.media, desk.s3.names()) == ({}, [])


@pytest.mark.parametrize(
    "state",
    [
        {"state": RecordingState.STORED, "carrier_copy_deleted_at": NOW - DAY},
        {"state": RecordingState.REFUSED, "carrier_copy_deleted_at": NOW - DAY},
        {"state": RecordingState.PURGED, "purged_at": NOW - DAY, "carrier_recording_sid": None},
    ],
    ids=["stored", "refused", "purged"],
)
def test_a_copy_that_should_be_gone_is_deleted_unasked(desk: Desk, state: dict[str, Any]) -> None:
    sid = f"RE{new_id()}"
    recording = desk.recording(carrier_copy=False, expires_at=NOW + DAY)
    row = desk.row(recording)
    size = sum(len(version.body or b"") for version in desk.s3.versions if version.name == row.store_key)
    desk.change(recording, **{"carrier_recording_sid": sid, "size_bytes": size} | state)
    if state["state"] != RecordingState.STORED:
        desk.store.delete([row.store_key])
    leg = desk.call_of(recording).carrier_call_sid or ""
    desk.has_recording(leg, sid=sid)
    assert counts(desk.reconcile()) == {"carrier_copy_left": (1, 1)}
    assert desk.carrier.media == {}
    assert counts(desk.reconcile()) == {}


def test_a_surplus_copy_of_a_call_that_refused_recording_is_deleted_and_of_another_call_only_reported(
    desk: Desk,
) -> None:
    """A row may be missing because the database was restored; where somebody has said no, no row can be missing."""
    row_of(desk)
    desk.has_recording(LEG)
    assert counts(desk.reconcile())["recording_unexplained"] == (1, 0)
    with transaction(desk.engine) as session:
        session.scalars(select(Call)).one().recording_refused_at = BEGAN
    assert counts(desk.reconcile())["carrier_copy_left"] == (1, 1)
    assert desk.carrier.media == {}


def test_the_only_copy_is_never_deleted(desk: Desk) -> None:
    """Our row says stored and deleted at the carrier; but the bytes are gone, and the copy is still there."""
    sid = f"RE{new_id()}"
    lost = row_of(desk, carrier_recording_sid=sid, carrier_copy_deleted_at=NOW - DAY, expires_at=NOW + DAY)
    desk.has_recording(LEG, sid=sid, at=NOW - HOUR)
    assert counts(desk.reconcile()) == {"object_missing": (1, 1)}
    assert desk.row(lost).state == RecordingState.COPYING
    desk.change(lost, state=RecordingState.STORED, carrier_copy_deleted_at=NOW - DAY)
    report = desk.reconcile(everything=False)
    assert (counts(report), dict(report.failures)) == ({"carrier_copy_left": (1, 0)}, {"only_copy": 1})
    assert list(desk.carrier.media) == [sid]


def test_a_hold_keeps_every_copy_of_its_call(desk: Desk) -> None:
    held = row_of(desk)
    desk.hold(held)
    desk.has_recording(LEG)
    before = dict(desk.carrier.media)
    assert "carrier_copy_left" not in counts(desk.reconcile(ALL))
    assert desk.carrier.media == before


def test_a_hold_placed_between_looking_and_deleting_wins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of(desk, state=RecordingState.FAILED)
    with transaction(desk.engine) as session:
        session.scalars(select(Call)).one().recording_refused_at = BEGAN
    sid = desk.has_recording(LEG, at=NOW - DAY - HOUR)
    look, holds = found_recordings.judge, list[str]()

    def then_hold(*arguments: Any, **named: Any) -> Any:
        judged = look(*arguments, **named)
        holds.extend([] if holds else [desk.hold(row)])
        return judged

    monkeypatch.setattr(found_recordings, "judge", then_hold)
    assert counts(desk.reconcile(everything=False)) == {"carrier_copy_left": (1, 0)}
    assert list(desk.carrier.media) == [sid]


def test_what_nothing_explains_is_reported_and_deleted_only_by_command(desk: Desk) -> None:
    sid = desk.has_recording("CA" + "9" * 32)
    report = desk.reconcile()
    assert (counts(report), report.remaining) == ({"recording_unexplained": (1, 0)}, 1)
    assert list(desk.carrier.media) == [sid]
    assert counts(desk.reconcile(ALL)) == {"recording_unexplained": (1, 1)}
    assert desk.carrier.media == {}


@pytest.mark.parametrize(
    ("at", "kind"),
    [
        (NOW - DAY + timedelta(seconds=1), RecordingReportKind.COMPLETED),
        (None, RecordingReportKind.COMPLETED),
        (NOW - 2 * DAY, RecordingReportKind.IN_PROGRESS),
        (NOW - 2 * DAY, None),
    ],
    ids=["young", "of unknown age", "running", "being finished"],
)
def test_what_may_still_be_explained_is_not_even_reported(desk: Desk, at: Any, kind: Any) -> None:
    desk.has_recording("CA" + "9" * 32, at=at, kind=kind)
    assert counts(desk.reconcile(ALL)) == {}


def test_nothing_of_a_call_that_is_live_here_or_at_the_carrier_is_deleted(desk: Desk) -> None:
    row_of(desk, live=True, state=RecordingState.REFUSED, carrier_copy_deleted_at=BEGAN)
    ours = desk.has_recording(LEG)
    unknown = desk.has_recording("CA" + "9" * 32)
    desk.carrier.calls.append(CarrierCall("CA" + "9" * 32, LegState.IN_PROGRESS, "+441632999999", BEGAN, None))
    report = desk.reconcile(ALL)
    assert set(desk.carrier.media) == {ours, unknown}
    assert counts(report) == {"recording_unexplained": (1, 0)}


def test_a_copy_that_the_worker_will_delete_is_no_finding(desk: Desk) -> None:
    sid = f"RE{new_id()}"
    row_of(desk, state=RecordingState.REFUSED, carrier_recording_sid=sid, carrier_copy_due=True)
    desk.has_recording(LEG, sid=sid)
    assert counts(desk.reconcile(everything=False)) == {}


def test_a_deletion_that_is_refused_is_a_failure_and_the_others_go_on(desk: Desk) -> None:
    first = desk.has_recording("CA" + "9" * 32)
    desk.has_recording("CA" + "9" * 32)
    desk.carrier.errors[first] = [CarrierRefused("No.")]
    report = desk.reconcile(ALL)
    assert (counts(report), report.failed) == ({"recording_unexplained": (2, 1)}, 1)
    assert list(desk.carrier.media) == [first]


def test_a_carrier_that_fails_again_and_again_is_left_in_peace(desk: Desk) -> None:
    sids = [desk.has_recording("CA" + "9" * 32) for _ in range(20)]
    for sid in sids:
        desk.carrier.errors[sid] = [CarrierUnavailable("Away.")]
    report = desk.reconcile(ALL)
    assert report.failed == 6  # five, and that it gave up
    assert len(desk.carrier.deletions) == 5


def test_a_recording_about_which_nobody_asks_any_more_is_asked_about(desk: Desk) -> None:
    silent = row_of(desk, **STARTING)
    assert counts(desk.reconcile()) == {"recording_without_end": (1, 1)}
    with reading(desk.engine) as session:
        [command] = session.scalars(select(CarrierCommand))
    assert (command.kind, command.subject_id) == (CommandKind.CHECK_RECORDING, silent)
    assert (command.state, command.next_attempt_at) == (CommandState.PENDING, NOW)
    assert counts(desk.reconcile()) == {}


def test_a_recording_of_a_call_that_has_just_ended_or_is_live_is_waited_for(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        ended = create_answered_call(session, desk.clinic_of(session), started_at=NOW - timedelta(minutes=5))
        live = create_call(session, desk.clinic_of(session), started_at=NOW - HOUR, state=CallState.RINGING)
        for call in (ended, live):
            create_recording(session, call, **STARTING)
    assert counts(desk.reconcile()) == {}


def test_without_repair_every_copy_stays(desk: Desk) -> None:
    row_of(desk, **STARTING)
    desk.has_recording(LEG, at=BEGAN)
    desk.has_recording("CA" + "9" * 32)
    media = dict(desk.carrier.media)
    report = desk.reconcile(Wishes())
    assert counts(report) == {
        "recording_not_reported": (1, 0),
        "recording_unexplained": (1, 0),
        "recording_without_end": (1, 0),
    }
    assert (desk.carrier.media, desk.carrier.deletions) == (media, [])
