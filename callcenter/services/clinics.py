"""Clinics: adding them, their practitioners, services and hours."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from callcenter.domain import phone_numbers
from callcenter.domain.bookings import SLOT_MINUTES
from callcenter.domain.opening_hours import Band, is_open, parse_bands, parse_timezone, parse_weekday
from callcenter.domain.permissions import Actor
from callcenter.domain.retention import check_days
from callcenter.domain.text_rules import clean_text
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Clinic, ClinicNumber, OpeningBand, Practitioner, Service
from callcenter.services.access import in_view

LONGEST_NAME = 120
LONGEST_SERVICE_MINUTES = 480
MOST_NUMBERS = 20
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def add_clinic(
    session: Session,
    *,
    slug: str,
    name: str,
    numbers: Sequence[str],
    timezone: str,
    now: datetime,
    retention_days: int = 30,
    call_log_days: int = 365,
    fallback_number: str | None = None,
) -> Clinic:
    """A new clinic, open always until hours are set. Raises BadInput, or Conflict ``slug_taken``/``number_taken``."""
    if not _SLUG.fullmatch(slug):
        raise BadInput("The slug must be 1 to 40 lower-case letters, digits and inner dashes.")
    own_numbers = _own_numbers(numbers)
    clinic = Clinic(
        slug=slug,
        name=clean_text(name, field="The name", limit=LONGEST_NAME),
        timezone=parse_timezone(timezone).key,
        retention_days=check_days(retention_days),
        call_log_days=call_log_days,
        fallback_number=_fallback(fallback_number, own_numbers),
        created_at=now,
        numbers=[ClinicNumber(number=number) for number in own_numbers],
    )
    _refuse_taken(session, slug, own_numbers)
    _insert(session, clinic, Conflict("The slug or a number was given to another clinic just now."))
    return clinic


def list_clinics(session: Session, actor: Actor) -> list[Clinic]:
    """The clinics in the actor's view by slug, with their numbers."""
    query = select(Clinic).where(in_view(actor, Clinic.id)).options(selectinload(Clinic.numbers))
    return list(session.scalars(query.order_by(Clinic.slug)))


def find_clinic(session: Session, slug: str, actor: Actor) -> Clinic:
    """The clinic with its numbers. Raises NotFound, also for one that is not in the actor's view."""
    query = select(Clinic).options(selectinload(Clinic.numbers)).where(Clinic.slug == slug)
    clinic = session.scalar(query) if _SLUG.fullmatch(slug) else None
    if clinic is None or not actor.reaches(clinic.id):
        raise NotFound("There is no such clinic.")
    return clinic


def add_practitioner(session: Session, clinic: Clinic, *, name: str, now: datetime) -> Practitioner:
    """A new practitioner. Raises BadInput, or Conflict ``name_taken``."""
    name = clean_text(name, field="The name", limit=LONGEST_NAME)
    row = Practitioner(clinic_id=clinic.id, name=name, created_at=now)
    _insert(session, row, Conflict("The clinic already has a practitioner of this name.", code="name_taken"))
    return row


def add_service(session: Session, clinic: Clinic, *, name: str, minutes: int, now: datetime) -> Service:
    """A new service of so many minutes. Raises BadInput, or Conflict ``name_taken``."""
    if minutes % SLOT_MINUTES or not SLOT_MINUTES <= minutes <= LONGEST_SERVICE_MINUTES:
        raise BadInput(
            f"The minutes must be a multiple of {SLOT_MINUTES} between {SLOT_MINUTES} and {LONGEST_SERVICE_MINUTES}."
        )
    name = clean_text(name, field="The name", limit=LONGEST_NAME)
    row = Service(clinic_id=clinic.id, name=name, minutes=minutes, created_at=now)
    _insert(session, row, Conflict("The clinic already has a service of this name.", code="name_taken"))
    return row


def list_practitioners(session: Session, actor: Actor, clinic: Clinic | None = None) -> list[Practitioner]:
    """The practitioners of one clinic, or of all in the actor's view, by name; disabled ones left out."""
    query = select(Practitioner).where(in_view(actor, Practitioner.clinic_id), Practitioner.disabled_at.is_(None))
    if clinic is not None:
        query = query.where(Practitioner.clinic_id == clinic.id)
    return list(session.scalars(query.order_by(Practitioner.name, Practitioner.id)))


def list_services(session: Session, actor: Actor, clinic: Clinic | None = None) -> list[Service]:
    """The services of one clinic, or of all in the actor's view, by name; disabled ones left out."""
    query = select(Service).where(in_view(actor, Service.clinic_id), Service.disabled_at.is_(None))
    if clinic is not None:
        query = query.where(Service.clinic_id == clinic.id)
    return list(session.scalars(query.order_by(Service.name, Service.id)))


def set_hours(session: Session, clinic: Clinic, *, day: str, bands: Sequence[str], now: datetime) -> list[Band]:
    """Replace the hours of one weekday (``mon``; ``08:00-18:00`` …; none = closed). Raises BadInput.

    The first hours that a clinic states end "always open": days without hours are closed from then on.
    """
    weekday = parse_weekday(day)
    hours = parse_bands(weekday, bands)
    session.execute(delete(OpeningBand).where(OpeningBand.clinic_id == clinic.id, OpeningBand.weekday == weekday))
    for band in hours:
        session.add(
            OpeningBand(
                clinic_id=clinic.id, weekday=weekday, opens_minute=band.opens_minute, closes_minute=band.closes_minute
            )
        )
    clinic.hours_set_at = clinic.hours_set_at or now
    session.flush()
    return hours


def opening_bands(session: Session, clinic: Clinic) -> list[Band] | None:
    """The clinic's hours in order, or None for a clinic that never stated any and is always open."""
    if clinic.hours_set_at is None:
        return None
    return stated_bands(session, clinic.id)


def stated_bands(session: Session, clinic_id: str) -> list[Band]:
    """The hours that a clinic has stated, in order; none for one that is always closed."""
    bands = select(OpeningBand.weekday, OpeningBand.opens_minute, OpeningBand.closes_minute)
    return sorted(Band(*row) for row in session.execute(bands.where(OpeningBand.clinic_id == clinic_id)))


def clinic_is_open(session: Session, clinic: Clinic, now: datetime) -> bool:
    """Whether the clinic is open now, by its own hours and time zone."""
    bands = opening_bands(session, clinic)
    return bands is None or is_open(bands, ZoneInfo(clinic.timezone), now)


def _own_numbers(numbers: Sequence[str]) -> list[str]:
    if not 1 <= len(numbers) <= MOST_NUMBERS:
        raise BadInput(f"A clinic needs 1 to {MOST_NUMBERS} numbers.")
    own = [phone_numbers.normalise(number) for number in numbers]
    if len(set(own)) < len(own):
        raise BadInput("Each number may be given only once.")
    return own


def _fallback(number: str | None, own_numbers: Collection[str]) -> str | None:
    if number is None:
        return None
    fallback = phone_numbers.normalise(number, field="The fallback number")
    if fallback in own_numbers:
        raise BadInput("The fallback number must not be one of the clinic's own numbers: calls would go in circles.")
    return fallback


def _refuse_taken(session: Session, slug: str, numbers: Collection[str]) -> None:
    if session.scalar(select(Clinic.id).where(Clinic.slug == slug)) is not None:
        raise Conflict("There is already a clinic with this slug.", code="slug_taken")
    if session.scalar(select(ClinicNumber.id).where(ClinicNumber.number.in_(numbers))) is not None:
        raise Conflict("A number belongs to another clinic.", code="number_taken")


def _insert(session: Session, row: object, otherwise: Conflict) -> None:
    """Insert inside a savepoint, so that the transaction survives a row that somebody else inserted first."""
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        raise otherwise from None
