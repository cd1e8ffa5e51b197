"""What can be booked, with whom, and for whom: practitioners, services, callers."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain import phone_numbers
from callcenter.domain.permissions import Permission
from callcenter.models import Caller, Clinic, Practitioner, Service
from callcenter.services import clinics
from callcenter.services.callers import list_callers
from callcenter.services.clinics import find_clinic, list_clinics
from callcenter.services.shapes import Shape
from callcenter.web.api.answers import answer, changed, viewed_list
from callcenter.web.api.documents import CONFLICT, group
from callcenter.web.api.inputs import Input, PageQuery, Slug, Text
from callcenter.web.auth import actor, needs
from callcenter.web.parts import parts

api: APIBlueprint = group("diary", "Practitioners, services and callers of the clinics in view.")
READS = (Permission.READ_BOOKINGS, Permission.CREATE_CLINICS)
CHANGES = (Permission.CLINIC_SETTINGS, Permission.CREATE_CLINICS)


class ClinicQuery(Input):
    """Of which clinic; of all in view when left out."""

    clinic: Slug | None = None


class CallerQuery(PageQuery):
    """Of which clinic; of all in view when left out."""

    clinic: Slug | None = None


class PractitionerInput(Input):
    """A new practitioner."""

    clinic: Slug
    name: Text


class ServiceInput(Input):
    """A new service; ``minutes`` is a multiple of five."""

    clinic: Slug
    name: Text
    minutes: int


class PractitionerShape(Shape):
    """Somebody whose diary bookings are made in."""

    id: str
    clinic: str
    name: str


class ServiceShape(Shape):
    """What can be booked."""

    id: str
    clinic: str
    name: str
    minutes: int


class CallerShape(Shape):
    """Somebody who rang the clinic or has a booking there. ``display`` is the number in national form."""

    id: str
    clinic: str
    name: str
    number: str | None
    display: str
    email: str | None
    version: int


class PractitionerPage(Shape):
    """All of them."""

    items: list[PractitionerShape]
    next: None = None


class ServicePage(Shape):
    """All of them."""

    items: list[ServiceShape]
    next: None = None


class CallerPage(Shape):
    """Callers, longest known first."""

    items: list[CallerShape]
    next: str | None


@api.get("/practitioners", responses={200: PractitionerPage})
@needs(*READS)
def list_practitioners(query: ClinicQuery) -> Response:
    """Practitioners by name."""
    with reading(parts().engine) as session:
        clinic = find_clinic(session, query.clinic, actor()) if query.clinic else None
        slugs = _slugs(list_clinics(session, actor()))
        rows = clinics.list_practitioners(session, actor(), clinic)
        items = [_practitioner(row, slugs[row.clinic_id]) for row in rows]
    return answer(PractitionerPage(items=items))


@api.post("/practitioners", responses={201: PractitionerShape, **CONFLICT})
@needs(*CHANGES)
def add_practitioner(body: PractitionerInput) -> Response:
    """Add a practitioner."""
    with transaction(parts().engine) as session:
        clinic = find_clinic(session, body.clinic, actor())
        row = clinics.add_practitioner(session, clinic, name=body.name, now=clock.now())
        changed(session, "practitioner.added", "practitioner", row.id, clinic.id)
        shape = _practitioner(row, clinic.slug)
    return answer(shape, 201)


@api.get("/services", responses={200: ServicePage})
@needs(*READS)
def list_services(query: ClinicQuery) -> Response:
    """Services by name."""
    with reading(parts().engine) as session:
        clinic = find_clinic(session, query.clinic, actor()) if query.clinic else None
        slugs = _slugs(list_clinics(session, actor()))
        rows = clinics.list_services(session, actor(), clinic)
        items = [_service(row, slugs[row.clinic_id]) for row in rows]
    return answer(ServicePage(items=items))


@api.post("/services", responses={201: ServiceShape, **CONFLICT})
@needs(*CHANGES)
def add_service(body: ServiceInput) -> Response:
    """Add a service."""
    with transaction(parts().engine) as session:
        clinic = find_clinic(session, body.clinic, actor())
        row = clinics.add_service(session, clinic, name=body.name, minutes=body.minutes, now=clock.now())
        changed(session, "service.added", "service", row.id, clinic.id)
        shape = _service(row, clinic.slug)
    return answer(shape, 201)


@api.get("/callers", responses={200: CallerPage})
@needs(Permission.READ_BOOKINGS)
def get_callers(query: CallerQuery) -> Response:
    """Callers of one clinic, or of all in view; the same number at two clinics is two callers."""
    with transaction(parts().engine, wake=False) as session:
        clinic = find_clinic(session, query.clinic, actor()) if query.clinic else None
        page = list_callers(session, actor(), clinic, limit=query.limit, cursor=query.cursor)
        slugs = _slugs(list_clinics(session, actor()))
        items = [_caller(row, slugs[row.clinic_id]) for row in page.items]
        viewed_list(session, "callers.listed", "callers", None, {item.clinic for item in items})
    return answer(CallerPage(items=items, next=page.next))


def _slugs(found: list[Clinic]) -> dict[str, str]:
    return {clinic.id: clinic.slug for clinic in found}


def _practitioner(row: Practitioner, slug: str) -> PractitionerShape:
    return PractitionerShape(id=row.id, clinic=slug, name=row.name)


def _service(row: Service, slug: str) -> ServiceShape:
    return ServiceShape(id=row.id, clinic=slug, name=row.name, minutes=row.minutes)


def _caller(row: Caller, slug: str) -> CallerShape:
    return CallerShape(
        id=row.id,
        clinic=slug,
        name=row.name,
        number=row.number,
        display=phone_numbers.display(row.number),
        email=row.email,
        version=row.version,
    )
