"""A small world for tests of retention: a database, a strict versioned bucket, a carrier, and a clock to turn."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select

from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, Clinic, LedgerEntry, Recording
from callcenter.storage.s3 import S3RecordingStore
from retention.purge import SweepResult, sweep
from tests.factories import NOW, create_answered_call, create_clinic, create_legal_hold, create_recording
from tests.fakes import FakeCarrier, FakeS3, wav

AUDIO = wav(2.0)
EXPIRED = NOW - timedelta(seconds=1)


@dataclass
class World:
    """Recordings are really there: in the bucket, and at the carrier unless ``carrier_copy`` is False."""

    engine: Engine
    s3: FakeS3 = field(default_factory=FakeS3)
    carrier: FakeCarrier = field(default_factory=FakeCarrier)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.store = S3RecordingStore("recordings", client=self.s3.client())

    def clinic(self) -> Clinic:
        """A new clinic, committed."""
        with transaction(self.engine) as session:
            return create_clinic(session)

    def recording(
        self, clinic: Clinic | None = None, *, versions: int = 1, carrier_copy: bool = True, **values: Any
    ) -> str:
        """A recording (expired a second ago unless said otherwise); answers its id."""
        clinic = clinic or self.clinic()
        with transaction(self.engine) as session:
            call = create_answered_call(session, clinic)
            values = {"expires_at": EXPIRED, "next_attempt_at": NOW - timedelta(days=1)} | values
            row = create_recording(session, call, **values)
            key, sid = row.store_key, row.carrier_recording_sid
        for _ in range(versions):
            self.store.put(key, [AUDIO])
        if carrier_copy and sid:
            self.carrier.media[sid] = AUDIO
        return row.id

    def hold(self, recording_id: str) -> str:
        """Place a hold; answers its id."""
        with transaction(self.engine) as session:
            return create_legal_hold(session, session.get_one(Recording, recording_id)).id

    def sweep(self, **options: Any) -> SweepResult:
        """Sweep at ``now``."""
        options = {"clock": lambda: self.now} | options
        return sweep(self.engine, self.store, self.carrier.carrier(), **options)

    def row(self, recording_id: str) -> Recording:
        """The row as it is now."""
        with reading(self.engine) as session:
            return session.get_one(Recording, recording_id)

    def call_of(self, recording_id: str) -> Call:
        """The call it belongs to."""
        with reading(self.engine) as session:
            return session.get_one(Call, session.get_one(Recording, recording_id).call_id)

    def change(self, recording_id: str, **values: Any) -> None:
        """Change columns of a row."""
        with transaction(self.engine) as session:
            row = session.get_one(Recording, recording_id)
            for name, value in values.items():
                setattr(row, name, value)

    def ledger(self) -> list[LedgerEntry]:
        """Every entry of the ledger."""
        with reading(self.engine) as session:
            return list(session.scalars(select(LedgerEntry)))

    def states(self) -> dict[str, RecordingState]:
        """State by recording id."""
        with reading(self.engine) as session:
            return dict(session.execute(select(Recording.id, Recording.state)).all())
