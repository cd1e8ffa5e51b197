"""A desk for tests of ingest: a database, a strict bucket, and a carrier with audio."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Recording
from callcenter.ports import Media
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


def during_download(desk: Desk, act: Callable[[], Any], *, every_chunk: bool = False) -> None:
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


def after_put(desk: Desk, act: Callable[[], Any]) -> None:
    """Do something when the bytes are in the store and the row does not know it yet."""
    original = desk.store.put

    def put(key: str, chunks: Any) -> Any:
        stored = original(key, chunks)
        act()
        return stored

    desk.store.put = put  # type: ignore[method-assign]
