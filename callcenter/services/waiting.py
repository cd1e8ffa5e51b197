"""Callers in the queue: their place, an honest estimate, and when to let them leave a message."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from callcenter.domain.calls import CallState
from callcenter.domain.commands import CommandKind
from callcenter.domain.routing import (
    KNOWN_CALLS_FOR_ESTIMATE,
    Candidate,
    WaitFacts,
    estimate_wait_minutes,
    should_overflow,
    signed_in,
)
from callcenter.models import Assignment, Call
from callcenter.services import lifecycle, receptionists
from callcenter.services.call_rows import locked, open_offers
from callcenter.services.commands import tell

ROUNDS_OF_FIRST_PROMPT = 2
"""The caller's leg asks for a second time when the first prompt has been played."""


def overflowing(session: Session, *, now: datetime) -> list[str]:
    """Waiting calls that should leave a message, the longest waiting first."""
    limit_reached_or_prompt_heard = or_(Call.overflow_after_at <= now, Call.wait_rounds >= ROUNDS_OF_FIRST_PROMPT)
    waiting = session.scalars(
        select(Call)
        .where(Call.state == CallState.QUEUED, Call.accepted_offer_id.is_(None), limit_reached_or_prompt_heard)
        .order_by(Call.waiting_since_at)
        .limit(500)
    )
    of_clinic = cache(partial(receptionists.candidates, session))
    return [call.id for call in waiting if _overflows(session, call, of_clinic, now)]


def overflow_due(session: Session, call: Call, *, now: datetime) -> bool:
    """Whether the waiting caller should leave a message by the rules of design §4.4."""
    return _overflows(session, call, partial(receptionists.candidates, session), now)


def _overflows(session: Session, call: Call, of_clinic: Callable[[str], Sequence[Candidate]], now: datetime) -> bool:
    if call.state != CallState.QUEUED or call.accepted_offer_id is not None or call.overflow_after_at is None:
        return False
    facts = WaitFacts(
        first_prompt_heard=call.wait_rounds >= ROUNDS_OF_FIRST_PROMPT,
        being_offered=bool(open_offers(session, call.id)),
        overflow_after_at=call.overflow_after_at,
        candidates=of_clinic(call.clinic_id),
    )
    return should_overflow(facts, now)


def overflow(session: Session, call_id: str, *, now: datetime) -> bool:
    """Let the caller leave a message if nobody can take the call; True when that was decided now."""
    call = locked(session, call_id)
    if not overflow_due(session, call, now=now):
        return False
    lifecycle.to_message(session, call, now=now)
    tell(session, CommandKind.MOVE_ON, call, call.id, now=now)
    return True


def anybody_at_work(session: Session, call: Call, *, now: datetime) -> bool:
    """Whether somebody who may serve the clinic is signed in with a living softphone."""
    return any(signed_in(candidate, now) for candidate in receptionists.candidates(session, call.clinic_id))


def position(session: Session, call: Call) -> int:
    """The caller's place in the clinic's queue, from 1."""
    ahead = session.scalar(
        select(func.count())
        .select_from(Call)
        .where(
            Call.clinic_id == call.clinic_id,
            Call.state == CallState.QUEUED,
            Call.accepted_offer_id.is_(None),
            Call.id != call.id,
            Call.waiting_since_at < call.waiting_since_at,
        )
    )
    return 1 + (ahead or 0)


def estimate_minutes(session: Session, call: Call, *, now: datetime) -> int | None:
    """Minutes until somebody answers, from our own calls, or None when nothing honest can be said."""
    at_work = [c.receptionist_id for c in receptionists.candidates(session, call.clinic_id) if signed_in(c, now)]
    if not at_work:
        return None
    handled = session.execute(
        select(Call.talk_seconds + func.coalesce(Call.wrap_up_seconds, 0.0))
        .where(Call.clinic_id == call.clinic_id, Call.state == CallState.ENDED, Call.connected_at.is_not(None))
        .order_by(Call.started_at.desc())
        .limit(5 * KNOWN_CALLS_FOR_ESTIMATE)
    )
    clinics = select(Assignment.clinic_id).where(Assignment.user_id.in_(at_work))
    ahead = session.scalar(
        select(func.count())
        .select_from(Call)
        .where(
            Call.clinic_id.in_(clinics),
            Call.state == CallState.QUEUED,
            Call.accepted_offer_id.is_(None),
            Call.waiting_since_at < call.waiting_since_at,
        )
    )
    return estimate_wait_minutes([row[0] for row in handled], ahead=ahead or 0, at_work=len(at_work))
