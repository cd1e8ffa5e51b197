"""The diary: bookings by time, and what is still free."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.domain.bookings import FURTHEST_AHEAD_DAYS, SLOT_MINUTES, BookingState
from callcenter.domain.opening_hours import Span, open_spans
from callcenter.domain.permissions import Actor
from callcenter.errors import BadInput, NotFound
from callcenter.models import Booking, BookingSlot, Caller, Clinic, Practitioner, Service
from callcenter.services.access import in_view
from callcenter.services.clinics import opening_bands
from callcenter.services.paging import DEFAULT_LIMIT, Page, after, check_limit, page_of, read_cursor
from callcenter.services.rows import find_row

LONGEST_SEARCH_DAYS = 31
OFFER_STEP_MINUTES = 15
"""Free times are proposed at every quarter of an hour after opening, or more often for shorter services."""


@dataclass(frozen=True)
class BookingDetails:
    """A booking as people see it: with the clinic's slug and the caller's name and number as they are now (P41)."""

    booking: Booking
    clinic: str
    caller_name: str | None
    caller_number: str | None


@dataclass(frozen=True)
class FreeSlot:
    """A time at which a practitioner could take a booking; aware UTC."""

    practitioner_id: str
    starts_at: datetime
    ends_at: datetime


def booking_details(session: Session, booking: Booking) -> BookingDetails:
    """One booking as people see it."""
    clinic = session.get_one(Clinic, booking.clinic_id)
    caller = session.get(Caller, booking.caller_id) if booking.caller_id else None
    if caller is None:
        return BookingDetails(booking, clinic.slug, None, None)
    return BookingDetails(booking, clinic.slug, caller.name, caller.number)


def list_bookings(
    session: Session,
    actor: Actor,
    clinic: Clinic | None = None,
    *,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    practitioner_id: str | None = None,
    caller_number: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[BookingDetails]:
    """Bookings in the actor's view by start, cancelled ones too, from ``from_at`` to before ``to_at``.

    ``caller_number`` is E.164. Raises BadInput for limit or cursor.
    """
    query = (
        select(Booking, Clinic.slug, Caller.name, Caller.number)
        .join(Clinic, Clinic.id == Booking.clinic_id)
        .outerjoin(Caller, Caller.id == Booking.caller_id)
        .where(in_view(actor, Booking.clinic_id))
    )
    wanted = {Booking.practitioner_id: practitioner_id, Caller.number: caller_number}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    if clinic is not None:
        conditions.append(Booking.clinic_id == clinic.id)
    if from_at is not None:
        conditions.append(Booking.starts_at >= from_at)
    if to_at is not None:
        conditions.append(Booking.starts_at < to_at)
    last = read_cursor(cursor)
    if last is not None:
        conditions.append(after(last, Booking.starts_at, Booking.id))
    query = query.where(*conditions).order_by(Booking.starts_at, Booking.id).limit(check_limit(limit) + 1)
    rows = [BookingDetails(*row) for row in session.execute(query)]
    return page_of(rows, limit, lambda row: (row.booking.starts_at, row.booking.id))


def free_slots(
    session: Session,
    clinic: Clinic,
    *,
    service_id: str,
    from_at: datetime,
    to_at: datetime,
    now: datetime,
    practitioner_id: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> list[FreeSlot]:
    """The first free times for a service between two aware times (at most 31 days), by start; none in the past.

    Raises BadInput for the span or the limit, NotFound when service or practitioner is not the clinic's.
    """
    if not timedelta(0) < to_at - from_at <= timedelta(days=LONGEST_SEARCH_DAYS):
        raise BadInput(f"The search must begin before it ends and cover at most {LONGEST_SEARCH_DAYS} days.")
    if to_at - now > timedelta(days=FURTHEST_AHEAD_DAYS):
        raise BadInput(f"The search must end within {FURTHEST_AHEAD_DAYS} days.")
    check_limit(limit)
    service = find_row(session, Service, service_id)
    if service is None or service.clinic_id != clinic.id or service.disabled_at is not None:
        raise NotFound("The clinic has no such service.")
    practitioners = _practitioners(session, clinic, practitioner_id)
    span = Span(_next_grain(max(from_at, now)), to_at.astimezone(UTC))
    taken = _taken(session, clinic, span)
    found = (
        FreeSlot(one, start, start + timedelta(minutes=service.minutes))
        for start in _starts(session, clinic, service, span)
        for one in practitioners
        if not any((one, slot) in taken for slot in _slots(start, service.minutes))
    )
    return list(islice(found, limit))


def _practitioners(session: Session, clinic: Clinic, practitioner_id: str | None) -> list[str]:
    query = select(Practitioner.id).where(Practitioner.clinic_id == clinic.id, Practitioner.disabled_at.is_(None))
    found = list(session.scalars(query.order_by(Practitioner.name, Practitioner.id)))
    if practitioner_id is None:
        return found
    if practitioner_id not in found:
        raise NotFound("The clinic has no such practitioner.")
    return [practitioner_id]


def _taken(session: Session, clinic: Clinic, span: Span) -> set[tuple[str, datetime]]:
    query = select(BookingSlot.practitioner_id, BookingSlot.starts_at).join(Booking)
    query = query.where(
        Booking.clinic_id == clinic.id,
        Booking.state == BookingState.BOOKED,
        Booking.starts_at < span.to_at,
        Booking.ends_at > span.from_at,
    )
    return {(practitioner_id, starts_at) for practitioner_id, starts_at in session.execute(query)}


def _starts(session: Session, clinic: Clinic, service: Service, span: Span) -> Iterator[datetime]:
    """Every start whose whole service fits into an opening of the span."""
    bands = opening_bands(session, clinic)
    openings = [span] if bands is None else open_spans(bands, ZoneInfo(clinic.timezone), span.from_at, span.to_at)
    length = timedelta(minutes=service.minutes)
    step = timedelta(minutes=min(OFFER_STEP_MINUTES, service.minutes))
    for opening in openings:
        start = opening.from_at
        while start + length <= opening.to_at:
            yield start
            start += step


def _slots(start: datetime, minutes: int) -> list[datetime]:
    return [start + timedelta(minutes=offset) for offset in range(0, minutes, SLOT_MINUTES)]


def _next_grain(at: datetime) -> datetime:
    """The first quarter of an hour not before ``at``, in UTC: proposals begin at round times."""
    step = OFFER_STEP_MINUTES * 60
    seconds = -(-at.timestamp() // step) * step
    return datetime.fromtimestamp(seconds, UTC)
