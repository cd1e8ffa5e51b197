"""A recording moves from the carrier to the store: verified, once, and never when it should not (F5, F8, F10, P33)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierUnavailable, StoreRefused, StoreUnavailable
from callcenter.models import Recording
from callcenter.ports import Media
from callcenter.services import copy_claims, ingest
from callcenter.services.ingest import run_once
from callcenter.storage.s3 import S3RecordingStore
from tests.factories import NOW, create_answered_call, create_clinic, create_recording
from tests.fakes import FakeCarrier, FakeS3, wav

AUDIO = wav(100.0)


@dataclass
class Desk:
    """A database, a strict bucket and a carrier."""

    engine: Engine
    s3: FakeS3 = field(default_factory=FakeS3)
    fake: FakeCarrier = field(default_factory=FakeCarrier)

    def __post_init__(self) -> None:
        self.store = S3RecordingStore("recordings", client=self.s3.client())

    def recording(self, audio: bytes = AUDIO, **values: Any) -> str:
        """A recording that waits to be copied, with its audio at the carrier."""
        with transaction(self.engine) as session:
            call = create_answered_call(session, create_clinic(session))
            waiting = {"state": RecordingState.COPYING, "stored_at": None, "size_bytes": None, "sha256": None}
            row = create_recording(session, call, **{**waiting, "next_attempt_at": NOW, **values})
            self.fake.media[str(row.carrier_recording_sid)] = audio
            return row.id

    def run(self, now: datetime = NOW) -> bool:
        """One unit of work."""
        return run_once(self.engine, self.fake.carrier(), self.store, now)

    def run_to_quiet(self, now: datetime = NOW) -> int:
        """Units of work until nothing is due, at most 50."""
        return next(count for count in range(51) if not self.run(now))

    def row(self, recording_id: str) -> Recording:
        """The row as it is now."""
        with reading(self.engine) as session:
            return session.get_one(Recording, recording_id)

    def sid(self, recording_id: str) -> str:
        """The recording's id at the carrier."""
        return str(self.row(recording_id).carrier_recording_sid)

    def change(self, recording_id: str, **values: Any) -> None:
        """Change columns of a row."""
        with transaction(self.engine) as session:
            row = session.get_one(Recording, recording_id)
            for name, value in values.items():
                setattr(row, name, value)


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def test_a_recording_is_stored_and_then_the_carriers_copy_goes(desk: Desk) -> None:
    recording_id = desk.recording()
    assert desk.run()
    row = desk.row(recording_id)
    assert (row.state, row.size_bytes, row.channels) == (RecordingState.STORED, len(AUDIO), 2)
    assert row.sha256 == desk.store.stat(row.store_key).sha256
    assert desk.fake.media
    assert desk.run()
    assert desk.fake.media == {}
    assert desk.row(recording_id).carrier_copy_deleted_at is not None
    assert not desk.run()


def test_one_channel_is_stored_as_such(desk: Desk) -> None:
    recording_id = desk.recording(wav(100.0, channels=1))
    desk.run()
    assert desk.row(recording_id).channels == 1


def test_a_header_without_a_length_is_measured_by_what_came(desk: Desk) -> None:
    recording_id = desk.recording(wav(100.0, data_size=0xFFFFFFFF))
    desk.run()
    assert desk.row(recording_id).state == RecordingState.STORED


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        (wav(98.5), "duration_mismatch"),
        (wav(101.5), "duration_mismatch"),
        (b"<html>not audio</html>", "not_wav"),
        (b"", "not_wav"),
    ],
    ids=["too short", "too long", "a page", "nothing"],
)
def test_audio_that_is_not_what_was_announced_is_not_stored(desk: Desk, audio: bytes, code: str) -> None:
    recording_id = desk.recording(audio)
    desk.run()
    row = desk.row(recording_id)
    assert (row.state, row.failure, row.sha256) == (RecordingState.COPYING, code, None)
    assert row.next_attempt_at > NOW
    assert desk.s3.names() == []
    assert len(desk.fake.media) == 1


def test_a_truncated_download_is_tried_again_and_then_stored(desk: Desk) -> None:
    recording_id = desk.recording()
    desk.fake.cut = 10
    desk.run()
    assert (desk.row(recording_id).failure, desk.s3.names()) == ("length_mismatch", [])
    desk.fake.cut = 0
    desk.run_to_quiet(NOW + timedelta(minutes=20))
    assert desk.row(recording_id).state == RecordingState.STORED
    assert len(desk.s3.names()) == 1


@pytest.mark.parametrize("trouble", ["forbidden", "missing"])
def test_a_bucket_that_does_not_open_keeps_the_carriers_copy(desk: Desk, trouble: str) -> None:
    recording_id = desk.recording()
    setattr(desk.s3, trouble, True)
    desk.run_to_quiet()
    assert (desk.row(recording_id).failure, len(desk.fake.media)) == (StoreRefused.code, 1)


def test_a_carrier_that_asks_for_patience_gets_it(desk: Desk) -> None:
    recording_id = desk.recording()
    desk.fake.errors[desk.sid(recording_id)] = [CarrierUnavailable("429", status=429, retry_after_seconds=120)]
    desk.run()
    assert desk.row(recording_id).next_attempt_at >= NOW + timedelta(seconds=120)


def test_a_recording_that_always_fails_does_not_block_the_others(desk: Desk) -> None:
    poisoned = desk.recording(b"broken", next_attempt_at=NOW - timedelta(hours=1))
    good = [desk.recording() for _ in range(3)]
    desk.run_to_quiet()
    assert {desk.row(one).state for one in good} == {RecordingState.STORED}
    assert desk.row(poisoned).state == RecordingState.COPYING


def test_a_recording_the_carrier_does_not_know_is_given_up_in_the_end(desk: Desk) -> None:
    recording_id = desk.recording()
    desk.fake.media.clear()
    now = NOW
    while desk.run(now):
        now += timedelta(minutes=20)
    row = desk.row(recording_id)
    assert (row.state, row.attempts) == (RecordingState.FAILED, copy_claims.GIVE_UP_MISSING_AFTER)


@pytest.mark.parametrize(
    "values",
    [{"expires_at": NOW}, {"purge_wanted": True}, {"state": RecordingState.REFUSED}],
    ids=["expired", "wanted gone", "refused"],
)
def test_what_must_not_be_kept_is_not_copied(desk: Desk, values: dict[str, Any]) -> None:
    desk.recording(**values)
    assert not desk.run()
    assert desk.s3.names() == []


def test_a_held_recording_is_copied_even_when_it_has_expired(desk: Desk) -> None:
    recording_id = desk.recording(expires_at=NOW, held=True)
    desk.run_to_quiet()
    assert (desk.row(recording_id).state, desk.fake.media) == (RecordingState.STORED, {})


def test_the_copy_of_a_refused_recording_is_deleted_at_the_carrier(desk: Desk) -> None:
    recording_id = desk.recording(state=RecordingState.REFUSED, carrier_copy_due=True)
    desk.run_to_quiet()
    row = desk.row(recording_id)
    assert (desk.fake.media, row.state) == ({}, RecordingState.REFUSED)
    assert row.purge_wanted


def test_a_copy_that_is_not_complete_yet_is_deleted_later(desk: Desk) -> None:
    recording_id = desk.recording(state=RecordingState.REFUSED, carrier_copy_due=True)
    desk.fake.unfinished.add(desk.sid(recording_id))
    desk.run_to_quiet()
    assert len(desk.fake.media) == 1
    desk.fake.unfinished.clear()
    desk.run_to_quiet(NOW + timedelta(minutes=20))
    assert desk.fake.media == {}


def test_a_copy_the_carrier_does_not_know_is_done(desk: Desk) -> None:
    recording_id = desk.recording(state=RecordingState.STORED, carrier_copy_due=True)
    desk.fake.media.clear()
    desk.run()
    row = desk.row(recording_id)
    assert (row.carrier_copy_due, row.carrier_copy_deleted_at is not None) == (False, True)


def test_a_held_copy_that_is_not_stored_stays_at_the_carrier(desk: Desk) -> None:
    desk.recording(state=RecordingState.REFUSED, carrier_copy_due=True, held=True)
    assert not desk.run()


def test_a_report_after_the_purge_leaves_nothing_at_the_carrier(desk: Desk) -> None:
    recording_id = desk.recording(state=RecordingState.PURGED, carrier_copy_due=True)
    desk.run_to_quiet()
    assert (desk.fake.media, desk.row(recording_id).carrier_recording_sid) == ({}, None)


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
    audio = wav(100.0) if operation == "PutObject" else wav(200.0)
    recording_id = desk.recording(audio, duration_seconds=100 if operation == "PutObject" else 200)
    desk.s3.lost_answers.add(operation)
    desk.run()
    assert desk.row(recording_id).failure == StoreUnavailable.code
    desk.run_to_quiet(NOW + timedelta(minutes=20))
    assert desk.row(recording_id).state == RecordingState.STORED
    assert len(desk.s3.names()) == 1


def test_a_refusal_while_it_is_copied_stops_the_copy(desk: Desk) -> None:
    recording_id = desk.recording()
    _during_download(desk, lambda: desk.change(recording_id, state=RecordingState.REFUSED))
    desk.run()
    assert desk.row(recording_id).state == RecordingState.REFUSED
    assert desk.s3.names() == []


def test_a_refusal_at_the_last_moment_has_the_bytes_swept(desk: Desk) -> None:
    recording_id = desk.recording()
    _after_put(desk, lambda: desk.change(recording_id, state=RecordingState.REFUSED))
    desk.run()
    row = desk.row(recording_id)
    assert (row.state, row.purge_wanted, row.sha256) == (RecordingState.REFUSED, True, None)


def test_a_purge_at_the_last_moment_leaves_no_bytes(desk: Desk) -> None:
    recording_id = desk.recording()
    _after_put(desk, lambda: desk.change(recording_id, state=RecordingState.PURGED))
    desk.run()
    assert (desk.row(recording_id).state, desk.s3.names()) == (RecordingState.PURGED, [])


def test_a_row_whose_lease_was_taken_over_is_left_to_the_other(desk: Desk) -> None:
    recording_id = desk.recording()
    _during_download(desk, lambda: desk.change(recording_id, lease_token="somebody-else"))
    desk.run()
    row = desk.row(recording_id)
    assert (row.state, row.lease_token, desk.s3.names()) == (RecordingState.COPYING, "somebody-else", [])


def test_the_lease_is_renewed_while_a_long_recording_streams(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    recording_id = desk.recording()
    monkeypatch.setattr(ingest, "RENEW_SECONDS", 0)
    seen: list[datetime | None] = []
    _during_download(desk, lambda: seen.append(desk.row(recording_id).lease_until_at), every_chunk=True)
    desk.run()
    moments = [moment for moment in seen if moment is not None]
    assert len(moments) > 2
    assert moments[-1] > moments[0]


def _during_download(desk: Desk, act: Callable[[], Any], *, every_chunk: bool = False) -> None:
    """Do something while the bytes are on their way."""
    original = desk.fake.open_media

    def opened(carrier_recording_sid: str, *, channels: int) -> Media:
        media = original(carrier_recording_sid, channels=channels)

        def chunks() -> Any:
            for number, chunk in enumerate(media.chunks):
                if every_chunk or number == 0:
                    act()
                yield chunk

        return Media(media.size_bytes, media.channels, chunks())

    desk.fake.open_media = opened  # type: ignore[method-assign]


def _after_put(desk: Desk, act: Callable[[], Any]) -> None:
    """Do something when the bytes are in the store and the row does not know it yet."""
    original = desk.store.put

    def put(key: str, chunks: Any) -> Any:
        stored = original(key, chunks)
        act()
        return stored

    desk.store.put = put  # type: ignore[method-assign]
