"""Clinics and their opening hours."""

from typing import Annotated, Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import Field
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain.opening_hours import by_weekday
from callcenter.domain.permissions import Permission
from callcenter.models import Clinic
from callcenter.services import clinics
from callcenter.services.shapes import Shape
from callcenter.web.api.answers import answer, changed
from callcenter.web.api.documents import CONFLICT, group
from callcenter.web.api.inputs import Input, Slug, Text
from callcenter.web.auth import actor, needs
from callcenter.web.parts import parts

api: APIBlueprint = group("clinics", "The clinics in view, their numbers and opening hours.")
READS = (Permission.READ_BOOKINGS, Permission.CREATE_CLINICS)
CHANGES = (Permission.CLINIC_SETTINGS, Permission.CREATE_CLINICS)
Texts = Annotated[list[Text], Field(max_length=20)]


class ClinicPath(Input):
    """Which clinic, by its slug."""

    clinic: Slug


class ClinicInput(Input):
    """A new clinic; it is always open until hours are set. The recording period is in days."""

    slug: Slug
    name: Text
    numbers: Texts
    timezone: Text
    retention_days: int = 30
    fallback_number: Text | None = None


class HoursInput(Input):
    """The hours of one weekday in the clinic's time zone, such as 08:00-18:00; none means closed."""

    day: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    open: Texts


class ClinicShape(Shape):
    """A clinic. ``hours`` is null for one that never stated any and is always open."""

    id: str
    slug: str
    name: str
    numbers: list[str]
    timezone: str
    retention_days: int
    fallback_number: str | None
    hours: dict[str, list[str]] | None


class ClinicPage(Shape):
    """All of them."""

    items: list[ClinicShape]
    next: None = None


@api.get("/clinics", responses={200: ClinicPage})
@needs(*READS)
def list_clinics() -> Response:
    """Clinics in view, by slug."""
    with reading(parts().engine) as session:
        items = [_clinic(session, row) for row in clinics.list_clinics(session, actor())]
    return answer(ClinicPage(items=items))


@api.post("/clinics", responses={201: ClinicShape, **CONFLICT})
@needs(Permission.CREATE_CLINICS)
def add_clinic(body: ClinicInput) -> Response:
    """Add a clinic."""
    with transaction(parts().engine) as session:
        row = clinics.add_clinic(session, now=clock.now(), **body.model_dump())
        changed(session, "clinic.added", "clinic", row.id, row.id)
        shape = _clinic(session, row)
    return answer(shape, 201)


@api.put("/clinics/<opaque:clinic>/hours", responses={200: ClinicShape})
@needs(*CHANGES)
def set_hours(path: ClinicPath, body: HoursInput) -> Response:
    """Replace the hours of one weekday. The first hours that a clinic states close the days without any."""
    with transaction(parts().engine) as session:
        row = clinics.find_clinic(session, path.clinic, actor())
        clinics.set_hours(session, row, day=body.day, bands=body.open, now=clock.now())
        changed(session, "hours.changed", "clinic", row.id, row.id)
        shape = _clinic(session, row)
    return answer(shape)


def _clinic(session: Session, row: Clinic) -> ClinicShape:
    return ClinicShape(
        id=row.id,
        slug=row.slug,
        name=row.name,
        numbers=[one.number for one in row.numbers],
        timezone=row.timezone,
        retention_days=row.retention_days,
        fallback_number=row.fallback_number,
        hours=by_weekday(clinics.opening_bands(session, row)),
    )
