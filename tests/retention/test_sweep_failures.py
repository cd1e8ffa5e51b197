"""A sweep that fails at any step leaves the recording due, says so, and finishes the job later (R4, R6, R13, R15)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierUnavailable
from retention import purge
from tests.factories import NOW
from tests.retention.world import World

LATER = timedelta(minutes=20)


def _bucket_forbidden(world: World, _: str) -> Callable[[], Any]:
    world.s3.forbidden = True
    return lambda: setattr(world.s3, "forbidden", False)


def _bucket_missing(world: World, _: str) -> Callable[[], Any]:
    world.s3.missing = True
    return lambda: setattr(world.s3, "missing", False)


def _version_refused(world: World, recording_id: str) -> Callable[[], Any]:
    world.s3.refused_names[world.row(recording_id).store_key] = "InternalError"
    return world.s3.refused_names.clear


def _version_locked(world: World, _: str) -> Callable[[], Any]:
    world.s3.versions[0].locked = True
    return lambda: setattr(world.s3.versions[0], "locked", False)


def _answer_lost(world: World, _: str) -> Callable[[], Any]:
    world.s3.lost_answers.add("DeleteObjects")
    return lambda: None


def _carrier_down(world: World, recording_id: str) -> Callable[[], Any]:
    world.carrier.errors[str(world.row(recording_id).carrier_recording_sid)] = [CarrierUnavailable("down")]
    return lambda: None


def _carrier_not_complete(world: World, recording_id: str) -> Callable[[], Any]:
    world.carrier.unfinished.add(str(world.row(recording_id).carrier_recording_sid))
    return world.carrier.unfinished.clear


def _carrier_surprises(world: World, recording_id: str) -> Callable[[], Any]:
    world.carrier.errors[str(world.row(recording_id).carrier_recording_sid)] = [ZeroDivisionError()]
    return lambda: None


TROUBLES = {
    "bucket forbidden": (_bucket_forbidden, "store_refused"),
    "bucket missing": (_bucket_missing, "store_refused"),
    "one version refused": (_version_refused, "store_unavailable"),
    "one version locked": (_version_locked, "store_refused"),
    "answer lost": (_answer_lost, "store_unavailable"),
    "carrier down": (_carrier_down, "carrier_unavailable"),
    "carrier not complete": (_carrier_not_complete, "carrier_refused"),
    "carrier surprises": (_carrier_surprises, "unexpected"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_failure_leaves_it_due_and_a_later_sweep_finishes(world: World, trouble: str) -> None:
    cause, code = TROUBLES[trouble]
    recording_id = world.recording(versions=2)
    repair = cause(world, recording_id)

    failed = world.sweep()
    row = world.row(recording_id)
    assert (failed.deleted, failed.failed, failed.clean) == (0, 1, False)
    assert (row.state, row.failure) == (RecordingState.PURGING, code)
    assert row.next_attempt_at > NOW
    assert row.carrier_recording_sid is not None
    assert world.ledger() == []

    repair()
    world.now += LATER
    assert world.sweep().deleted == 1
    assert (world.s3.names(), world.carrier.media, len(world.ledger())) == ([], {}, 1)


def test_the_carriers_copy_stays_while_bytes_could_not_be_deleted(world: World) -> None:
    world.recording()
    world.s3.versions[0].locked = True
    world.sweep()
    assert len(world.carrier.media) == 1


def test_one_poisoned_recording_does_not_keep_the_others(world: World) -> None:
    clinic = world.clinic()
    poisoned = world.recording(clinic, expires_at=NOW - timedelta(days=9))
    good = [world.recording(clinic) for _ in range(5)]
    world.s3.refused_names[world.row(poisoned).store_key] = "AccessDenied"
    result = world.sweep()
    assert (result.deleted, result.failed) == (5, 1)
    assert {world.states()[one] for one in good} == {RecordingState.PURGED}


def test_a_poisoned_recording_wanted_gone_does_not_keep_the_expired_ones(world: World) -> None:
    poisoned = world.recording(purge_wanted=True)
    world.recording()
    world.s3.refused_names[world.row(poisoned).store_key] = "AccessDenied"
    assert world.sweep().deleted == 1


def test_a_closed_bucket_is_not_asked_about_every_recording(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH", 2)
    clinic = world.clinic()
    for _ in range(9):
        world.recording(clinic)
    world.s3.forbidden = True
    result = world.sweep()
    assert (result.failed, result.skipped) == (2, 7)


def test_a_failed_recording_waits_longer_each_time_and_is_not_asked_in_between(world: World) -> None:
    recording_id = world.recording()
    world.carrier.unfinished.add(str(world.row(recording_id).carrier_recording_sid))
    for _ in range(12):
        world.sweep()
        world.now = world.row(recording_id).next_attempt_at
    asked = len(world.carrier.deletions)
    world.sweep()
    world.now += timedelta(seconds=1)
    assert world.sweep().skipped == 1
    assert len(world.carrier.deletions) == asked + 1
    assert timedelta(minutes=3) < world.row(recording_id).next_attempt_at - world.now <= timedelta(minutes=15)


def test_somebody_who_asks_for_a_sweep_need_not_wait(world: World) -> None:
    recording_id = world.recording()
    world.change(recording_id, next_attempt_at=NOW + timedelta(minutes=15))
    assert world.sweep().deleted == 0
    assert world.sweep(at_once=True).deleted == 1


def test_a_crash_between_the_steps_is_repaired_by_the_next_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    recording_id = world.recording(versions=2)
    with monkeypatch.context() as crash:
        crash.setattr(purge, "forget", _killed)
        with pytest.raises(KeyboardInterrupt):
            world.sweep()
    assert (world.s3.names(), world.carrier.media) == ([], {})
    assert world.row(recording_id).state == RecordingState.PURGING
    world.now += timedelta(minutes=2)
    assert world.sweep().deleted == 1
    assert len(world.ledger()) == 1


def _killed(*_: object) -> bool:
    raise KeyboardInterrupt
