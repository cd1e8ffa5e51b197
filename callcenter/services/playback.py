"""Listening to a recording: who may, whether it can be heard now, and the bytes while it still may be heard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.domain.permissions import Actor, ListeningSwitches, may_listen
from callcenter.domain.recordings import Purpose, RecordingState
from callcenter.domain.retention import is_audible
from callcenter.errors import Conflict, Forbidden, Gone
from callcenter.models import AccessEntry, Clinic, Recording
from callcenter.ports import RecordingStore
from callcenter.services.access import LISTENINGS_PER_MINUTE, limit_rate, present_actor, record_access
from callcenter.services.call_log import find_handled_call, find_recording

NOT_YET = (
    RecordingState.STARTING,
    RecordingState.RECORDING,
    RecordingState.PAUSED,
    RecordingState.COPYING,
    RecordingState.FAILED,
)

ASK_AGAIN_SECONDS = 5
ASK_AGAIN_BYTES = 256 * 1024
"""How much is heard at most before the right to hear it is asked for again (P20 allows 60 seconds)."""


@dataclass(frozen=True)
class Audio:
    """A recording that may be heard until ``expires_at``; ``size_bytes`` is its whole length."""

    recording_id: str
    store_key: str
    size_bytes: int
    expires_at: datetime


def allow_listening(session: Session, actor: Actor, recording_id: str, purpose: Purpose, *, now: datetime) -> Audio:
    """Let the actor hear a recording for a purpose, and write that into the access log (P8, P21).

    Raises NotFound (not in view), Forbidden (``purpose_not_allowed``, or a call that she was only offered), Conflict
    ``not_stored_yet``, Gone, and TooOften above LISTENINGS_PER_MINUTE.
    """
    recording, audio = _heard_by(session, actor, recording_id, purpose, now)
    here = AccessEntry.clinic_id == recording.clinic_id
    limit_rate(session, actor, "recording.heard", LISTENINGS_PER_MINUTE, here, now=now)
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


def still_allowed(session: Session, actor: Actor, recording_id: str, purpose: Purpose, *, now: datetime) -> Audio:
    """As ``allow_listening`` for somebody who is listening already: everything is asked again, from the key to the
    recording's state, and nothing is written. Raises Gone when key or user have ended, and as above."""
    present = present_actor(session, actor)
    if present is None:
        raise Gone("The right to listen has ended.")
    return _heard_by(session, present, recording_id, purpose, now)[1]


def _heard_by(
    session: Session, actor: Actor, recording_id: str, purpose: Purpose, now: datetime
) -> tuple[Recording, Audio]:
    recording = find_recording(session, actor, recording_id)
    find_handled_call(session, actor, recording.call_id)
    clinic = session.get_one(Clinic, recording.clinic_id)
    switches = ListeningSwitches(clinic.receptionists_may_listen, clinic.viewers_may_listen, clinic.training_allowed)
    if not may_listen(actor, purpose, switches):
        raise Forbidden(f"Your role may not listen to this recording for {purpose}.", code="purpose_not_allowed")
    return recording, _audible(recording, now)


def _audible(recording: Recording, now: datetime) -> Audio:
    if is_audible(recording.state, recording.expires_at, now, purge_wanted=recording.purge_wanted):
        return Audio(recording.id, recording.store_key, recording.size_bytes or 0, recording.expires_at)
    if recording.state in NOT_YET and now < recording.expires_at and not recording.purge_wanted:
        raise Conflict("The recording is not stored yet; try again in a minute.", code="not_stored_yet")
    raise Gone("The recording has expired, was deleted or was never made.")


def latest_now(session: Session) -> datetime:
    """This host's time, or the database's when that is later: a host whose clock was put back must not let anybody
    hear what has expired (P28, F22)."""
    host = clock.now()
    if session.get_bind().dialect.name == "sqlite":
        return host  # the same clock
    database: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return max(host, database + clock.offset())


def stream(
    store: RecordingStore,
    audio: Audio,
    start: int,
    end: int,
    *,
    now: Callable[[], datetime],
    ask_again: Callable[[], Audio],
) -> Iterator[bytes]:
    """The bytes from ``start`` to ``end`` (inclusive), none of them after the recording's expiry (P28).

    ``ask_again`` answers the audio as it may be heard now, or raises: it is asked after every ASK_AGAIN_SECONDS and
    every ASK_AGAIN_BYTES, so that a revoked right ends within both (P20). The store is asked before the first chunk is
    taken. Raises Gone, or what ``ask_again`` raises, in the middle: a broken transfer is the only way left to say so.
    """
    asked_at, unasked_bytes = now(), 0
    for chunk in store.read(audio.store_key, start, end):
        moment = now()
        # A clock that was set back must not make the last answer last longer.
        if unasked_bytes >= ASK_AGAIN_BYTES or not 0 <= (moment - asked_at).total_seconds() < ASK_AGAIN_SECONDS:
            audio, asked_at, unasked_bytes = ask_again(), moment, 0
        if moment >= audio.expires_at:
            raise Gone("The recording has expired.")
        unasked_bytes += len(chunk)
        yield chunk
