"""Figures of a clinic's calls, with what each of them means."""

from datetime import datetime

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import Field

from callcenter.db import reading
from callcenter.domain import metrics
from callcenter.domain.permissions import Permission
from callcenter.services.clinics import find_clinic
from callcenter.services.reports import call_figures
from callcenter.services.shapes import Shape
from callcenter.web.api.answers import answer
from callcenter.web.api.documents import group
from callcenter.web.api.inputs import Input, Moment, Slug
from callcenter.web.auth import actor, needs
from callcenter.web.parts import parts

api: APIBlueprint = group("stats", "Counts and rates.")


class StatsQuery(Input):
    """Of which clinic and period; of all in view and of all time when left out."""

    clinic: Slug | None = None
    from_: Moment | None = Field(None, alias="from")
    to: Moment | None = None


class Counts(Shape):
    """Calls by how they ended."""

    total: int
    live: int
    answered: int
    missed: int
    abandoned: int
    short_abandoned: int
    message_left: int
    callback_requested: int
    closed: int
    blocked: int
    failed: int


class ServiceLevel(Shape):
    """The part of calls answered within ``seconds``; null when there is nothing to measure."""

    seconds: int
    value: float | None


class Stats(Shape):
    """The figures; ``definitions`` says what each of them counts."""

    clinic: str | None
    from_: datetime | None = Field(alias="from")
    to: datetime | None
    counts: Counts
    service_level: ServiceLevel
    average_speed_of_answer_seconds: float | None
    abandon_rate: float | None
    definitions: dict[str, str]


@api.get("/stats", responses={200: Stats})
@needs(Permission.READ_STATS)
def get_stats(query: StatsQuery) -> Response:
    """Counts, service level, average speed of answer and abandon rate of a period."""
    with reading(parts().engine) as session:
        clinic_ids = actor().clinic_ids
        if query.clinic is not None:
            clinic_ids = frozenset({find_clinic(session, query.clinic, actor()).id})
        figures = call_figures(session, clinic_ids, from_at=query.from_, to_at=query.to)
    own = Counts.model_fields.keys() - {"total", "missed"}
    stats = Stats(
        clinic=query.clinic,
        from_=query.from_,
        to=query.to,
        counts=Counts(
            total=metrics.total(figures),
            missed=metrics.missed(figures),
            **{name: getattr(figures, name) for name in own},
        ),
        service_level=ServiceLevel(seconds=metrics.SERVICE_LEVEL_SECONDS, value=metrics.service_level(figures)),
        average_speed_of_answer_seconds=metrics.average_speed_of_answer_seconds(figures),
        abandon_rate=metrics.abandon_rate(figures),
        definitions=metrics.DEFINITIONS,
    )
    return answer(stats)
