"""A recording moves from the carrier to the store: verified, once, and never when it should not (F5, F8, F10, P33)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter.domain.recordings import RecordingState
from callcenter.errors import CarrierUnavailable, StoreRefused
from callcenter.services import copy_claims
from tests.factories import NOW
from tests.fakes import wav
from tests.services.ingest_desk import AUDIO, Desk


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
    assert row.state == RecordingState.FAILED
    assert row.ended_at is not None
    assert now - row.ended_at > copy_claims.GIVE_UP_MISSING_AFTER


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
