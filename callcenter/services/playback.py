"""Listening to a recording: who may, whether it can be heard now, and the bytes while it still may be heard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from callcenter.domain.permissions import Actor, ListeningSwitches, may_listen
from callcenter.domain.recordings import Purpose, RecordingState
from callcenter.domain.retention import is_audible
from callcenter.errors import Conflict, Forbidden, Gone
from callcenter.models import Clinic, Recording
from callcenter.ports import RecordingStore
from callcenter.services.access import record_access
from callcenter.services.call_log import find_recording

NOT_YET = (
    RecordingState.STARTING,
    RecordingState.RECORDING,
    RecordingState.PAUSED,
    RecordingState.COPYING,
    RecordingState.FAILED,
)


@dataclass(frozen=True)
class Audio:
    """A recording that may be heard until ``expires_at``; ``size_bytes`` is its whole length."""

    recording_id: str
    store_key: str
    size_bytes: int
    expires_at: datetime


def allow_listening(session: Session, actor: Actor, recording_id: str, purpose: Purpose, *, now: datetime) -> Audio:
    """Let the actor hear a recording for a purpose, and write that into the access log (P8, P21).

    Raises NotFound (not in view), Forbidden ``purpose_not_allowed``, Conflict ``not_stored_yet`` and Gone.
    """
    recording = find_recording(session, actor, recording_id)
    clinic = session.get_one(Clinic, recording.clinic_id)
    switches = ListeningSwitches(clinic.receptionists_may_listen, clinic.viewers_may_listen, clinic.training_allowed)
    if not may_listen(actor, purpose, switches):
        raise Forbidden(f"Your role may not listen to this recording for {purpose}.", code="purpose_not_allowed")
    audio = _audible(recording, now)
    record_access(
        session,
        actor,
        "recording.heard",
        subject_kind="recording",
        subject_id=recording.id,
        clinic_id=recording.clinic_id,
        purpose=purpose,
        now=now,
    )
    return audio


def _audible(recording: Recording, now: datetime) -> Audio:
    if is_audible(recording.state, recording.expires_at, now, purge_wanted=recording.purge_wanted):
        return Audio(recording.id, recording.store_key, recording.size_bytes or 0, recording.expires_at)
    if recording.state in NOT_YET and now < recording.expires_at and not recording.purge_wanted:
        raise Conflict("The recording is not stored yet; try again in a minute.", code="not_stored_yet")
    raise Gone("The recording has expired, was deleted or was never made.")


def stream(
    store: RecordingStore, audio: Audio, start: int, end: int, *, now: Callable[[], datetime]
) -> Iterator[bytes]:
    """The bytes from ``start`` to ``end`` (inclusive), none of them after the recording's expiry.

    The store is asked before the first chunk is taken. Raises Gone in the middle when the recording expires: a broken
    transfer is the only way left to say so.
    """
    for chunk in store.read(audio.store_key, start, end):
        if now() >= audio.expires_at:
            raise Gone("The recording has expired.")
        yield chunk
