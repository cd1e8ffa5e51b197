"""Old calls: personal columns are blanked, counts stay (P35). Searches and hashes that ran out are removed."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, CursorResult, Delete, Engine, and_, delete, exists, select, update
from sqlalchemy.orm import Session

from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState
from callcenter.models import (
    BookingLink,
    Call,
    CallLeg,
    CarrierCommand,
    CarrierEvent,
    LegalHold,
    Offer,
    Receptionist,
    Recording,
    ReplayedCall,
    Search,
)

BATCH = 500


def blank_calls(engine: Engine, *, now: datetime, keep_going: Callable[[], bool] = lambda: True) -> int:
    """Blank every ended call whose ``expires_at`` has come; answers how many.

    What leads to a person goes: numbers, caller, receptionist, free text, ids at the carrier, the carrier's events, our
    commands, offers, booking links, reasons of released holds. State, outcome, disposition and times stay, so that
    totals do not change. A call with a held recording waits for the hold's end.
    """
    blanked = 0
    while keep_going():
        with reading(engine) as session:
            ids = session.scalars(select(Call.id).where(_due(now)).order_by(Call.expires_at).limit(BATCH)).all()
        if not ids:
            break
        with transaction(engine, wake=False) as session:
            done = session.scalars(select(Call.id).where(Call.id.in_(ids), _due(now)).with_for_update()).all()
            _blank(session, done, now)
        blanked += len(done)
    return blanked


def remove_expired_rows(engine: Engine, *, now: datetime) -> int:
    """Delete stored searches and hashes of replayed calls whose time has come; answers how many."""
    with transaction(engine, wake=False) as session:
        gone = (
            delete(Search).where(Search.expires_at <= now),
            delete(ReplayedCall).where(ReplayedCall.expires_at <= now),
        )
        return sum(_count(session, one) for one in gone)


def _due(now: datetime) -> ColumnElement[bool]:
    held = exists().where(Recording.call_id == Call.id, Recording.held)
    busy = exists().where(Receptionist.current_call_id == Call.id)
    return and_(Call.expires_at <= now, Call.blanked_at.is_(None), Call.state == CallState.ENDED, ~held, ~busy)


def _blank(session: Session, call_ids: Sequence[str], now: datetime) -> None:
    """Children before parents: legs point to offers."""
    session.execute(update(CallLeg).where(CallLeg.call_id.in_(call_ids)).values(carrier_call_sid=None, offer_id=None))
    for table in (CarrierEvent, CarrierCommand, Offer, BookingLink):
        session.execute(delete(table).where(table.call_id.in_(call_ids)))
    of_calls = select(Recording.id).where(Recording.call_id.in_(call_ids))
    session.execute(
        update(LegalHold).where(LegalHold.recording_id.in_(of_calls)).values(reason="", release_reason=None)
    )
    session.execute(
        update(Call)
        .where(Call.id.in_(call_ids))
        .values(
            from_number=None,
            caller_id=None,
            carrier_call_sid=None,
            carrier_queue_sid=None,
            carrier_conference_sid=None,
            receptionist_id=None,
            preferred_receptionist_id=None,
            accepted_offer_id=None,
            disposition_reason=None,
            blanked_at=now,
        )
    )


def _count(session: Session, statement: Delete) -> int:
    result: CursorResult[tuple[()]] = session.execute(statement)  # type: ignore[assignment]
    return result.rowcount
