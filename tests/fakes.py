"""Stand-ins for what leaves the machine: ``FakeCarrier`` keeps recordings and gives their audio away, ``wav`` makes
audio, ``FakeS3`` (tests/fake_s3.py) is a strict bucket.
"""

import struct
from collections.abc import Iterator
from datetime import datetime
from typing import cast

from callcenter.domain.events import RecordingReportKind
from callcenter.errors import CarrierNotFound, CarrierRefused
from callcenter.ports import Carrier, CarrierCall, CarrierRecording, Media
from tests.fake_s3 import FakeS3

__all__ = ["FakeCarrier", "FakeS3", "wav"]


def wav(seconds: float = 1.0, *, channels: int = 2, rate: int = 8000, data_size: int | None = None) -> bytes:
    """Audio of 16 bits; ``data_size`` is what the header claims (default: the truth)."""
    data = b"\x01\x00" * (round(seconds * rate) * channels)
    size = len(data) if data_size is None else data_size
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
        + b"data" + struct.pack("<I", size & 0xFFFFFFFF) + data
    )  # fmt: skip


class FakeCarrier:
    """Recordings at the carrier, by SID. ``errors`` are raised by the next requests for a SID, one each, first to last;
    ``cut`` is how many bytes a download loses at its end; ``unfinished`` recordings cannot be deleted yet. ``calls``,
    ``forwarded`` (by SID of the call) and ``recordings`` are what its lists show."""

    def __init__(self) -> None:
        self.media: dict[str, bytes] = {}
        self.legs: dict[str, list[str]] = {}
        self.errors: dict[str, list[Exception]] = {}
        self.cut = 0
        self.unfinished: set[str] = set()
        self.deletions: list[str] = []
        self.calls: list[CarrierCall] = []
        self.forwarded: dict[str, list[CarrierCall]] = {}
        self.recordings: dict[str, CarrierRecording] = {}

    def record(self, recording: CarrierRecording, audio: bytes) -> None:
        """A recording that the carrier has and lists."""
        self.recordings[recording.carrier_recording_sid] = recording
        self.media[recording.carrier_recording_sid] = audio

    def inbound_calls(self, since: datetime, until: datetime) -> Iterator[CarrierCall]:
        self._maybe_fail("inbound_calls")
        for call in sorted(self.calls, key=lambda one: one.started_at or until, reverse=True):
            self._maybe_fail(call.carrier_call_sid)
            if call.started_at is None or since <= call.started_at <= until:
                yield call

    def forwarded_legs(self, carrier_call_sid: str) -> list[CarrierCall]:
        self._maybe_fail("forwarded_legs")
        return self.forwarded.get(carrier_call_sid, [])

    def call(self, carrier_call_sid: str) -> CarrierCall:
        for call in self.calls:
            if call.carrier_call_sid == carrier_call_sid:
                return call
        raise CarrierNotFound("There is no such call.", carrier_code=20404, status=404)

    def recordings_between(self, since: datetime | None, until: datetime) -> Iterator[CarrierRecording]:
        self._maybe_fail("recordings_between")
        for sid, recording in list(self.recordings.items()):
            at = recording.started_at
            if sid in self.media and (at is None or ((since is None or at >= since) and at <= until)):
                yield recording

    def recording(self, carrier_recording_sid: str) -> CarrierRecording:
        self._maybe_fail(carrier_recording_sid)
        if carrier_recording_sid not in self.media:
            raise CarrierNotFound("There is no such recording.", carrier_code=20404, status=404)
        known = self.recordings.get(carrier_recording_sid)
        return known or CarrierRecording(carrier_recording_sid, "", RecordingReportKind.COMPLETED, None, 2, None)

    def open_media(self, carrier_recording_sid: str, *, channels: int) -> Media:
        self._maybe_fail(carrier_recording_sid)
        audio = self.media.get(carrier_recording_sid)
        if audio is None:
            raise CarrierNotFound("There is no such recording at the carrier.")
        sent = audio[: len(audio) - self.cut]
        chunks = (sent[at : at + 4096] for at in range(0, len(sent), 4096))
        return Media(size_bytes=len(audio), channels=channels, chunks=chunks)

    def delete_recording(self, carrier_recording_sid: str) -> None:
        self.deletions.append(carrier_recording_sid)
        self._maybe_fail(carrier_recording_sid)
        if carrier_recording_sid in self.unfinished:
            raise CarrierRefused("The recording is not complete yet.", carrier_code=20409, status=409)
        if self.media.pop(carrier_recording_sid, None) is None:
            raise CarrierNotFound("There is no such recording at the carrier.")

    def recordings_of(self, carrier_call_sid: str) -> list[CarrierRecording]:
        sids = self.legs.get(carrier_call_sid, [])
        return [CarrierRecording(sid, carrier_call_sid, None, None, None, None) for sid in sids if sid in self.media]

    def carrier(self) -> Carrier:
        """Itself, for arguments that want the whole protocol: what is missing here is not for these tests."""
        return cast(Carrier, self)

    def _maybe_fail(self, sid: str) -> None:
        if self.errors.get(sid):
            raise self.errors[sid].pop(0)
