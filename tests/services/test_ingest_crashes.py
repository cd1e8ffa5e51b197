"""Crashes, refusals and other workers while a recording is copied: it ends stored once, or not at all (F8, F17)."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter.db import transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import StoreUnavailable
from callcenter.services import ingest
from tests.factories import NOW
from tests.fakes import wav
from tests.services.ingest_desk import AUDIO, Desk, after_put, during_download


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def test_a_claim_is_nobody_elses_until_its_lease_runs_out(desk: Desk) -> None:
    recording_id = desk.recording()
    with transaction(desk.engine) as session:
        assert ingest.next_copy(session, NOW)
    assert not desk.run()
    desk.run_to_quiet(NOW + timedelta(minutes=1))
    assert desk.row(recording_id).state == RecordingState.STORED


def test_several_workers_store_each_recording_once(desk: Desk) -> None:
    ids = [desk.recording(wav(1.0), duration_seconds=1) for _ in range(12)]
    workers = [threading.Thread(target=desk.run_to_quiet) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    desk.run_to_quiet()
    assert {desk.row(one).state for one in ids} == {RecordingState.STORED}
    assert (len(desk.s3.names()), desk.fake.media) == (12, {})


def test_bytes_put_before_a_crash_are_compared_and_kept_as_the_only_version(desk: Desk) -> None:
    recording_id = desk.recording()
    desk.store.put(desk.row(recording_id).store_key, [AUDIO])
    desk.change(recording_id, attempts=1)
    desk.run()
    assert desk.row(recording_id).state == RecordingState.STORED
    assert len(desk.s3.names()) == 1


def test_other_bytes_left_by_a_crash_are_replaced(desk: Desk) -> None:
    recording_id = desk.recording()
    desk.store.put(desk.row(recording_id).store_key, [b"half"])
    desk.change(recording_id, attempts=1)
    desk.run()
    row = desk.row(recording_id)
    assert (row.state, desk.store.stat(row.store_key).size_bytes) == (RecordingState.STORED, len(AUDIO))


@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
def test_a_put_whose_answer_got_lost_ends_stored_once(desk: Desk, operation: str) -> None:
    seconds = 100 if operation == "PutObject" else 600  # the longer one does not go in one part
    recording_id = desk.recording(wav(float(seconds)), duration_seconds=seconds)
    desk.s3.lost_answers.add(operation)
    desk.run()
    assert desk.row(recording_id).failure == StoreUnavailable.code
    desk.run_to_quiet(NOW + timedelta(minutes=20))
    assert desk.row(recording_id).state == RecordingState.STORED
    assert len(desk.s3.names()) == 1


def test_a_refusal_while_it_is_copied_stops_the_copy(desk: Desk) -> None:
    recording_id = desk.recording()
    during_download(desk, lambda: desk.change(recording_id, state=RecordingState.REFUSED))
    desk.run()
    assert desk.row(recording_id).state == RecordingState.REFUSED
    assert desk.s3.names() == []


def test_a_refusal_at_the_last_moment_has_the_bytes_swept(desk: Desk) -> None:
    recording_id = desk.recording()
    after_put(desk, lambda: desk.change(recording_id, state=RecordingState.REFUSED))
    desk.run()
    row = desk.row(recording_id)
    assert (row.state, row.purge_wanted, row.sha256) == (RecordingState.REFUSED, True, None)


def test_a_purge_at_the_last_moment_leaves_no_bytes(desk: Desk) -> None:
    recording_id = desk.recording()
    after_put(desk, lambda: desk.change(recording_id, state=RecordingState.PURGED))
    desk.run()
    assert (desk.row(recording_id).state, desk.s3.names()) == (RecordingState.PURGED, [])


def test_a_row_whose_lease_was_taken_over_is_left_to_the_other(desk: Desk) -> None:
    recording_id = desk.recording()
    during_download(desk, lambda: desk.change(recording_id, lease_token="somebody-else"))
    desk.run()
    row = desk.row(recording_id)
    assert (row.state, row.lease_token, desk.s3.names()) == (RecordingState.COPYING, "somebody-else", [])


@pytest.mark.parametrize("end", [None, {"purge_wanted": True}, {"state": RecordingState.REFUSED}], ids=str)
def test_the_lease_is_renewed_for_as_long_as_bytes_may_land(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, end: dict[str, Any] | None
) -> None:
    recording_id = desk.recording()
    monkeypatch.setattr(ingest, "RENEW_SECONDS", 0.02)
    put, moments = desk.s3.put_object, []

    def slow(**arguments: Any) -> Any:
        if end:
            desk.change(recording_id, **end)
        for _ in range(4):
            moments.append(desk.row(recording_id).lease_until_at)
            time.sleep(0.2)
        return put(**arguments)

    monkeypatch.setattr(desk.s3, "put_object", slow)
    desk.run()
    assert len(desk.s3.names()) == 1
    assert len(set(moments)) == 4
    assert moments == sorted(moments, key=str)


def test_a_copy_that_is_taken_over_does_not_touch_the_others_lease(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    recording_id = desk.recording()
    monkeypatch.setattr(ingest, "RENEW_SECONDS", 0.02)
    until = NOW + timedelta(seconds=7)

    def taken_over() -> None:
        desk.change(recording_id, lease_token="somebody-else", lease_until_at=until)
        time.sleep(0.2)

    during_download(desk, taken_over)
    desk.run()
    assert desk.row(recording_id).lease_until_at == until


def test_a_recording_that_is_not_wanted_any_more_is_not_downloaded_to_the_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = desk.recording()
    monkeypatch.setattr(ingest, "RENEW_SECONDS", 0.02)
    chunks: list[int] = []

    def refused() -> None:
        desk.change(recording_id, state=RecordingState.REFUSED)
        chunks.append(len(chunks))
        time.sleep(0.2)

    during_download(desk, refused, every_chunk=True)
    desk.run()
    assert (len(chunks), desk.s3.names()) == (1, [])
