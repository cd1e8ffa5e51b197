"""Old calls: personal columns are blanked, counts stay (P35). Searches and hashes that ran out are removed.

Neither can be undone, so both stop and ask like the sweep of recordings does (R11, F22).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, CursorResult, Delete, Engine, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState
from callcenter.logs import log
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
from retention import brakes
from retention.journal import Journal, Kind

BATCH = 500


@dataclass
class LogResult:
    """Rows: ``due`` when it began, ``done``, and ``braked``, that is due and kept until somebody confirms (R11).
    ``brakes`` says in a sentence each why."""

    due: int = 0
    done: int = 0
    braked: int = 0
    brakes: list[str] = field(default_factory=list)


def blank_calls(
    engine: Engine,
    *,
    now: datetime,
    actor_id: str = "retention",
    confirmed: bool = False,
    dry_run: bool = False,
    journal: Journal | None = None,
    keep_going: Callable[[], bool] = lambda: True,
) -> LogResult:
    """Blank every ended call whose ``expires_at`` has come.

    What leads to a person goes: numbers, caller, receptionist, free text, ids at the carrier, the carrier's events, our
    commands, offers, booking links, reasons of released holds. State, outcome, disposition and times stay, so that
    totals do not change. A call with a held recording waits for the hold's end. The brakes are those of the sweep of
    recordings; ``confirmed`` lifts them and is logged under ``actor_id``; ``dry_run`` changes nothing.
    ``journal`` is told of each call before it is blanked. Raises JournalTrouble.
    """
    result, too_much, clinics = _look(engine, now, confirmed=confirmed)
    if dry_run or not clinics:
        return result
    if confirmed and too_much:
        with transaction(engine, wake=False) as session:
            brakes.log_lifted(session, sorted(too_much), actor_id=actor_id, now=now, subject_kind="call_log")
        crash_point("calls.confirmed")
    due = and_(_due(now), Call.clinic_id.in_(clinics))
    while keep_going():
        with reading(engine) as session:
            ids = session.scalars(select(Call.id).where(due).order_by(Call.expires_at).limit(BATCH)).all()
        if not ids:
            break
        with transaction(engine, wake=False) as session:
            done = session.scalars(select(Call.id).where(Call.id.in_(ids), due).with_for_update()).all()
            if journal is not None:
                journal.note(Kind.CALL, done, now)
            blank(session, done, now)
        crash_point("calls.blanked")
        result.done += len(done)
    return result


def remove_expired_rows(engine: Engine, *, now: datetime, confirmed: bool = False) -> LogResult:
    """Delete stored searches and hashes of replayed calls whose time has come, unless the clock has jumped (R11).

    They live for a day or two, so that at any time nearly all of them may be due: a brake on their count would only
    keep them for longer than was promised.
    """
    gone = ((Search, Search.expires_at <= now), (ReplayedCall, ReplayedCall.expires_at <= now))
    with transaction(engine, wake=False) as session:
        due = sum(session.scalar(select(func.count()).select_from(table).where(over)) or 0 for table, over in gone)
        jump = brakes.jumped_seconds(session, now, brakes.read_uptime())
        if jump and due and not confirmed:
            return _stopped(due, jump)
        done = sum(_count(session, delete(table).where(over)) for table, over in gone)
        crash_point("rows.removed")
        return LogResult(due, done)


def _look(engine: Engine, now: datetime, *, confirmed: bool) -> tuple[LogResult, set[str], set[str]]:
    """What is due and braked; the clinics that have too much of it; the clinics whose calls may be blanked."""
    by_clinic = select(Call.clinic_id, func.count()).group_by(Call.clinic_id)
    with reading(engine) as session:
        due: dict[str, int] = dict(session.execute(by_clinic.where(_due(now))).all())
        kept = by_clinic.where(Call.blanked_at.is_(None), Call.clinic_id.in_(due))
        of_all: dict[str, int] = dict(session.execute(kept).all()) if due else {}
        jump = brakes.jumped_seconds(session, now, brakes.read_uptime())
    if jump and due and not confirmed:
        return _stopped(sum(due.values()), jump), set(), set()
    result, too_much = LogResult(sum(due.values())), brakes.too_much(due, of_all)
    if confirmed:
        return result, set(too_much), set(due)
    for clinic_id, count in sorted(too_much.items()):
        result.braked += count
        result.brakes.append(brakes.count_sentence(clinic_id, count, "calls"))
        log("retention").error("call_log_braked", clinic_id=clinic_id, count=count)
    return result, set(too_much), due.keys() - too_much.keys()


def _stopped(due: int, jump: float) -> LogResult:
    log("retention").error("call_log_braked", kind="clock_jump", seconds=round(jump), count=due)
    return LogResult(due, braked=due, brakes=[brakes.jump_sentence(jump)])


def _due(now: datetime) -> ColumnElement[bool]:
    held = exists().where(Recording.call_id == Call.id, Recording.held)
    busy = exists().where(Receptionist.current_call_id == Call.id)
    return and_(Call.expires_at <= now, Call.blanked_at.is_(None), Call.state == CallState.ENDED, ~held, ~busy)


def blank(session: Session, call_ids: Sequence[str], now: datetime) -> None:
    """Remove what leads from these calls to a person. Children before parents: legs point to offers."""
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
