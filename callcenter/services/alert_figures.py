"""Figures of the whole installation that somebody should be woken for (deploy/alerts.yml). Counts and spans, no ids."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.domain.calls import OfferReason, Outcome
from callcenter.domain.commands import CommandState
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, CarrierCommand, Offer, Recording

LATELY = timedelta(minutes=15)
"""The span over which outcomes, offers and failures are counted."""


@dataclass(frozen=True)
class AlertFigures:
    """Outcomes, offers and failed requests of the last 15 minutes, and how old the oldest unfinished work is."""

    outcomes: dict[str, int] = field(default_factory=dict)
    offers_unanswered: dict[str, int] = field(default_factory=dict)
    commands_failed: int = 0
    oldest_command_seconds: float = 0.0
    oldest_uncopied_recording_seconds: float = 0.0
    clock_difference_seconds: float = 0.0


def alert_figures(session: Session, *, now: datetime) -> AlertFigures:
    """What the alerts look at. Reads indexes of the recent and of the unfinished only."""
    since = now - LATELY
    overdue = select(func.min(CarrierCommand.next_attempt_at)).where(CarrierCommand.state == CommandState.PENDING)
    failed = select(func.count()).where(CarrierCommand.state == CommandState.FAILED, CarrierCommand.finished_at > since)
    uncopied = select(func.min(Recording.ended_at)).where(Recording.state == RecordingState.COPYING)
    ended = select(Call.outcome, func.count()).where(
        Call.started_at > now - timedelta(days=1), Call.ended_at > since, Call.outcome.is_not(None)
    )
    rung = select(Offer.reason, func.count()).join(Call, Call.id == Offer.call_id)
    rung = rung.where(Call.started_at > now - timedelta(days=1), Offer.ended_at > since, Offer.reason.is_not(None))
    return AlertFigures(
        outcomes={o.value: 0 for o in Outcome}
        | {str(outcome): count for outcome, count in session.execute(ended.group_by(Call.outcome))},
        offers_unanswered={r.value: 0 for r in OfferReason}
        | {str(reason): count for reason, count in session.execute(rung.group_by(Offer.reason))},
        commands_failed=session.scalar(failed) or 0,
        oldest_command_seconds=_age(session.scalar(overdue), now),
        oldest_uncopied_recording_seconds=_age(session.scalar(uncopied), now),
        clock_difference_seconds=_clock_difference(session),
    )


def _clock_difference(session: Session) -> float:
    if session.get_bind().dialect.name == "sqlite":
        return 0.0
    database_now: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return abs((database_now - clock.host_now()).total_seconds())


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
