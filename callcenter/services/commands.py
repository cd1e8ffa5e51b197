"""The outbox to the carrier: record the intent, claim it, record the result. The worker does the calling out."""

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.orm import Session

from callcenter.domain.backoff import backoff_seconds
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.models import Call, CarrierCommand

LEASE_SECONDS = 30
"""A claimed command that has not been finished by then is free again: its worker died."""


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
    return command


def due_ids(session: Session, *, now: datetime, limit: int) -> list[str]:
    """Commands that wait to be executed, the longest due first."""
    return list(
        session.scalars(
            select(CarrierCommand.id)
            .where(
                CarrierCommand.state == CommandState.PENDING,
                CarrierCommand.next_attempt_at <= now,
                or_(CarrierCommand.lease_until_at.is_(None), CarrierCommand.lease_until_at < now),
            )
            .order_by(CarrierCommand.next_attempt_at)
            .limit(limit)
        )
    )


def claim(session: Session, command_id: str, *, now: datetime) -> CarrierCommand | None:
    """Take one command for LEASE_SECONDS; None when somebody else has it or it is done."""
    result = session.execute(
        update(CarrierCommand)
        .where(
            CarrierCommand.id == command_id,
            CarrierCommand.state == CommandState.PENDING,
            CarrierCommand.next_attempt_at <= now,
            or_(CarrierCommand.lease_until_at.is_(None), CarrierCommand.lease_until_at < now),
        )
        .values(lease_until_at=now + timedelta(seconds=LEASE_SECONDS), attempts=CarrierCommand.attempts + 1)
        .execution_options(synchronize_session=False)
    )
    return session.get(CarrierCommand, command_id) if changed_one(result) else None


def finish(session: Session, command_id: str, *, now: datetime, failure: str | None = None) -> None:
    """The command has been carried out, or (``failure``: a short code) given up."""
    _settle(
        session,
        command_id,
        state=CommandState.FAILED if failure else CommandState.DONE,
        failure=failure,
        finished_at=now,
        lease_until_at=None,
    )


def retry(
    session: Session, command: CarrierCommand, *, now: datetime, retry_after_seconds: float | None = None
) -> None:
    """Free the command for another try after a backoff, not before ``retry_after_seconds``."""
    delay = backoff_seconds(command.attempts, base_seconds=1.0, at_least_seconds=retry_after_seconds)
    _settle(session, command.id, next_attempt_at=now + timedelta(seconds=delay), lease_until_at=None)


def again(session: Session, command_id: str, *, now: datetime, delay_seconds: float) -> None:
    """Not finished yet by its nature: look once more after ``delay_seconds``."""
    _settle(session, command_id, next_attempt_at=now + timedelta(seconds=delay_seconds), lease_until_at=None)


def _settle(session: Session, command_id: str, **values: object) -> None:
    session.execute(
        update(CarrierCommand)
        .where(CarrierCommand.id == command_id, CarrierCommand.state == CommandState.PENDING)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def changed_one(result: object) -> bool:
    """Whether a conditional UPDATE changed exactly one row: then the claim is ours."""
    assert isinstance(result, CursorResult)  # noqa: S101 - tells the type checker what an UPDATE returns
    return result.rowcount == 1
