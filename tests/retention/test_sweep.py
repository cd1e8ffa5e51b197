"""What has expired is removed everywhere, proved to be gone, and only then forgotten (P29, P30, R4–R7)."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import inspect

from callcenter.db import transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierUnavailable, Conflict
from callcenter.models import Recording
from callcenter.services import retention_requests
from retention.due import Why, claim
from tests.factories import NOW
from tests.retention.world import World

MICROSECOND = timedelta(microseconds=1)
NOT_BLANKED = {
    "id", "clinic_id", "call_id", "turn", "kind", "state", "carrier_copy_deleted_at", "store_key", "channels",
    "duration_seconds", "started_at", "ended_at", "stored_at", "retention_days", "policy_version", "expires_at",
    "attempts", "next_attempt_at", "purged_at",
}  # fmt: skip


def test_an_expired_recording_is_gone_everywhere(world: World) -> None:
    recording_id = world.recording(versions=3)
    result = world.sweep()
    assert (result.due, result.deleted, result.failed) == (1, 1, 0)
    assert world.s3.names() == []
    assert world.carrier.media == {}
    assert world.row(recording_id).state == RecordingState.PURGED


def test_the_row_of_a_purged_recording_keeps_counts_only(world: World) -> None:
    recording_id = world.recording()
    world.sweep()
    row = world.row(recording_id)
    kept = {column.key for column in inspect(Recording).columns if getattr(row, column.key) not in (None, False)}
    assert kept <= NOT_BLANKED


def test_the_ledger_says_what_went_and_that_it_was_proved(world: World) -> None:
    recording_id = world.recording(versions=2)
    world.sweep()
    (entry,) = world.ledger()
    assert (entry.recording_id, entry.reason, entry.versions_deleted, entry.carrier_copy) == (
        recording_id,
        "expired",
        2,
        "deleted",
    )
    assert entry.verified_absent_at == NOW


@pytest.mark.parametrize(("until", "deleted"), [(-MICROSECOND, 1), (timedelta(0), 1), (MICROSECOND, 0)])
def test_nothing_goes_before_its_instant(world: World, until: timedelta, deleted: int) -> None:
    world.recording(expires_at=NOW + until)
    assert world.sweep().deleted == deleted
    assert len(world.s3.names()) == 1 - deleted


def test_a_held_recording_stays_until_its_hold_is_released(world: World) -> None:
    recording_id = world.recording()
    hold_id = world.hold(recording_id)
    result = world.sweep()
    assert (result.deleted, result.held, len(world.s3.names())) == (0, 1, 1)
    with transaction(world.engine) as session:
        retention_requests.release_hold(session, hold_id=hold_id, reason="Closed", actor_id="x", now=NOW)
    assert world.sweep().deleted == 1


def test_a_recording_wanted_gone_goes_before_its_time(world: World) -> None:
    recording_id = world.recording(expires_at=NOW + timedelta(days=20), purge_wanted=True)
    assert world.sweep().deleted == 1
    assert world.row(recording_id).state == RecordingState.PURGED
    assert [entry.reason for entry in world.ledger()] == ["wanted"]


def test_a_recording_that_is_still_running_is_not_deleted_early(world: World) -> None:
    world.recording(
        expires_at=NOW + timedelta(days=20), purge_wanted=True, state=RecordingState.RECORDING, stored_at=None
    )
    assert world.sweep().due == 0


@pytest.mark.parametrize("state", [state for state in RecordingState if state != RecordingState.PURGED])
def test_a_recording_that_expires_in_any_state_is_dealt_with(world: World, state: RecordingState) -> None:
    world.recording(state=state)
    assert world.sweep().deleted == 1
    assert (world.s3.names(), world.carrier.media) == ([], {})


def test_a_recording_whose_callback_never_came_is_found_at_the_carrier(world: World) -> None:
    recording_id = world.recording(state=RecordingState.STARTING, carrier_recording_sid=None)
    leg = world.row(recording_id).carrier_call_sid
    world.carrier.legs[str(leg)] = ["RE" + "1" * 32]
    world.carrier.media["RE" + "1" * 32] = b"audio"
    world.sweep()
    assert world.carrier.media == {}


def test_a_copy_that_the_carrier_does_not_know_is_done(world: World) -> None:
    world.recording(carrier_copy=False)
    assert world.sweep().deleted == 1
    assert [entry.carrier_copy for entry in world.ledger()] == ["not_there"]


def test_a_copy_deleted_before_is_not_asked_about_again(world: World) -> None:
    world.recording(carrier_copy_deleted_at=NOW - timedelta(days=29))
    world.sweep()
    assert world.carrier.deletions == []


def test_sweeping_twice_changes_nothing_more(world: World) -> None:
    world.recording()
    world.sweep()
    again = world.sweep()
    assert (again.due, again.deleted, len(world.ledger())) == (0, 0, 1)


def test_a_dry_run_counts_and_changes_nothing(world: World) -> None:
    recording_id = world.recording()
    result = world.sweep(dry_run=True)
    assert (result.due, result.deleted) == (1, 0)
    assert world.row(recording_id).state == RecordingState.STORED
    assert len(world.s3.names()) == 1


def test_two_sweeps_at_once_do_each_recording_once(world: World) -> None:
    clinic = world.clinic()
    for _ in range(40):
        world.recording(clinic)
    results = []
    sweeps = [threading.Thread(target=lambda: results.append(world.sweep())) for _ in range(2)]
    for one in sweeps:
        one.start()
    for one in sweeps:
        one.join()
    assert sum(result.deleted for result in results) == 40
    assert len({entry.recording_id for entry in world.ledger()}) == len(world.ledger()) == 40
    assert world.s3.names() == []


def test_what_another_sweep_has_claimed_is_left_until_its_lease_runs_out(world: World) -> None:
    world.recording()
    with transaction(world.engine) as session:
        assert claim(session, Why.EXPIRED, due_at=NOW, now=NOW, limit=10)
    assert (world.sweep().deleted, world.sweep().skipped) == (0, 1)
    world.now += timedelta(minutes=2)
    assert world.sweep().deleted == 1


def test_a_hold_cannot_be_placed_once_the_purge_has_begun(world: World) -> None:
    recording_id = world.recording()
    world.s3.forbidden = True
    world.sweep()
    with pytest.raises(Conflict) as refused, transaction(world.engine) as session:
        retention_requests.place_hold(
            session,
            recording_id=recording_id,
            reason="Complaint",
            review_on=(NOW + timedelta(days=9)).date(),
            actor_id="x",
            now=NOW,
        )
    assert refused.value.code == "already_being_deleted"


def test_many_recordings_go_in_batches_and_progress_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 4)
    clinic = world.clinic()
    for _ in range(10):
        world.recording(clinic)
    told: list[int] = []
    assert world.sweep(progress=lambda result: told.append(result.deleted)).deleted == 10
    assert told == [4, 8, 10]


def test_a_sweep_that_is_told_to_stop_finishes_its_batch_and_says_what_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 2)
    clinic = world.clinic()
    for _ in range(5):
        world.recording(clinic)
    answers = iter([True, True, False, False])  # wanted: nothing; expired: one batch; then stop
    result = world.sweep(keep_going=lambda: next(answers))
    assert (result.deleted, result.skipped) == (2, 3)


def test_the_carrier_is_left_alone_after_failing_again_and_again(world: World) -> None:
    clinic = world.clinic()
    for _ in range(12):
        recording_id = world.recording(clinic)
        sid = str(world.row(recording_id).carrier_recording_sid)
        world.carrier.errors[sid] = [CarrierUnavailable("down")]
    assert world.sweep().failed == 12
    assert len(world.carrier.deletions) == 5
