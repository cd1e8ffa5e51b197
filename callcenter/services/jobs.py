"""Periodic jobs say when they ran and how it went; health turns red when a success is too old (R13)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from callcenter.db import reading, transaction
from callcenter.models import JobHeartbeat

LONGEST_FAILURE = 200


def _row(session: Session, name: str, interval_seconds: int) -> JobHeartbeat:
    row = session.get(JobHeartbeat, name)
    if row is None:
        row = JobHeartbeat(name=name, interval_seconds=interval_seconds)
        session.add(row)
    row.interval_seconds = interval_seconds
    return row


def last_started_at(engine: Engine, name: str) -> datetime | None:
    """When the job last began, in whatever process; None when it never has."""
    with reading(engine) as session:
        row = session.get(JobHeartbeat, name)
        return row.last_started_at if row else None


def beat(
    engine: Engine,
    name: str,
    *,
    interval_seconds: int,
    now: datetime,
    seconds: float | None = None,
    result: dict[str, Any] | None = None,
) -> None:
    """The job has succeeded at ``now``; ``seconds`` is how long it took, ``result`` its counts."""
    with transaction(engine, wake=False) as session:
        row = _row(session, name, interval_seconds)
        row.last_success_at = now
        row.last_seconds = seconds
        row.result = result


def started(engine: Engine, name: str, *, interval_seconds: int, now: datetime) -> None:
    """The job has begun."""
    with transaction(engine, wake=False) as session:
        _row(session, name, interval_seconds).last_started_at = now


def failed(
    engine: Engine,
    name: str,
    *,
    interval_seconds: int,
    now: datetime,
    reason: str,
    result: dict[str, Any] | None = None,
) -> None:
    """The job has failed, or has not done all it should; ``reason`` holds no personal data."""
    with transaction(engine, wake=False) as session:
        row = _row(session, name, interval_seconds)
        row.last_failure_at = now
        row.last_failure = reason[:LONGEST_FAILURE]
        if result is not None:
            row.result = result
