"""Bookings: made, moved and cancelled with their history; two of one practitioner can never overlap.

Every booking holds one BookingSlot row per five minutes, and the primary key of that table is the guard. The
practitioner's row is locked first, so that two changes of one diary wait for each other instead of deadlocking.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from callcenter.domain.bookings import BookingState, LinkAction, check_start, occupied_slots
from callcenter.domain.opening_hours import covers
from callcenter.domain.permissions import Actor
from callcenter.domain.text_rules import clean_optional_text
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Booking, BookingChange, BookingSlot, Clinic, Practitioner, Service
from callcenter.services.callers import find_or_create_caller
from callcenter.services.clinics import opening_bands
from callcenter.services.rows import find_row

LONGEST_NOTE = 300


def make_booking(
    session: Session,
    clinic: Clinic,
    *,
    practitioner_id: str,
    service_id: str,
    starts_at: datetime,
    caller_name: str,
    caller_number: str | None,
    actor: Actor,
    now: datetime,
    caller_email: str | None = None,
    note: str | None = None,
) -> Booking:
    """Book a caller in (P5: these fields and no others). The length is the service's.

    Raises BadInput (text, number, start, outside opening hours), NotFound (practitioner or service is not the
    clinic's) and Conflict ``slot_taken``.
    """
    check_start(starts_at, now)
    note = clean_optional_text(note, field="The note", limit=LONGEST_NOTE, lines=True)
    service = _service(session, clinic.id, service_id)
    ends_at = starts_at + timedelta(minutes=service.minutes)
    _check_open(session, clinic, starts_at, ends_at)
    _lock_diaries(session, clinic.id, practitioner_id)
    with _free_or_conflict(session):
        caller = find_or_create_caller(
            session, clinic, name=caller_name, number=caller_number, email=caller_email, now=now
        )
        booking = Booking(
            clinic_id=clinic.id,
            practitioner_id=practitioner_id,
            service_id=service.id,
            caller_id=caller.id,
            starts_at=starts_at,
            ends_at=ends_at,
            note=note,
            created_at=now,
        )
        session.add(booking)
        session.flush()
        _take_slots(session, booking)
    _write_history(session, booking, LinkAction.BOOKED, actor, now, before=None, after=starts_at)
    return booking


def find_booking(session: Session, booking_id: str, actor: Actor) -> Booking:
    """The booking. Raises NotFound, also for one that is not in the actor's view."""
    booking = find_row(session, Booking, booking_id)
    if booking is None or not actor.reaches(booking.clinic_id):
        raise NotFound("There is no such booking.")
    return booking


def move_booking(
    session: Session,
    booking: Booking,
    *,
    version: int,
    starts_at: datetime,
    actor: Actor,
    now: datetime,
    practitioner_id: str | None = None,
) -> Booking:
    """Give a booking another start, or another practitioner (None keeps hers); it keeps its service and length.

    Raises as ``make_booking`` does, and Conflict ``conflict`` when ``version`` is not the present one (P41) or
    ``wrong_state`` when it was cancelled. Moving to where it already is changes nothing but the version.
    """
    check_start(starts_at, now)
    clinic = session.get_one(Clinic, booking.clinic_id)
    service = session.get_one(Service, booking.service_id)
    practitioner_id = practitioner_id or booking.practitioner_id
    ends_at = starts_at + timedelta(minutes=service.minutes)
    _check_open(session, clinic, starts_at, ends_at)
    _lock_diaries(session, clinic.id, practitioner_id, booking.practitioner_id)
    before = booking.starts_at
    with _free_or_conflict(session):
        _change(session, booking, version, starts_at=starts_at, ends_at=ends_at, practitioner_id=practitioner_id)
        session.execute(delete(BookingSlot).where(BookingSlot.booking_id == booking.id))
        _take_slots(session, booking)
    _write_history(session, booking, LinkAction.MOVED, actor, now, before=before, after=starts_at)
    return booking


def cancel_booking(session: Session, booking: Booking, *, version: int, actor: Actor, now: datetime) -> Booking:
    """Cancel a booking and free its time.

    Raises Conflict ``conflict`` for a stale version, ``wrong_state`` for a cancelled one.
    """
    before = booking.starts_at
    _change(session, booking, version, state=BookingState.CANCELLED, cancelled_at=now)
    session.execute(delete(BookingSlot).where(BookingSlot.booking_id == booking.id))
    _write_history(session, booking, LinkAction.CANCELLED, actor, now, before=before, after=None)
    return booking


def change_note(session: Session, booking: Booking, *, version: int, note: str | None) -> Booking:
    """Replace the note (None or blank removes it). Raises BadInput, and Conflict as ``cancel_booking`` does."""
    note = clean_optional_text(note, field="The note", limit=LONGEST_NOTE, lines=True)
    return _change(session, booking, version, note=note)


def booking_history(session: Session, booking: Booking) -> list[BookingChange]:
    """Who booked, moved and cancelled it, and when; oldest first."""
    query = select(BookingChange).where(BookingChange.booking_id == booking.id)
    return list(session.scalars(query.order_by(BookingChange.version, BookingChange.id)))


def _service(session: Session, clinic_id: str, service_id: str) -> Service:
    service = find_row(session, Service, service_id)
    if service is None or service.clinic_id != clinic_id or service.disabled_at is not None:
        raise NotFound("The clinic has no such service.")
    return service


def _check_open(session: Session, clinic: Clinic, starts_at: datetime, ends_at: datetime) -> None:
    bands = opening_bands(session, clinic)
    if bands is not None and not covers(bands, ZoneInfo(clinic.timezone), starts_at, ends_at):
        raise BadInput("The booking must lie within the clinic's opening hours.", code="outside_opening_hours")


def _lock_diaries(session: Session, clinic_id: str, practitioner_id: str, other_id: str | None = None) -> None:
    """Wait for other changes of these diaries, always in the same order. A weaker lock than FOR UPDATE is enough: rows
    that point to a practitioner may be inserted meanwhile. Raises NotFound when the first is not the clinic's."""
    practitioner = find_row(session, Practitioner, practitioner_id)
    if practitioner is None or practitioner.clinic_id != clinic_id or practitioner.disabled_at is not None:
        raise NotFound("The clinic has no such practitioner.")
    query = select(Practitioner.id).where(Practitioner.id.in_({practitioner_id, other_id or practitioner_id}))
    session.execute(query.order_by(Practitioner.id).with_for_update(key_share=True))


def _change(session: Session, booking: Booking, version: int, **values: object) -> Booking:
    """Change a booked row of this version, raising the version; one winner under any concurrency."""
    result = session.execute(
        update(Booking)
        .where(Booking.id == booking.id, Booking.version == version, Booking.state == BookingState.BOOKED)
        .values(version=version + 1, **values)
        .returning(Booking.id)
        .execution_options(synchronize_session=False)
    )
    changed = result.scalar_one_or_none() is not None
    session.refresh(booking)
    if not changed and booking.version == version:
        raise Conflict("The booking has been cancelled.", code="wrong_state")
    if not changed:
        raise Conflict("Somebody else has changed this booking meanwhile; look at it again first.")
    return booking


@contextmanager
def _free_or_conflict(session: Session) -> Iterator[None]:
    """Undo the block and raise Conflict ``slot_taken`` when a slot turns out to be somebody else's."""
    try:
        with session.begin_nested():
            yield
    except IntegrityError:
        raise Conflict("The practitioner already has a booking at this time.", code="slot_taken") from None


def _take_slots(session: Session, booking: Booking) -> None:
    owner = {
        "practitioner_id": booking.practitioner_id,
        "clinic_id": booking.clinic_id,
        "booking_id": booking.id,
    }
    slots = occupied_slots(booking.starts_at, booking.ends_at)
    session.execute(insert(BookingSlot), [owner | {"starts_at": slot} for slot in slots])


def _write_history(
    session: Session,
    booking: Booking,
    action: LinkAction,
    actor: Actor,
    now: datetime,
    *,
    before: datetime | None,
    after: datetime | None,
) -> None:
    change = BookingChange(
        clinic_id=booking.clinic_id,
        booking_id=booking.id,
        version=booking.version,
        action=action,
        changed_by=actor.actor_id,
        changed_at=now,
        starts_at_before=before,
        starts_at_after=after,
    )
    session.add(change)
    session.flush()
