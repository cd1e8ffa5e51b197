"""The end of a purge: row blanked and ledger written in one transaction, or the recording left due (R4, P29)."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from callcenter.crash_points import crash_point
from callcenter.domain.backoff import backoff_seconds
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CallcenterError, CarrierUnavailable
from callcenter.logs import log
from callcenter.models import LedgerEntry, Recording
from retention.due import Claimed, Why
from retention.removal import NEVER_MADE, LeftAlone, Removed

LEFT_ALONE_SECONDS = 0.1
"""Not in this sweep any more; in the next one before those who failed more often (``due.claim``)."""


def forget(session: Session, one: Claimed, why: Why, proof: Removed, now: datetime) -> bool:
    """Blank the row and write the ledger, together; nothing when another sweep took over and did it.
    ``versions_deleted`` is what the last try deleted (see ``Removed``)."""
    blanked = _update(
        session,
        one,
        state=RecordingState.PURGED,
        purged_at=now,
        carrier_copy_due=False,
        purge_wanted=False,
        carrier_copy_deleted_at=one.carrier_copy_deleted_at or (now if proof.carrier_copy != NEVER_MADE else None),
        carrier_call_sid=None,
        carrier_recording_sid=None,
        size_bytes=None,
        sha256=None,
        failure=None,
        lease_until_at=None,
        lease_token=None,
    )
    if blanked:
        crash_point("purge.half_recorded")
        session.add(
            LedgerEntry(
                clinic_id=one.clinic_id,
                recording_id=one.recording_id,
                reason=why,
                expired_at=min(one.expires_at, now),
                versions_deleted=proof.versions,
                carrier_copy=proof.carrier_copy,
                verified_absent_at=now,
                purged_at=now,
            )
        )
    return blanked


def postpone(session: Session, one: Claimed, error: CallcenterError, now: datetime) -> None:
    """It stays due: the state says purging, the lease ends, the next attempt comes later (R15). Who was not tried at
    all keeps the place in the queue, in front of those who failed."""
    log("retention").error("purge_failed", recording_id=one.recording_id, code=error.code, attempt=one.attempts)
    asked = error.retry_after_seconds if isinstance(error, CarrierUnavailable) else None
    tried = not isinstance(error, LeftAlone)
    wait = backoff_seconds(one.attempts, at_least_seconds=asked) if tried else asked or LEFT_ALONE_SECONDS
    _update(
        session,
        one,
        lease_until_at=None,
        failure=error.code,
        attempts=one.attempts if tried else one.attempts - 1,
        next_attempt_at=now + timedelta(seconds=wait),
    )


def _update(session: Session, one: Claimed, **values: Any) -> bool:
    result: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(Recording)
        .where(
            Recording.id == one.recording_id,
            Recording.lease_token == one.lease_token,
            Recording.state == RecordingState.PURGING,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return result.rowcount == 1
