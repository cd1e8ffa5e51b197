"""What must be purged, asked from the database (R2), and the leases under which it is done (R5).

Held recordings never match. Recordings that expired and recordings whose early deletion is wanted are asked for one
after the other, because each question has an index of its own.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, func, or_, select, text, true, update
from sqlalchemy.orm import Session

from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.models import Recording, new_id
from callcenter.services.copy_claims import is_free
from callcenter.services.retention_requests import NOT_PURGED

LEASE_SECONDS = 60
"""A sweep that takes longer over a batch may see it taken over: harmless, because every step may be repeated."""
_PURGE_WANTED = text("recordings.purge_wanted")


class Why(StrEnum):
    """Why a recording goes; stands in the ledger."""

    WANTED = "wanted"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Claimed:
    """A recording that is ours to purge."""

    recording_id: str
    clinic_id: str
    call_id: str
    lease_token: str
    attempts: int
    store_key: str
    carrier_call_sid: str | None
    carrier_recording_sid: str | None
    carrier_copy_deleted_at: datetime | None
    expires_at: datetime


def due(why: Why, now: datetime) -> ColumnElement[bool]:
    """Not held, not purged, and either expired by ``now`` or, for WANTED, to be deleted early and not running now."""
    expired = Recording.expires_at <= now
    if why == Why.EXPIRED:
        return and_(NOT_PURGED, expired, ~Recording.purge_wanted, ~Recording.held)
    over = Recording.state.not_in(LIVE_RECORDING_STATES)
    return and_(NOT_PURGED, _PURGE_WANTED, or_(over, expired), ~Recording.held)


def count_due(session: Session, why: Why, now: datetime, *, only: ColumnElement[bool] | None = None) -> dict[str, int]:
    """How many are due, by clinic; ``only`` narrows the question."""
    counts = select(Recording.clinic_id, func.count()).where(due(why, now)).group_by(Recording.clinic_id)
    if only is not None:
        counts = counts.where(only)
    return dict(session.execute(counts).all())


def count_held(session: Session, now: datetime) -> int:
    """How many have expired and are kept by a hold."""
    held = and_(NOT_PURGED, Recording.expires_at <= now, Recording.held)
    return session.scalar(select(func.count()).select_from(Recording).where(held)) or 0


def claim(
    session: Session,
    why: Why,
    *,
    due_at: datetime,
    now: datetime,
    limit: int,
    of_clinics: Collection[str] | None = None,
) -> list[Claimed]:
    """Lease up to ``limit`` recordings that were due at ``due_at``, of all clinics or only ``of_clinics``: one UPDATE
    that names what it expects; whoever comes second changes nothing. From here on no hold can be placed on them
    (F24)."""
    free = and_(
        due(why, due_at),
        is_free(due_at, now),
        Recording.clinic_id.in_(of_clinics) if of_clinics is not None else true(),
    )
    # Whoever failed most often comes last (R15), so that one clinic's trouble does not keep another's turn away.
    turn = (Recording.attempts, Recording.next_attempt_at)
    ids = session.scalars(select(Recording.id).where(free).order_by(*turn).limit(limit)).all()
    if not ids:
        return []
    token = new_id()
    session.execute(
        update(Recording)
        .where(Recording.id.in_(ids), free)
        .values(
            state=RecordingState.PURGING,
            lease_token=token,
            lease_until_at=now + timedelta(seconds=LEASE_SECONDS),
            attempts=Recording.attempts + 1,
        )
        .execution_options(synchronize_session=False)
    )
    ours = select(Recording).where(Recording.id.in_(ids), Recording.lease_token == token)
    return [_claimed(row, token) for row in session.scalars(ours.order_by(*turn))]


def forget_waiting(session: Session, now: datetime) -> None:
    """Let everything due be tried at once, whatever wait an earlier failure set: somebody asked for a sweep."""
    for why in Why:
        waiting = and_(due(why, now), Recording.next_attempt_at > now)
        session.execute(
            update(Recording).where(waiting).values(next_attempt_at=now).execution_options(synchronize_session=False)
        )


def known_carrier_sids(session: Session, call_id: str) -> set[str]:
    """The carrier's recordings that belong to a row of the call that is not purged."""
    sids = session.scalars(select(Recording.carrier_recording_sid).where(Recording.call_id == call_id, NOT_PURGED))
    return {sid for sid in sids if sid is not None}


def others_wait_for_sid(session: Session, one: Claimed) -> bool:
    """Whether another recording of the call may have a copy at the carrier whose id we do not know yet. What is being
    purged too does not count."""
    others = select(Recording.id).where(
        Recording.call_id == one.call_id,
        Recording.id != one.recording_id,
        Recording.carrier_recording_sid.is_(None),
        Recording.state.in_((*LIVE_RECORDING_STATES, RecordingState.ABSENT)),
    )
    return session.scalar(others.limit(1)) is not None


def totals(session: Session, clinic_ids: Collection[str]) -> dict[str, int]:
    """How many recordings each of the clinics has that are not purged."""
    counts = (
        select(Recording.clinic_id, func.count())
        .where(NOT_PURGED, Recording.clinic_id.in_(clinic_ids))
        .group_by(Recording.clinic_id)
    )
    return dict(session.execute(counts).all())


def _claimed(row: Recording, token: str) -> Claimed:
    return Claimed(
        recording_id=row.id,
        clinic_id=row.clinic_id,
        call_id=row.call_id,
        lease_token=token,
        attempts=row.attempts,
        store_key=row.store_key,
        carrier_call_sid=row.carrier_call_sid,
        carrier_recording_sid=row.carrier_recording_sid,
        carrier_copy_deleted_at=row.carrier_copy_deleted_at,
        expires_at=row.expires_at,
    )
