"""Figures: of a clinic's calls for ``GET /stats``, and of the installation for ``/metrics``. Counts, never persons."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, TextClause, case, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from callcenter.domain.calls import LIVE_CALL_STATES, CallState, Outcome
from callcenter.domain.metrics import SERVICE_LEVEL_SECONDS, CallFigures
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, JobHeartbeat, Offer, Recording
from callcenter.services.retention_requests import NOT_PURGED

ENDED_WITHIN = timedelta(hours=24)
"""Ended calls are counted over this span: a count of all of them would read the whole table."""
OFFERED_WITHIN = timedelta(minutes=15)
"""The span over which the time to an offer is averaged."""
GREETED_WITHIN = timedelta(minutes=15)
"""Nobody's greeting takes longer: a call that was queued within a span began at most this long before it."""


class seconds_between(FunctionElement[float]):  # noqa: N801 - used like an SQL function
    """Seconds from the first time to the second, rounded to milliseconds, on both databases."""

    type = Float()
    inherit_cache = True


@compiles(seconds_between, "sqlite")
def _on_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    first, second = (compiler.process(clause, **options) for clause in element.clauses)
    return f"round((julianday({second}) - julianday({first})) * 86400.0, 3)"


@compiles(seconds_between, "postgresql")
def _on_postgresql(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    first, second = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(round(EXTRACT(EPOCH FROM ({second} - {first})), 3) AS DOUBLE PRECISION)"


def call_figures(
    session: Session,
    clinic_ids: Collection[str] | None,
    *,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> CallFigures:
    """What is counted of the calls that began from ``from_at`` (inclusive) to ``to_at`` (exclusive).

    ``clinic_ids`` None means every clinic.
    """
    wait = seconds_between(Call.queued_at, Call.connected_at)
    answered = Call.outcome == Outcome.ANSWERED
    statement = select(
        *(_count(Call.outcome == outcome).label(outcome.value) for outcome in Outcome),
        _count(answered & (wait <= SERVICE_LEVEL_SECONDS)).label("answered_in_time"),
        func.coalesce(func.sum(case((answered, wait))), 0.0).label("wait_seconds_total"),
        _count(Call.state != CallState.ENDED).label("live"),
    )
    row = session.execute(statement.where(*_period(clinic_ids, from_at, to_at))).one()
    return CallFigures(**row._mapping)


def _period(
    clinic_ids: Collection[str] | None, from_at: datetime | None, to_at: datetime | None
) -> Iterator[ColumnElement[bool]]:
    if clinic_ids is not None:
        yield Call.clinic_id.in_(clinic_ids)
    if from_at is not None:
        yield Call.started_at >= from_at
    if to_at is not None:
        yield Call.started_at < to_at


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


@dataclass(frozen=True)
class InstallationFigures:
    """What the metrics page shows of all clinics together. Spans in seconds; 0 when there is nothing to measure."""

    calls_by_state: dict[str, int] = field(default_factory=dict)
    queue_length: int = 0
    queue_oldest_seconds: float = 0.0
    time_to_offer_mean_seconds: float = 0.0
    time_to_offer_max_seconds: float = 0.0
    recordings_by_state: dict[str, int] = field(default_factory=dict)
    oldest_overdue_recording_seconds: float = 0.0
    job_lag_seconds: dict[str, float] = field(default_factory=dict)


def installation_figures(session: Session, *, now: datetime) -> InstallationFigures:
    """The state of the whole installation at ``now``."""
    mean, longest = _time_to_offer(session, now)
    waiting, waiting_since = session.execute(
        select(func.count(), func.min(Call.waiting_since_at)).where(Call.state == CallState.QUEUED)
    ).one()
    return InstallationFigures(
        calls_by_state=_calls_by_state(session, now),
        queue_length=waiting,
        queue_oldest_seconds=_age(waiting_since, now),
        time_to_offer_mean_seconds=mean,
        time_to_offer_max_seconds=longest,
        recordings_by_state=_recordings_by_state(session),
        oldest_overdue_recording_seconds=_age(oldest_overdue_at(session, now=now), now),
        job_lag_seconds=job_lags(session, now=now),
    )


def oldest_overdue_at(session: Session, *, now: datetime) -> datetime | None:
    """When the longest overdue recording should have been purged, or None. What a legal hold keeps is not overdue."""
    return session.scalar(
        select(func.min(Recording.expires_at)).where(NOT_PURGED, Recording.held.is_(False), Recording.expires_at <= now)
    )


def job_lags(session: Session, *, now: datetime) -> dict[str, float]:
    """Seconds by which each periodic job is later than its interval; 0 when it is on time."""
    beats = session.scalars(select(JobHeartbeat)).all()
    return {
        beat.name: max(0.0, _age(beat.last_success_at or beat.last_started_at, now) - beat.interval_seconds)
        for beat in beats
    }


def _calls_by_state(session: Session, now: datetime) -> dict[str, int]:
    live = _by_state(session, Call.state, Call.state != CallState.ENDED)
    ended = session.scalar(
        select(func.count()).where(Call.state == CallState.ENDED, Call.started_at > now - ENDED_WITHIN)
    )
    return {state.value: 0 for state in LIVE_CALL_STATES} | live | {CallState.ENDED.value: ended or 0}


def _recordings_by_state(session: Session) -> dict[str, int]:
    """Of what is not purged: that is bounded by the retention periods, the rest grows for ever."""
    states = {state.value: 0 for state in RecordingState if state != RecordingState.PURGED}
    return states | _by_state(session, Recording.state, NOT_PURGED)


def _by_state(session: Session, column: Any, *conditions: ColumnElement[bool] | TextClause) -> dict[str, int]:
    return {
        state.value: n for state, n in session.execute(select(column, func.count()).where(*conditions).group_by(column))
    }


def _time_to_offer(session: Session, now: datetime) -> tuple[float, float]:
    """Mean and longest wait from being queued to the first offer of a call's first turn."""
    first_offer_at = (  # asked for each of those few calls; joined, SQLite would begin with all offers there ever were
        select(func.min(Offer.created_at)).where(Offer.call_id == Call.id, Offer.turn == 1).scalar_subquery()
    )
    wait = seconds_between(Call.queued_at, first_offer_at)
    mean, longest = session.execute(
        select(func.avg(wait), func.max(wait))
        .where(Call.started_at > now - OFFERED_WITHIN - GREETED_WITHIN)  # there is no index on when calls were queued
        .where(Call.queued_at > now - OFFERED_WITHIN)
    ).one()
    return float(mean or 0.0), float(longest or 0.0)


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
