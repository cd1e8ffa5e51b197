"""A recording that has expired already: what the demo shows retention on."""

import io
import math
import secrets
import struct
import wave
from datetime import datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from callcenter.cli.demo_data import CLINICS
from callcenter.db import transaction
from callcenter.domain.calls import CallState, Disposition, EndedBy, Outcome
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.domain.retention import expires_at
from callcenter.models import Call, Clinic, ClinicNumber, Recording, new_id
from callcenter.ports import RecordingStore, StoredObject

SECONDS = 4
RATE = 8000


def seed_expired_recording(engine: Engine, store: RecordingStore, now: datetime) -> str:
    """A stored recording of the demo's first clinic whose period ended an hour ago, bytes and all; answers its id.

    Row before bytes, as everywhere (R3). The carrier's copy counts as deleted long since.
    """
    with transaction(engine) as session:
        recording = _insert(session, now)
    stored = store.put(recording.store_key, [_tone()])
    with transaction(engine) as session:
        _mark_stored(session.get_one(Recording, recording.id), stored)
    return recording.id


def _insert(session: Session, now: datetime) -> Recording:
    clinic = session.scalars(select(Clinic).where(Clinic.slug == CLINICS[0].slug)).one()
    number = session.scalars(select(ClinicNumber.number).where(ClinicNumber.clinic_id == clinic.id).limit(1)).one()
    ended_at = now - timedelta(days=clinic.retention_days, hours=1)
    started_at = ended_at - timedelta(seconds=SECONDS)
    call = Call(
        clinic_id=clinic.id,
        carrier_call_sid=f"CA{new_id()}",
        from_number="+447700900199",
        to_number=number,
        state=CallState.ENDED,
        outcome=Outcome.ANSWERED,
        started_at=started_at - timedelta(seconds=20),
        queued_at=started_at - timedelta(seconds=12),
        connected_at=started_at,
        ended_at=ended_at,
        ended_by=EndedBy.CALLER,
        talk_seconds=float(SECONDS),
        check_at=ended_at,
        disposition=Disposition.ENQUIRY,
        expires_at=expires_at(started_at, clinic.call_log_days),
    )
    session.add(call)
    session.flush()
    recording = Recording(
        clinic_id=clinic.id,
        call_id=call.id,
        turn=1,
        kind=RecordingKind.CONVERSATION,
        state=RecordingState.COPYING,
        carrier_call_sid=call.carrier_call_sid,
        carrier_recording_sid=f"RE{new_id()}",
        carrier_copy_deleted_at=ended_at,
        store_key=secrets.token_hex(24),
        channels=2,
        duration_seconds=SECONDS,
        started_at=started_at,
        ended_at=ended_at,
        retention_days=clinic.retention_days,
        policy_version=clinic.policy_version,
        expires_at=expires_at(ended_at, clinic.retention_days),
        next_attempt_at=now + timedelta(hours=1),  # no worker looks for it at the carrier while we store it
    )
    session.add(recording)
    session.flush()
    return recording


def _mark_stored(recording: Recording, stored: StoredObject) -> None:
    recording.state = RecordingState.STORED
    recording.size_bytes = stored.size_bytes
    recording.sha256 = stored.sha256
    recording.stored_at = recording.ended_at


def _tone() -> bytes:
    """A quiet tone on two channels as WAV."""
    samples = (int(4000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in range(SECONDS * RATE))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as output:
        output.setnchannels(2)
        output.setsampwidth(2)
        output.setframerate(RATE)
        output.writeframes(b"".join(struct.pack("<hh", sample, sample) for sample in samples))
    return buffer.getvalue()
