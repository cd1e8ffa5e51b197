"""A change of configuration that old rows do not fit any more (F35), and recordings as large as they come (F16)."""
# ruff: noqa: N803 - the names of arguments are boto3's

import base64
import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, Clinic, ClinicNumber
from callcenter.ports import Media
from callcenter.storage.s3 import S3RecordingStore
from tests.campaigns import runs
from tests.factories import NOW, create_clinic, create_opening_band
from tests.fakes import FakeS3, wav
from tests.services.ingest_desk import Desk
from tests.webhooks.door import CALLER, NUMBER, Carrier, said, twiml, verbs

MIB = 1024 * 1024


class Discarding(FakeS3):
    """A bucket that checks every part and keeps only its digest."""

    def __init__(self) -> None:
        super().__init__()
        self.digests: list[bytes] = []

    def upload_part(
        self, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes, ChecksumSHA256: str
    ) -> dict[str, Any]:
        self._matches(Body, ChecksumSHA256)
        self.digests.append(base64.b64decode(ChecksumSHA256))
        return {"ETag": f"etag-{PartNumber}", "ChecksumSHA256": ChecksumSHA256}

    def complete_multipart_upload(
        self, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> dict[str, Any]:
        return {}

    def head_object(self, Bucket: str, Key: str, ChecksumMode: str = "") -> dict[str, Any]:
        whole = base64.b64encode(hashlib.sha256(b"".join(self.digests)).digest()).decode()
        return {"ChecksumSHA256": f"{whole}-{len(self.digests)}", "ETag": "etag-2"}


def _call(engine: Engine, sid: str) -> Call:
    with reading(engine) as session:
        return session.scalars(select(Call).where(Call.carrier_call_sid == sid)).one()


def test_a_number_that_moves_to_another_clinic_takes_no_old_call_along(engine: Engine, tmp_path: Path) -> None:
    with transaction(engine) as session:
        old = create_clinic(session, number=NUMBER, name="Oak Lane").id
        new = create_clinic(session, name="Elm Street").id
    door = Carrier.to_new_door(engine, tmp_path)
    assert "Oak Lane" in said(door.rings())
    with transaction(engine) as session:
        session.scalars(select(ClinicNumber).where(ClinicNumber.number == NUMBER)).one().clinic_id = new
    later = "CA" + "d" * 32
    assert "Elm Street" in said(door.rings(sid=later))
    assert (_call(engine, CALLER).clinic_id, _call(engine, later).clinic_id) == (old, new)
    call = _call(engine, CALLER)
    assert verbs(door.post(f"/webhooks/voice/calls/{call.id}/{call.turn}/next", To=NUMBER)), "a call under way goes on"
    assert _call(engine, CALLER).clinic_id == old
    door.door.close()


@pytest.mark.parametrize("zone", ["Mars/Phobos", "", "../etc/passwd"])
def test_a_clinic_whose_time_zone_is_not_known_any_more_still_answers(
    engine: Engine, tmp_path: Path, zone: str
) -> None:
    with transaction(engine) as session:
        clinic = create_clinic(session, number=NUMBER, name="Oak Lane", fallback_number="+441632960999")
        create_opening_band(session, clinic, 0, 0, 24 * 60)
    door = Carrier.to_new_door(engine, tmp_path)
    with transaction(engine) as session:
        session.get_one(Clinic, clinic.id).timezone = zone
    answer = door.rings()
    assert twiml(answer) is not None
    assert verbs(answer)[-1] in ("Enqueue", "Hangup", "Redirect")
    assert "Oak Lane" in said(answer)
    door.door.close()


@pytest.mark.campaign
def test_a_huge_recording_is_copied_in_little_memory(sqlite_url: str, figures: Callable[..., None]) -> None:
    size = runs(40, 500) * MIB
    engine = create_engine_for(sqlite_url)
    desk = Desk(engine)
    seconds = (size - 44) // (8000 * 4)
    recording_id = desk.recording(b"", duration_seconds=seconds)
    header, chunk = wav(0, data_size=size - 44), bytes(64 * 1024)

    def chunks() -> Iterator[bytes]:
        yield header
        for _ in range((size - 44) // len(chunk)):
            yield chunk
        yield bytes((size - 44) % len(chunk))

    desk.fake.open_media = lambda *_, **__: Media(size, 2, chunks())  # type: ignore[method-assign]

    desk.store = S3RecordingStore("recordings", client=Discarding().client())
    tracemalloc.start()
    desk.run(NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    row = desk.row(recording_id)
    assert (row.state, row.size_bytes) == (RecordingState.STORED, size)
    assert peak < 24 * MIB
    figures(megabytes=size // MIB, peak_megabytes=round(peak / MIB, 1))
    engine.dispose()
