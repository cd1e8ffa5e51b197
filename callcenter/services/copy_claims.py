"""Which recording is worked on by whom: leases on rows that are to be copied, or whose carrier copy is to go (R5)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Engine, Update, and_, or_, select, text, update
from sqlalchemy.orm import Session

from callcenter.crash_points import crash_point
from callcenter.db import transaction
from callcenter.domain.backoff import LONGEST_WAIT_SECONDS, backoff_seconds
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CallcenterError, CarrierNotFound, CarrierUnavailable
from callcenter.logs import log
from callcenter.models import Recording, new_id

LEASE_SECONDS = 30
"""How soon somebody else may go on after a crash. A copy that is alive renews it every third of that, however long the
store takes (``ingest``); so two renewals may fail before the sweep may think that no more bytes are coming."""
GIVE_UP_MISSING_AFTER = timedelta(hours=24)
"""For so long after its end the carrier may say that it does not know the recording. Counted in time, not in tries:
other trouble, such as a store that was away for an hour, must not use the patience up."""

# Written as in the partial indexes: SQLite uses those only when it sees the same words, not a parameter.
_COPYING = text("recordings.state = 'copying'")
_CARRIER_COPY_DUE = text("recordings.carrier_copy_due")


@dataclass(frozen=True)
class Claim:
    """A leased piece of work: to copy a recording, or to delete its copy at the carrier."""

    recording_id: str
    lease_token: str
    attempts: int
    carrier_recording_sid: str
    store_key: str
    duration_seconds: int | None


def next_copy(session: Session, now: datetime) -> Claim | None:
    """Lease the recording that has waited longest to be copied (R5), or None."""
    return _lease(session, copyable(now), now)


def next_carrier_deletion(session: Session, now: datetime) -> Claim | None:
    """Lease the carrier copy that has waited longest to be deleted, or None. Of held recordings only what is stored."""
    return _lease(session, carrier_copy_due(now), now)


def copyable(now: datetime) -> ColumnElement[bool]:
    """Due to be copied. What has expired or is wanted gone is left to the sweep, unless a hold keeps it."""
    return and_(
        _COPYING,
        Recording.carrier_recording_sid.is_not(None),
        or_(Recording.held, and_(Recording.expires_at > now, ~Recording.purge_wanted)),
        is_free(now, now),
    )


def carrier_copy_due(now: datetime) -> ColumnElement[bool]:
    """The carrier's copy may go: ours is verified, or nothing was to be kept."""
    return and_(
        _CARRIER_COPY_DUE,
        Recording.carrier_recording_sid.is_not(None),
        or_(
            Recording.state == RecordingState.STORED,
            and_(Recording.state.in_((RecordingState.REFUSED, RecordingState.PURGED)), ~Recording.held),
        ),
        is_free(now, now),
    )


def is_free(due_at: datetime, now: datetime) -> ColumnElement[bool]:
    """Whether a recording's wait was over at ``due_at`` and no lease on it is in force at ``now``. Neither lasts for
    more than a day, whatever a clock that was wrong has written (F22)."""
    longest = timedelta(seconds=LONGEST_WAIT_SECONDS)
    return and_(
        or_(Recording.next_attempt_at <= due_at, Recording.next_attempt_at > due_at + longest),
        or_(
            Recording.lease_until_at.is_(None),
            Recording.lease_until_at <= now,
            Recording.lease_until_at > now + longest,
        ),
    )


def waiting_since(session: Session, condition: ColumnElement[bool]) -> datetime | None:
    """Since when the oldest of these has been due; None when there is none."""
    return session.scalar(
        select(Recording.next_attempt_at).where(condition).order_by(Recording.next_attempt_at).limit(1)
    )


def _lease(session: Session, condition: ColumnElement[bool], now: datetime) -> Claim | None:
    due = select(Recording.id).where(condition).order_by(Recording.next_attempt_at).limit(10)
    for recording_id in session.scalars(due).all():
        token = new_id()
        claimed = update(Recording).where(Recording.id == recording_id, condition)
        lease_until_at = now + timedelta(seconds=LEASE_SECONDS)
        if changed(
            session,
            claimed.values(lease_token=token, lease_until_at=lease_until_at, attempts=Recording.attempts + 1),
        ):
            row = session.get_one(Recording, recording_id, populate_existing=True)
            return Claim(
                recording_id=row.id,
                lease_token=token,
                attempts=row.attempts,
                carrier_recording_sid=row.carrier_recording_sid or "",
                store_key=row.store_key,
                duration_seconds=row.duration_seconds,
            )
    return None


def leased(claim: Claim) -> Update:
    """An UPDATE of the claimed row, if nobody else has claimed it since."""
    return update(Recording).where(Recording.id == claim.recording_id, Recording.lease_token == claim.lease_token)


def owned(claim: Claim) -> Update:
    """An UPDATE of the claimed row, if it is still ours and still to be copied."""
    return leased(claim).where(Recording.state == RecordingState.COPYING)


def note_failure(engine: Engine, claim: Claim, at: datetime, error: Exception) -> None:
    """Note why and when to try again; the lease ends only if it is still ours."""
    code = error.code if isinstance(error, CallcenterError) else "unexpected"
    logger = log("ingest").bind(recording_id=claim.recording_id, attempt=claim.attempts, code=code)
    logger.warning("recording_failed", exc_info=error if code == "unexpected" else None)
    asked = error.retry_after_seconds if isinstance(error, CarrierUnavailable) else None
    wait = backoff_seconds(claim.attempts, at_least_seconds=asked)
    values: dict[str, Any] = {
        "failure": code,
        "lease_until_at": None,
        "next_attempt_at": at + timedelta(seconds=wait),
    }
    with transaction(engine) as session:
        session.execute(leased(claim).values(**values))
        if isinstance(error, CarrierNotFound):
            too_old = Recording.ended_at < at - GIVE_UP_MISSING_AFTER
            session.execute(owned(claim).where(too_old).values(state=RecordingState.FAILED))
    crash_point("copy.failed")


def changed(session: Session, statement: Update) -> bool:
    """Whether a conditional UPDATE of one row changed it: then we are the one (R5)."""
    result: CursorResult[Any] = session.execute(statement.execution_options(synchronize_session=False))  # type: ignore[assignment]
    return result.rowcount == 1
