"""Holds and periods: what people ask of retention (L4, F24, R12, P21)."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.domain.recordings import RecordingState
from callcenter.domain.retention import expires_at
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import AccessEntry, Clinic, LegalHold, Recording
from callcenter.services.retention_requests import (
    PolicyChange,
    change_policy,
    list_due,
    list_holds,
    place_hold,
    release_hold,
)
from tests.factories import NOW, create_answered_call, create_clinic, create_recording

REVIEW = date(2026, 6, 1)


@pytest.fixture
def clinic(session: Session) -> Clinic:
    return create_clinic(session)


@pytest.fixture
def recording(session: Session, clinic: Clinic) -> Recording:
    return create_recording(session, create_answered_call(session, clinic))


def placed(session: Session, recording: Recording, **values: Any) -> LegalHold:
    """A hold, placed as anybody would."""
    plain: dict[str, Any] = {"reason": "Complaint under review", "review_on": REVIEW, "actor_id": "u1", "now": NOW}
    return place_hold(session, recording_id=recording.id, **plain | values)


def shortened(session: Session, clinic: Clinic, days: object, *, confirmed: bool = True) -> PolicyChange:
    """The clinic's period, changed."""
    return change_policy(session, clinic_id=clinic.id, days=days, actor_id="u1", now=NOW, confirmed=confirmed)


def actions(session: Session) -> list[tuple[str, str | None]]:
    """What stands in the access log."""
    entries = session.scalars(select(AccessEntry).order_by(AccessEntry.action))
    return [(entry.action, entry.subject_id) for entry in entries]


def test_a_hold_keeps_a_recording_until_it_is_released(session: Session, recording: Recording) -> None:
    hold = placed(session, recording)
    assert recording.held
    release_hold(session, hold_id=hold.id, reason="Closed", actor_id="u2", now=NOW)
    assert not recording.held
    assert (hold.released_at, hold.released_by) == (NOW, "u2")


def test_placing_and_releasing_stand_in_the_access_log_without_values(session: Session, recording: Recording) -> None:
    hold = placed(session, recording)
    release_hold(session, hold_id=hold.id, reason="Closed", actor_id="u2", now=NOW)
    assert actions(session) == [("hold.placed", hold.id), ("hold.released", hold.id)]


def test_a_second_hold_keeps_it_after_the_first_is_released(session: Session, recording: Recording) -> None:
    first, second = placed(session, recording), placed(session, recording)
    release_hold(session, hold_id=first.id, reason="Closed", actor_id="u1", now=NOW)
    assert recording.held
    release_hold(session, hold_id=second.id, reason="Closed", actor_id="u1", now=NOW)
    assert not recording.held


def test_an_expired_recording_that_was_not_purged_yet_can_be_held(session: Session, recording: Recording) -> None:
    recording.expires_at = NOW - timedelta(days=1)
    placed(session, recording)
    assert recording.held


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (RecordingState.PURGING, "already_being_deleted"),
        (RecordingState.PURGED, "nothing_to_hold"),
        (RecordingState.REFUSED, "nothing_to_hold"),
        (RecordingState.ABSENT, "nothing_to_hold"),
    ],
)
def test_there_is_never_a_hold_on_nothing(
    session: Session, recording: Recording, state: RecordingState, code: str
) -> None:
    recording.state = state
    session.flush()
    with pytest.raises(Conflict) as refused:
        placed(session, recording)
    assert (refused.value.code, recording.held) == (code, False)


@pytest.mark.parametrize(
    "values",
    [{"reason": " "}, {"reason": "x" * 501}, {"reason": "4111 1111 1111 1111"}, {"review_on": NOW.date()}],
    ids=["no reason", "a long reason", "a card number", "a review that is over"],
)
def test_a_hold_needs_a_reason_and_a_review(session: Session, recording: Recording, values: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        placed(session, recording, **values)
    assert not recording.held


def test_a_foreign_recording_looks_as_if_it_did_not_exist(session: Session, recording: Recording) -> None:
    with pytest.raises(NotFound):
        placed(session, recording, clinic_ids=["other"])
    hold = placed(session, recording)
    with pytest.raises(NotFound):
        release_hold(session, hold_id=hold.id, reason="x", actor_id="u1", now=NOW, clinic_ids=["other"])
    assert list_holds(session, clinic_ids=["other"]) == []


def test_a_hold_is_released_once(session: Session, recording: Recording) -> None:
    hold = placed(session, recording)
    release_hold(session, hold_id=hold.id, reason="Closed", actor_id="u1", now=NOW)
    with pytest.raises(Conflict):
        release_hold(session, hold_id=hold.id, reason="Again", actor_id="u1", now=NOW)


def test_a_hold_nobody_placed_cannot_be_released(session: Session) -> None:
    with pytest.raises(NotFound):
        release_hold(session, hold_id="none", reason="x", actor_id="u1", now=NOW)


def test_the_list_shows_holds_in_force_and_on_request_all(session: Session, recording: Recording) -> None:
    released, kept = placed(session, recording), placed(session, recording, review_on=REVIEW + timedelta(days=1))
    release_hold(session, hold_id=released.id, reason="Closed", actor_id="u1", now=NOW)
    assert [hold.id for hold in list_holds(session)] == [kept.id]
    assert [hold.id for hold in list_holds(session, in_force=False)] == [released.id, kept.id]


def test_a_shorter_period_applies_to_existing_recordings(
    session: Session, clinic: Clinic, recording: Recording
) -> None:
    change = shortened(session, clinic, 10)
    session.refresh(recording)
    assert (change.affected, change.policy_version, change.applied) == (1, 2, True)
    assert recording.ended_at is not None
    assert recording.expires_at == expires_at(recording.ended_at, 10)
    assert (recording.retention_days, recording.policy_version) == (10, 2)


def test_a_shorter_period_is_only_counted_until_it_is_confirmed(
    session: Session, clinic: Clinic, recording: Recording
) -> None:
    old = create_recording(session, create_answered_call(session, clinic, started_at=NOW - timedelta(days=20)))
    before = (recording.expires_at, old.expires_at)
    change = shortened(session, clinic, 10, confirmed=False)
    assert (change.affected, change.due_now, change.applied) == (2, 1, False)
    assert (recording.expires_at, old.expires_at) == before
    assert (clinic.retention_days, actions(session)) == (30, [])


def test_a_longer_period_is_for_new_recordings_only(session: Session, clinic: Clinic, recording: Recording) -> None:
    before = recording.expires_at
    change = shortened(session, clinic, 60, confirmed=False)
    session.refresh(recording)
    assert (change.affected, change.applied, clinic.retention_days) == (0, True, 60)
    assert (recording.expires_at, recording.policy_version) == (before, 1)


def test_a_running_recording_counts_from_its_start_until_it_ends(session: Session, clinic: Clinic) -> None:
    running = create_recording(
        session, create_answered_call(session, clinic), state=RecordingState.RECORDING, ended_at=None
    )
    shortened(session, clinic, 10)
    session.refresh(running)
    assert running.expires_at == expires_at(running.started_at, 10)


def test_what_is_being_purged_is_left_alone(session: Session, clinic: Clinic, recording: Recording) -> None:
    recording.state = RecordingState.PURGING
    session.flush()
    assert shortened(session, clinic, 10).affected == 0


def test_another_clinics_recordings_are_left_alone(session: Session, recording: Recording) -> None:
    assert shortened(session, create_clinic(session), 10).affected == 0
    assert recording.retention_days == 30


def test_many_recordings_are_shortened_in_batches(
    session: Session, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.services.retention_requests._BATCH", 3)
    call = create_answered_call(session, clinic)
    for _ in range(8):
        create_recording(session, call)
    shortened(session, clinic, 5)
    assert set(session.scalars(select(Recording.retention_days))) == {5}


def test_the_same_period_again_changes_nothing(session: Session, clinic: Clinic) -> None:
    assert shortened(session, clinic, 30).policy_version == 1
    assert actions(session) == []


@pytest.mark.parametrize("days", [0, -1, 1.5, 366, "", None])
def test_a_period_that_is_none_is_refused(session: Session, clinic: Clinic, days: object) -> None:
    with pytest.raises(BadInput):
        shortened(session, clinic, days)
    assert clinic.retention_days == 30


def test_the_list_of_what_is_due_shows_held_ones_too(session: Session, clinic: Clinic) -> None:
    call = create_answered_call(session, clinic)
    expired = create_recording(session, call, expires_at=NOW - timedelta(days=2))
    held = create_recording(session, call, expires_at=NOW - timedelta(days=1), held=True)
    wanted = create_recording(session, call, purge_wanted=True)
    create_recording(session, call)
    create_recording(session, call, expires_at=NOW - timedelta(days=3), state=RecordingState.PURGED)
    rows = list_due(session, NOW)
    assert [row.recording_id for row in rows] == [wanted.id, expired.id, held.id]
    assert [row.held for row in rows] == [False, False, True]
