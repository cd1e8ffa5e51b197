"""The outbox to the carrier: record the intent, claim it, record the result. The worker does the calling out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, CursorResult, Row, and_, case, delete, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from callcenter.db import wake_workers
from callcenter.domain.backoff import LONGEST_WAIT_SECONDS, backoff_seconds
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.models import Call, CarrierCommand

LEASE_SECONDS = 20
"""A claimed command whose worker has not renewed it for so long is free again: the worker died."""
URGENT = (CommandKind.RING, CommandKind.CONNECT, CommandKind.CHECK_JOIN, CommandKind.MOVE_ON, CommandKind.HANG_UP)
"""Somebody waits on the line for these; after an outage they go before the questions that have piled up."""
MOVES_CALLER = (CommandKind.CONNECT, CommandKind.CHECK_JOIN, CommandKind.MOVE_ON, CommandKind.HANG_UP)
"""At most one of these runs per call: two that cross would pull the caller out of where the other has just put them."""
_TURN = (case((CarrierCommand.kind.in_(URGENT), 0), else_=1), CarrierCommand.next_attempt_at)
REVIVE_AFTER_SECONDS = 15 * 60
KEEP_FINISHED_SECONDS = 24 * 3600


def tell(
    session: Session, kind: CommandKind, call: Call, subject_id: str, *, now: datetime, delay_seconds: float = 0
) -> CarrierCommand:
    """Record that the carrier must be told. ``subject_id`` is the row the kind is about (see CommandKind)."""
    command = CarrierCommand(
        clinic_id=call.clinic_id,
        call_id=call.id,
        kind=kind,
        subject_id=subject_id,
        next_attempt_at=now + timedelta(seconds=delay_seconds),
        created_at=now,
    )
    session.add(command)
    wake_workers(session)
    return command


def is_pending(session: Session, kind: CommandKind, call: Call, subject_id: str) -> bool:
    """Whether this is to be told already."""
    return (
        session.scalar(
            select(CarrierCommand.id).where(
                CarrierCommand.call_id == call.id,
                CarrierCommand.kind == kind,
                CarrierCommand.subject_id == subject_id,
                CarrierCommand.state == CommandState.PENDING,
            )
        )
        is not None
    )


def due_ids(session: Session, *, now: datetime, limit: int) -> list[str]:
    """Commands that wait to be executed: the urgent ones first, then the longest due."""
    return list(
        session.scalars(
            select(CarrierCommand.id)
            .where(
                CarrierCommand.state == CommandState.PENDING,
                _is_free(now),
            )
            .order_by(*_TURN)
            .limit(limit)
        )
    )


def claim(
    session: Session, ids: Sequence[str], *, now: datetime, holder: str, limit: int | None = None
) -> list[CarrierCommand]:
    """Take these commands, or the first ``limit`` that can be taken, for LEASE_SECONDS: those that are not done, that
    nobody has, and whose answer cannot cross that of one that is under way: about the same subject, or moving the same
    caller. Nobody waits: of a call that somebody is just at, nothing is taken."""
    free = and_(CarrierCommand.id.in_(ids), CarrierCommand.state == CommandState.PENDING, _is_free(now))
    columns = (CarrierCommand.id, CarrierCommand.call_id, CarrierCommand.subject_id, CarrierCommand.kind)
    takeable = select(*columns).join(Call, Call.id == CarrierCommand.call_id).where(free, ~_crosses_another(now))
    takeable = takeable.order_by(*_TURN).limit(limit).with_for_update(of=Call, skip_locked=True)
    wanted: list[Row[str, str, str, CommandKind]] = []
    for row in session.execute(takeable):
        if not any(_cross(row, other) for other in wanted):
            wanted.append(row)
    if not wanted:
        return []
    # A statement of its own: what somebody claimed and committed until the calls were ours is seen by this one.
    claimed = {
        command.id: command
        for command in session.scalars(
            update(CarrierCommand)
            .where(free, CarrierCommand.id.in_([row.id for row in wanted]), ~_crosses_another(now))
            .values(
                lease_until_at=now + timedelta(seconds=LEASE_SECONDS),
                lease_holder=holder,
                attempts=CarrierCommand.attempts + 1,
            )
            .returning(CarrierCommand)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
    }
    return [claimed[row.id] for row in wanted if row.id in claimed]


def _cross(one: "Row[str, str, str, CommandKind]", other: "Row[str, str, str, CommandKind]") -> bool:
    both_move = one.kind in MOVES_CALLER and other.kind in MOVES_CALLER
    return one.call_id == other.call_id and (both_move or one.subject_id == other.subject_id)


def _is_free(now: datetime) -> ColumnElement[bool]:
    """Its wait is over and nobody has it; neither lasts for a day, whatever a wrong clock has written (F22)."""
    longest = timedelta(seconds=LONGEST_WAIT_SECONDS)
    return and_(
        or_(CarrierCommand.next_attempt_at <= now, CarrierCommand.next_attempt_at > now + longest),
        or_(
            CarrierCommand.lease_until_at.is_(None),
            CarrierCommand.lease_until_at < now,
            CarrierCommand.lease_until_at > now + longest,
        ),
    )


def _crosses_another(now: datetime) -> ColumnElement[bool]:
    other = aliased(CarrierCommand)
    both_move = and_(other.kind.in_(MOVES_CALLER), CarrierCommand.kind.in_(MOVES_CALLER))
    return exists().where(
        other.call_id == CarrierCommand.call_id,
        other.id != CarrierCommand.id,
        other.state == CommandState.PENDING,
        other.lease_until_at >= now,
        or_(other.subject_id == CarrierCommand.subject_id, both_move),
    )


def renew(session: Session, holder: str, *, now: datetime) -> None:
    """The worker is alive: what it has under way stays its own."""
    session.execute(
        update(CarrierCommand)
        .where(CarrierCommand.lease_holder == holder, CarrierCommand.state == CommandState.PENDING)
        .where(CarrierCommand.lease_until_at.is_not(None))
        .values(lease_until_at=now + timedelta(seconds=LEASE_SECONDS))
        .execution_options(synchronize_session=False)
    )


def release(session: Session, holder: str) -> None:
    """The worker is known to be dead: what it had under way is free. What it sent last may still be on its way, as
    after any lease that runs out: every handler looks before it does something again."""
    session.execute(
        update(CarrierCommand)
        .where(CarrierCommand.lease_holder == holder, CarrierCommand.state == CommandState.PENDING)
        .values(lease_until_at=None, lease_holder=None)
        .execution_options(synchronize_session=False)
    )


def finish(session: Session, command: CarrierCommand, *, now: datetime, failure: str | None = None) -> None:
    """The command has been carried out, or (``failure``: a short code) given up."""
    state = CommandState.FAILED if failure else CommandState.DONE
    _settle(session, command, state=state, failure=failure, finished_at=now)


def retry(
    session: Session, command: CarrierCommand, *, now: datetime, retry_after_seconds: float | None = None
) -> None:
    """It went wrong: free the command for another try after a backoff, not before ``retry_after_seconds``."""
    delay = backoff_seconds(command.failures + 1, base_seconds=1.0, at_least_seconds=retry_after_seconds)
    _settle(session, command, next_attempt_at=now + timedelta(seconds=delay), failures=command.failures + 1)


def again(session: Session, command: CarrierCommand, *, now: datetime, delay_seconds: float) -> None:
    """Not finished yet by its nature: look once more after ``delay_seconds``."""
    _settle(session, command, next_attempt_at=now + timedelta(seconds=delay_seconds), failures=0)


def _settle(session: Session, command: CarrierCommand, **values: object) -> None:
    """Record a result, if the command is still ours: a worker that was away too long has lost it to another."""
    session.execute(
        update(CarrierCommand)
        .where(
            CarrierCommand.id == command.id,
            CarrierCommand.state == CommandState.PENDING,
            CarrierCommand.lease_holder == command.lease_holder,
        )
        .values(lease_until_at=None, lease_holder=None, **values)
        .execution_options(synchronize_session=False)
    )


def revive_given_up(session: Session, *, now: datetime) -> None:
    """What was given up is tried again a while later, for a day: every kind looks at the rows as they are then. What
    moves a caller is left out, because the sweeper asks about every live call anyway."""
    session.execute(
        update(CarrierCommand)
        .where(
            CarrierCommand.state == CommandState.FAILED,
            CarrierCommand.finished_at < now - timedelta(seconds=REVIVE_AFTER_SECONDS),
            CarrierCommand.created_at > now - timedelta(seconds=KEEP_FINISHED_SECONDS),
            CarrierCommand.kind.not_in((*MOVES_CALLER, CommandKind.RING)),
        )
        .values(state=CommandState.PENDING, failures=0, next_attempt_at=now, finished_at=None)
        .execution_options(synchronize_session=False)
    )


def forget_finished(session: Session, *, now: datetime) -> None:
    """Remove what was carried out more than a day ago; the call's events tell the story."""
    session.execute(
        delete(CarrierCommand)
        .where(CarrierCommand.finished_at < now - timedelta(seconds=KEEP_FINISHED_SECONDS))
        .execution_options(synchronize_session=False)
    )


def changed_one(result: object) -> bool:
    """Whether a conditional UPDATE changed exactly one row: then the claim is ours."""
    assert isinstance(result, CursorResult)  # noqa: S101 - tells the type checker what an UPDATE returns
    return result.rowcount == 1
