"""Recordings that lie at the carrier: which row awaits one, which should be gone, which nobody can explain (R14)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.domain.calls import CallState
from callcenter.domain.events import RecordingReportKind
from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.models import Call, Recording
from callcenter.ports import CarrierRecording
from callcenter.services import lifecycle, recordings
from callcenter.services.call_rows import locked

REPORTED_WITHIN = timedelta(minutes=2)
"""So soon after its end a recording is reported, unless the notification was lost."""
DELETED_WITHIN = timedelta(hours=1)
"""So soon after the carrier has confirmed a deletion its lists show it."""
UNEXPLAINED_AFTER = timedelta(hours=24)
"""Younger ones may still be explained: a report that is late, a command that is tried again for a day (R14)."""
_OVER = (RecordingReportKind.COMPLETED, RecordingReportKind.ABSENT)


class Standing(StrEnum):
    """How a recording at the carrier stands to our rows."""

    EXPECTED = "expected"
    """Nothing to do: its row is in hand, or it is too early to tell."""
    AWAITED = "awaited"
    """A row waits for it, and nobody has told."""
    LEFT_OVER = "left_over"
    """Should be gone: its row says deleted, refused or purged; or no row has it, and its call may leave nothing."""
    UNEXPLAINED = "unexplained"
    """No row has it, and nothing says that it should be gone: a surplus copy, or what a restored database forgot."""
    KEPT = "kept"
    """No row has it, but a hold protects a recording of the same call."""


@dataclass(frozen=True)
class Judged:
    """A listed recording and how it stands; ``recording_id`` is the row's that it belongs to."""

    found: CarrierRecording
    standing: Standing
    recording_id: str | None = None


def judge(session: Session, listed: Collection[CarrierRecording], *, now: datetime) -> list[Judged]:
    """How each recording of the carrier's list stands to our rows. Changes nothing."""
    sids = [found.carrier_recording_sid for found in listed]
    legs = {found.carrier_call_sid for found in listed}
    by_sid = select(Recording, Call.state).join(Call, Call.id == Recording.call_id)
    named = {
        row.carrier_recording_sid: (row, state)
        for row, state in session.execute(by_sid.where(Recording.carrier_recording_sid.in_(sids)))
    }
    calls = {
        call.carrier_call_sid: call for call in session.scalars(select(Call).where(Call.carrier_call_sid.in_(legs)))
    }
    judged = []
    for found in listed:
        row, state = named.get(found.carrier_recording_sid, (None, None))
        call = calls.get(found.carrier_call_sid)
        if row is not None:
            judged.append(Judged(found, _of_row(row, state == CallState.ENDED, found, now), row.id))
        elif found.kind != RecordingReportKind.COMPLETED or (call is not None and call.state != CallState.ENDED):
            judged.append(Judged(found, Standing.EXPECTED))
        else:
            judged.append(_without_row(found, call, recordings.of_call(session, call.id) if call else [], now))
    return judged


def _of_row(row: Recording, call_is_over: bool, found: CarrierRecording, now: datetime) -> Standing:
    """A recording whose SID a row has."""
    deleted_at, copy_due = row.carrier_copy_deleted_at, row.carrier_copy_due
    if _awaits(row) or (row.state == RecordingState.FAILED and found.kind == RecordingReportKind.COMPLETED):
        late = found.kind in _OVER and (call_is_over or _ended_before(found, now - REPORTED_WITHIN))
        return Standing.AWAITED if late else Standing.EXPECTED
    if found.kind != RecordingReportKind.COMPLETED or row.held or copy_due:
        return Standing.EXPECTED
    if row.state == RecordingState.REFUSED and deleted_at is None:
        return Standing.AWAITED
    gone = row.state in (RecordingState.STORED, RecordingState.REFUSED) and deleted_at is not None
    if row.state == RecordingState.PURGED or (gone and deleted_at and deleted_at <= now - DELETED_WITHIN):
        return Standing.LEFT_OVER
    return Standing.EXPECTED


def _without_row(found: CarrierRecording, call: Call | None, rows: Sequence[Recording], now: datetime) -> Judged:
    """A finished recording that no row names, of a call that is over or unknown."""
    at = found.started_at
    of_leg = [
        row for row in rows if row.carrier_call_sid == found.carrier_call_sid and row.carrier_recording_sid is None
    ]
    waiting = [row for row in of_leg if _awaits(row) or _was_refused_unseen(row)]
    if waiting and at is not None:
        nearest = min(waiting, key=lambda row: abs(row.started_at - at))
        return Judged(found, Standing.AWAITED, nearest.id)
    if at is None or at > now - UNEXPLAINED_AFTER:
        return Judged(found, Standing.EXPECTED)
    if any(row.held for row in rows):
        return Judged(found, Standing.KEPT)
    refused = call is not None and call.recording_refused_at is not None and call.message_consent_at is None
    purged = bool(rows) and all(row.state == RecordingState.PURGED for row in rows)
    return Judged(found, Standing.LEFT_OVER if refused or purged else Standing.UNEXPLAINED)


def _awaits(row: Recording) -> bool:
    no_trace = row.state == RecordingState.ABSENT and row.failure == recordings.NO_TRACE
    return row.state in LIVE_RECORDING_STATES or no_trace


def _was_refused_unseen(row: Recording) -> bool:
    return row.state == RecordingState.REFUSED and row.carrier_copy_deleted_at is None


def _ended_before(found: CarrierRecording, at: datetime) -> bool:
    return found.started_at is not None and found.started_at + timedelta(seconds=found.duration_seconds or 0) <= at


def adopt(session: Session, recording_id: str, found: CarrierRecording, *, voice: VoiceSettings, now: datetime) -> bool:
    """Complete the row that awaits the recording, as its report would have done; False when it awaits it no more."""
    row = session.get(Recording, recording_id)
    if row is None or found.kind is None:
        return False
    call = locked(session, row.call_id)
    session.refresh(row, with_for_update=True)
    judged = judge(session, [found], now=now)[0]
    if (judged.standing, judged.recording_id) != (Standing.AWAITED, recording_id):
        return False
    if row.state == RecordingState.FAILED:
        row.state, row.attempts, row.next_attempt_at, row.failure = RecordingState.COPYING, 0, now, None
        return True
    recordings.reported(session, row, recordings.as_report(found, found.kind), now=now)
    lifecycle.settle_outcome(session, call, voice=voice)
    return True


def hold_protects(session: Session, found: CarrierRecording) -> bool:
    """Whether a hold is in force on any recording that shares SID or leg with this one, whatever became of its call."""
    same = or_(
        Recording.carrier_recording_sid == found.carrier_recording_sid,
        Recording.carrier_call_sid == found.carrier_call_sid,
    )
    return session.scalar(select(Recording.id).where(Recording.held, same).limit(1)) is not None


def copy_again(session: Session, recording_id: str, *, now: datetime) -> bool:
    """Our bytes are gone and the carrier still has its copy: back to copying. False when the row has moved on, or when
    somebody is just deleting that copy."""
    row = session.get(Recording, recording_id, with_for_update=True, populate_existing=True)
    if row is None or row.state != RecordingState.STORED or row.carrier_recording_sid is None:
        return False
    if row.lease_until_at is not None and row.lease_until_at > now:
        return False
    if not row.held and (row.expires_at <= now or row.purge_wanted):
        return False
    row.state, row.stored_at, row.failure = RecordingState.COPYING, None, "object_missing"
    row.carrier_copy_due, row.carrier_copy_deleted_at = False, None
    row.attempts, row.next_attempt_at = 0, now
    return True
