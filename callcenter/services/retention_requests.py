"""What people ask of retention: keep this one (hold), keep all for so many days (policy), show what is due.

The top-level ``retention`` executes. Each request writes an access entry (P21) with ids only.
``clinic_ids`` limits a request to clinics that the asker may see; None means all. What is outside looks as if it did
not exist.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, and_, exists, select, text, update
from sqlalchemy.orm import Session

from callcenter.domain.recordings import RecordingState
from callcenter.domain.retention import check_days, expires_at
from callcenter.domain.text_rules import clean_text
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import AccessEntry, Clinic, LegalHold, Recording

LONGEST_REASON = 500
_BATCH = 1000
_NOTHING_TO_HOLD = (RecordingState.REFUSED, RecordingState.ABSENT, RecordingState.PURGED)
NOT_PURGED = text("recordings.state NOT IN ('purged')")
"""In the words of the partial index, so that both databases use it."""


@dataclass(frozen=True)
class PolicyChange:
    """``affected``: existing recordings that now expire earlier; ``due_now``: those of them that expire at once.
    ``applied`` is False when the change shortens and was not confirmed yet: then nothing was changed."""

    clinic_id: str
    retention_days: int
    policy_version: int
    affected: int
    due_now: int
    applied: bool


@dataclass(frozen=True)
class DueRecording:
    """A recording that must be purged, for the list of what is due."""

    recording_id: str
    clinic_id: str
    state: RecordingState
    expires_at: datetime
    held: bool
    purge_wanted: bool
    attempts: int
    next_attempt_at: datetime
    failure: str | None


def place_hold(
    session: Session,
    *,
    recording_id: str,
    reason: str,
    review_on: date,
    actor_id: str,
    now: datetime,
    clinic_ids: Collection[str] | None = None,
) -> LegalHold:
    """Keep a recording from being purged until the hold is released (L4). It stays hidden once it has expired.

    Raises BadInput (reason, review date), NotFound, Conflict ``already_being_deleted`` when a purge has begun (F24) and
    ``nothing_to_hold`` when there is no audio.
    """
    reason = clean_text(reason, field="The reason", limit=LONGEST_REASON, lines=True)
    if review_on <= now.date():
        raise BadInput("The review date must lie in the future.")
    recording = _locked(session, recording_id, clinic_ids)
    if recording.state == RecordingState.PURGING:
        raise Conflict("The recording is already being deleted.", code="already_being_deleted")
    if recording.state in _NOTHING_TO_HOLD:
        raise Conflict("There is no audio of this recording to keep.", code="nothing_to_hold")
    hold = LegalHold(
        clinic_id=recording.clinic_id,
        recording_id=recording.id,
        reason=reason,
        placed_by=actor_id,
        placed_at=now,
        review_on=review_on,
    )
    session.add(hold)
    recording.held = True
    session.flush()
    _log(session, actor_id, "hold.placed", "hold", hold.id, recording.clinic_id, now)
    return hold


def release_hold(
    session: Session,
    *,
    hold_id: str,
    reason: str,
    actor_id: str,
    now: datetime,
    clinic_ids: Collection[str] | None = None,
) -> LegalHold:
    """End a hold. The recording stays held while another hold on it is in force; else it is due again by its expiry.

    Raises BadInput, NotFound, Conflict ``already_released``.
    """
    reason = clean_text(reason, field="The reason", limit=LONGEST_REASON, lines=True)
    recording_id = session.scalar(select(LegalHold.recording_id).where(LegalHold.id == hold_id))
    if recording_id is None:
        raise NotFound("There is no such hold.")
    try:
        recording = _locked(session, recording_id, clinic_ids)
    except NotFound:
        raise NotFound("There is no such hold.") from None
    hold = session.get_one(LegalHold, hold_id, populate_existing=True)
    if hold.released_at is not None:
        raise Conflict("The hold was released before.", code="already_released")
    hold.released_at, hold.released_by, hold.release_reason = now, actor_id, reason
    session.flush()
    # Asked only after the row's lock is ours: a hold placed at the same moment is either seen here or waits for us.
    in_force = exists().where(LegalHold.recording_id == recording.id, LegalHold.released_at.is_(None))
    recording.held = bool(session.scalar(select(in_force)))
    recording.next_attempt_at = now
    session.flush()
    _log(session, actor_id, "hold.released", "hold", hold.id, recording.clinic_id, now)
    return hold


def list_holds(
    session: Session, *, clinic_ids: Collection[str] | None = None, in_force: bool = True
) -> list[LegalHold]:
    """Holds, those to be reviewed first; with ``in_force`` False the released ones too."""
    query = select(LegalHold).order_by(LegalHold.review_on, LegalHold.id)
    if in_force:
        query = query.where(LegalHold.released_at.is_(None))
    if clinic_ids is not None:
        query = query.where(LegalHold.clinic_id.in_(clinic_ids))
    return list(session.scalars(query))


def log_holds_shown(session: Session, holds: Collection[LegalHold], *, actor_id: str, now: datetime) -> None:
    """Somebody reads these holds with their reasons: one access entry for each clinic (P21)."""
    for clinic_id in sorted({hold.clinic_id for hold in holds}):
        _log(session, actor_id, "hold.listed", "clinic", clinic_id, clinic_id, now)


def change_policy(
    session: Session, *, clinic_id: str, days: object, actor_id: str, now: datetime, confirmed: bool = False
) -> PolicyChange:
    """Set a clinic's recording period in whole days (P27, R12). Authorisation is the caller's business (L6).

    A longer period is for new recordings only. A shorter one applies to existing ones too, and so only when
    ``confirmed``: without it the answer says how many would be affected, and nothing changes. Raises BadInput and
    NotFound.
    """
    wanted = check_days(days)
    clinic = session.get(Clinic, clinic_id, with_for_update=True, populate_existing=True)
    if clinic is None:
        raise NotFound("There is no such clinic.")
    if wanted == clinic.retention_days:
        return PolicyChange(clinic_id, wanted, clinic.policy_version, affected=0, due_now=0, applied=True)
    version = clinic.policy_version + 1
    affected, due_now = _count_shortened(session, clinic_id, wanted, now)
    if wanted < clinic.retention_days and not confirmed:
        return PolicyChange(clinic_id, wanted, clinic.policy_version, affected, due_now, applied=False)
    if wanted < clinic.retention_days:
        _shorten(session, clinic_id, wanted, version)
    else:
        affected = due_now = 0
    clinic.retention_days, clinic.policy_version = wanted, version
    session.flush()
    _log(session, actor_id, "retention.policy_changed", "clinic", clinic_id, clinic_id, now)
    return PolicyChange(clinic_id, wanted, version, affected, due_now, applied=True)


def list_due(session: Session, now: datetime, *, limit: int = 1000) -> list[DueRecording]:
    """What must be purged at ``now``, oldest first; held ones are shown too, so that nobody wonders."""
    by_expiry = select(Recording).where(NOT_PURGED, Recording.expires_at <= now)
    by_wish = select(Recording).where(NOT_PURGED, Recording.purge_wanted, Recording.expires_at > now)
    rows = [
        *session.scalars(by_wish.order_by(Recording.expires_at).limit(limit)),
        *session.scalars(by_expiry.order_by(Recording.expires_at).limit(limit)),
    ]
    return [
        DueRecording(
            recording_id=row.id,
            clinic_id=row.clinic_id,
            state=row.state,
            expires_at=row.expires_at,
            held=row.held,
            purge_wanted=row.purge_wanted,
            attempts=row.attempts,
            next_attempt_at=row.next_attempt_at,
            failure=row.failure,
        )
        for row in rows[:limit]
    ]


def _locked(session: Session, recording_id: str, clinic_ids: Collection[str] | None) -> Recording:
    recording = session.get(Recording, recording_id, with_for_update=True, populate_existing=True)
    if recording is None or (clinic_ids is not None and recording.clinic_id not in clinic_ids):
        raise NotFound("There is no such recording.")
    return recording


def _longer_kept(clinic_id: str, days: int) -> ColumnElement[bool]:
    return and_(
        Recording.clinic_id == clinic_id,
        NOT_PURGED,
        Recording.state != RecordingState.PURGING,
        Recording.retention_days > days,
    )


def _count_shortened(session: Session, clinic_id: str, days: int, now: datetime) -> tuple[int, int]:
    ends = select(Recording.ended_at, Recording.started_at, Recording.expires_at)
    affected = due_now = 0
    for ended_at, started_at, expiry in session.execute(ends.where(_longer_kept(clinic_id, days))):
        affected += 1
        due_now += expires_at(ended_at or started_at, days) <= now < expiry
    return affected, due_now


def _shorten(session: Session, clinic_id: str, days: int, version: int) -> None:
    """Recompute every expiry with the one function that may, in the same transaction (R10, R12)."""
    for batch in _batches(session, clinic_id, days):
        session.execute(
            update(Recording),
            [
                {
                    "id": recording_id,
                    "retention_days": days,
                    "policy_version": version,
                    "expires_at": expires_at(ended_at or started_at, days),
                }
                for recording_id, ended_at, started_at in batch
            ],
        )


def _batches(session: Session, clinic_id: str, days: int) -> Iterator[list[tuple[str, datetime | None, datetime]]]:
    """Rows that still have the longer period; each batch must be changed before the next is asked for."""
    query = (
        select(Recording.id, Recording.ended_at, Recording.started_at)
        .where(_longer_kept(clinic_id, days))
        .limit(_BATCH)
        .with_for_update()
    )
    while batch := [(row.id, row.ended_at, row.started_at) for row in session.execute(query)]:
        yield batch


def _log(
    session: Session, actor_id: str, action: str, kind: str, subject_id: str, clinic_id: str, now: datetime
) -> None:
    session.add(
        AccessEntry(
            clinic_id=clinic_id, actor_id=actor_id, action=action, subject_kind=kind, subject_id=subject_id, at=now
        )
    )
