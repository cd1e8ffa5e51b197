"""The store and our rows agree: no bytes without a row, no stored row without its bytes, no endless upload (R14)."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter.domain.recordings import RecordingState
from callcenter.errors import StoreRefused
from callcenter.models import new_id
from callcenter.services import ingest
from callcenter.storage.local import LocalRecordingStore
from retention.reconcile.report import Report
from retention.reconcile.work import Wishes
from tests.factories import NOW
from tests.retention.reconciling import ALL, DAY, HOUR, REPAIR, Desk, counts
from tests.retention.world import AUDIO

OLD = NOW - DAY - HOUR


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def key() -> str:
    return f"{new_id()}{new_id()[:16]}"


def put(desk: Desk, name: str, at: datetime = OLD) -> str:
    """Bytes in the store since then."""
    desk.store.put(name, [AUDIO])
    _age(desk, name, at)
    return name


def _age(desk: Desk, name: str, at: datetime) -> None:
    for version in desk.s3.versions:
        if version.name == name:
            version.at = at


def stored(desk: Desk, **values: Any) -> str:
    """A stored recording with its bytes, that has not expired."""
    size: dict[str, Any] = {
        "size_bytes": len(AUDIO),
        "expires_at": NOW + 30 * DAY,
        "carrier_copy_deleted_at": NOW - DAY,
    }
    recording = desk.recording(carrier_copy=False, **size | values)
    _age(desk, desk.row(recording).store_key, OLD)
    return recording


def test_a_store_that_agrees_is_no_finding(desk: Desk) -> None:
    for _ in range(5):
        stored(desk)
    report = desk.reconcile(ALL)
    assert (counts(report), report.failed, report.braked, report.complete) == ({}, 0, 0, True)
    assert (report.looked_at["objects"], report.looked_at["stored_rows"]) == (5, 5)


def test_an_object_without_a_row_is_reported_and_deleted_only_when_that_is_asked_for(desk: Desk) -> None:
    kept, orphan = stored(desk), put(desk, key())
    desk.s3.add_delete_marker(orphan)
    _age(desk, orphan, OLD)
    for wishes in (Wishes(), REPAIR):
        report = desk.reconcile(wishes)
        assert (counts(report), report.findings[0].id) == ({"object_without_row": (1, 0)}, orphan)
    assert counts(desk.reconcile(ALL)) == {"object_without_row": (1, 1)}
    assert desk.s3.names() == [desk.row(kept).store_key]


def test_an_object_without_a_row_that_is_younger_than_a_day_is_left_alone(desk: Desk) -> None:
    young = put(desk, key(), NOW - DAY + timedelta(seconds=1))
    touched = put(desk, key())
    desk.s3.add_delete_marker(touched)
    desk.s3.versions[-1].at = NOW - HOUR
    assert counts(desk.reconcile(ALL)) == {}
    assert {young, touched} == set(desk.s3.names())


def test_bytes_of_a_purged_recording_are_deleted_unasked(desk: Desk) -> None:
    recording = stored(desk, state=RecordingState.PURGED, purged_at=NOW - 2 * HOUR)
    report = desk.reconcile()
    assert (counts(report), report.findings[0].id) == ({"object_of_purged": (1, 1)}, recording)
    assert desk.s3.names() == []


def test_bytes_of_a_refused_recording_are_left_to_the_sweep_unless_held(desk: Desk) -> None:
    refused, held = (stored(desk, state=RecordingState.REFUSED) for _ in range(2))
    desk.hold(held)
    assert counts(desk.reconcile()) == {"object_not_wanted": (1, 1)}
    assert (desk.row(refused).purge_wanted, desk.row(held).purge_wanted) == (True, False)
    desk.sweep()
    assert desk.s3.names() == [desk.row(held).store_key]


def test_a_stored_recording_without_bytes_is_copied_again_while_the_carrier_has_it(desk: Desk) -> None:
    lost = stored(desk, carrier_copy_deleted_at=None, carrier_copy_due=True)
    desk.store.delete([desk.row(lost).store_key])
    desk.carrier.media[desk.row(lost).carrier_recording_sid or ""] = AUDIO
    desk.change(lost, duration_seconds=2)
    assert counts(desk.reconcile()) == {"object_missing": (1, 1)}
    assert desk.row(lost).state == RecordingState.COPYING
    assert ingest.run_once(desk.engine, desk.carrier.carrier(), desk.store, NOW)
    assert (desk.row(lost).state, len(desk.s3.names())) == (RecordingState.STORED, 1)
    assert counts(desk.reconcile()) == {}


@pytest.mark.parametrize("held", [False, True])
def test_a_stored_recording_that_nobody_has_any_more_stays_a_finding(desk: Desk, held: bool) -> None:
    lost = stored(desk)
    if held:
        desk.hold(lost)
    desk.store.delete([desk.row(lost).store_key])
    report = desk.reconcile()
    assert (counts(report), report.failed) == ({"object_missing": (1, 0)}, 0)
    assert desk.row(lost).state == RecordingState.STORED


def test_bytes_that_a_marker_hides_and_bytes_of_another_size_are_found(desk: Desk) -> None:
    hidden, shorter = stored(desk), stored(desk)
    desk.s3.add_delete_marker(desk.row(hidden).store_key)
    desk.store.put(desk.row(shorter).store_key, [AUDIO[:-10]])
    report = desk.reconcile()
    assert {(finding.kind, finding.id) for finding in report.findings} == {
        ("object_missing", hidden),
        ("object_differs", shorter),
    }


def test_a_recording_that_is_purged_meanwhile_is_no_finding(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    going = stored(desk, expires_at=NOW - HOUR)
    listing = desk.store.contents

    def then_swept() -> Any:
        desk.sweep()
        return listing()

    monkeypatch.setattr(desk.store, "contents", then_swept)
    assert counts(desk.reconcile()) == {}
    assert desk.row(going).state == RecordingState.PURGED


def test_many_objects_and_rows_are_compared_in_pieces(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retention.reconcile.objects.BATCH", 3)
    monkeypatch.setattr("retention.reconcile.work.batches.__defaults__", (3,))
    recordings = [stored(desk) for _ in range(20)]
    lost = set(recordings[::4])
    desk.store.delete([desk.row(one).store_key for one in lost])
    orphans = {put(desk, key()) for _ in range(7)}
    report = desk.reconcile(Wishes())
    assert {one.id for one in report.findings if one.kind == "object_missing"} == lost
    assert {one.id for one in report.findings if one.kind == "object_without_row"} == orphans


def test_an_upload_that_was_begun_a_day_ago_is_given_up(desk: Desk) -> None:
    for at in (OLD, NOW - HOUR):
        more = {"ChecksumAlgorithm": "SHA256", "ServerSideEncryption": "AES256"}
        upload_id = desk.s3.create_multipart_upload(Bucket="recordings", Key=key(), **more)["UploadId"]
        desk.s3.uploads[upload_id].at = at
    assert counts(desk.reconcile(Wishes())) == {"upload_unfinished": (1, 0)}
    assert counts(desk.reconcile()) == {"upload_unfinished": (1, 1)}
    assert [upload.at for upload in desk.s3.uploads.values()] == [NOW - HOUR]


def test_what_others_have_put_into_the_store_is_never_named(desk: Desk) -> None:
    put(desk, "invoice-447700900123.wav")
    report: Report = desk.reconcile()
    assert report.findings[0].id.startswith("foreign-")
    assert "447700900123" not in str(report.findings)


def test_a_store_that_refuses_is_a_failure_and_never_an_empty_store(desk: Desk) -> None:
    for _ in range(3):
        stored(desk)
    desk.s3.forbidden = True
    report = desk.reconcile(ALL)
    assert (counts(report), report.failures["store_refused"]) == ({}, 2)


def test_a_locked_version_that_cannot_be_deleted_is_a_failure(desk: Desk) -> None:
    locked = put(desk, key())
    desk.s3.versions[-1].locked = True
    put(desk, key())
    report = desk.reconcile(ALL)
    assert (counts(report), report.failed) == ({"object_without_row": (2, 1)}, 1)
    assert desk.s3.names() == [locked]


def test_a_directory_is_compared_like_a_bucket(desk: Desk, tmp_path: Path) -> None:
    import os

    directory = LocalRecordingStore(tmp_path / "recordings")
    desk.store = directory  # type: ignore[assignment] # another kind of store for once
    kept, lost = (stored(desk) for _ in range(2))
    directory.delete([desk.row(lost).store_key])
    orphan = key()
    directory.put(orphan, [AUDIO])
    part = directory.root / f".{key()}.{'0' * 16}.part"
    part.write_bytes(b"half a ta")
    for path in (directory.root / orphan, part):
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    report = desk.reconcile(ALL)
    assert counts(report) == {
        "object_without_row": (1, 1),
        "object_missing": (1, 0),
        "upload_unfinished": (1, 1),
    }
    assert [item.key for item in directory.contents()] == [desk.row(kept).store_key]


def test_a_directory_that_is_not_mounted_is_a_failure(desk: Desk, tmp_path: Path) -> None:
    directory = LocalRecordingStore(tmp_path / "recordings")
    desk.store = directory  # type: ignore[assignment] # another kind of store for once
    stored(desk)
    directory.root.rename(tmp_path / "elsewhere")
    report = desk.reconcile(ALL)
    assert (counts(report), report.failures["store_refused"]) == ({}, 2)
    with pytest.raises(StoreRefused):
        list(directory.contents())
