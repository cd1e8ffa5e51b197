"""Bookings: made, moved, cancelled, and what is still free."""

from datetime import datetime
from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import Field
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain.bookings import BookingState
from callcenter.domain.permissions import Permission
from callcenter.errors import BadInput
from callcenter.models import Booking
from callcenter.services import bookings
from callcenter.services.bookings import find_booking
from callcenter.services.clinics import find_clinic
from callcenter.services.diary import BookingDetails, booking_details, free_slots
from callcenter.services.diary import list_bookings as bookings_in_view
from callcenter.services.shapes import Shape
from callcenter.web.api.answers import answer, viewed, viewed_list
from callcenter.web.api.documents import CONFLICT, group
from callcenter.web.api.inputs import Id, Input, Limit, Moment, PageQuery, Slug, Text
from callcenter.web.auth import actor, needs
from callcenter.web.parts import parts

api: APIBlueprint = group("bookings", "The diaries of the clinics in view.")


class BookingPath(Input):
    """Which booking."""

    booking_id: Id


class BookingQuery(PageQuery):
    """Which bookings, by when they start."""

    clinic: Slug | None = None
    practitioner_id: Id | None = None
    from_: Moment | None = Field(None, alias="from")
    to: Moment | None = None


class SlotQuery(Input):
    """Where to look for free time: at most 31 days."""

    clinic: Slug
    service_id: Id
    from_: Moment = Field(alias="from")
    to: Moment
    practitioner_id: Id | None = None
    limit: Limit = 50


class BookingInput(Input):
    """A new booking (P5: these fields and no others). No clinical detail in the note."""

    clinic: Slug
    practitioner_id: Id
    service_id: Id
    starts_at: Moment = Field(description="On a multiple of five minutes.")
    caller_name: Text
    caller_number: Text | None = None
    caller_email: Text | None = Field(None, description="Kept when the caller has none yet; never replaces another.")
    note: Text | None = None


class BookingChange(Input):
    """Move (``starts_at``, ``practitioner_id``), cancel (``state``) or change the note; ``version`` is the one seen."""

    version: int = Field(ge=1, le=2**31 - 1)
    starts_at: Moment | None = None
    practitioner_id: Id | None = None
    state: Literal[BookingState.CANCELLED] | None = None
    note: Text | None = None


class BookingShape(Shape):
    """A booking with its caller as known now."""

    id: str
    clinic: str
    practitioner_id: str
    service_id: str
    caller_id: str | None
    caller_name: str | None
    caller_number: str | None
    starts_at: datetime
    ends_at: datetime
    state: BookingState
    note: str | None
    version: int


class BookingPage(Shape):
    """Bookings by start."""

    items: list[BookingShape]
    next: str | None


class SlotShape(Shape):
    """A time at which a practitioner is free for the service."""

    practitioner_id: str
    starts_at: datetime
    ends_at: datetime


class SlotPage(Shape):
    """Free times by start; narrow the search for more."""

    items: list[SlotShape]
    next: None = None


@api.get("/bookings", responses={200: BookingPage})
@needs(Permission.READ_BOOKINGS)
def list_bookings(query: BookingQuery) -> Response:
    """Bookings in view by start, cancelled ones too."""
    with transaction(parts().engine, wake=False) as session:
        page = bookings_in_view(
            session,
            actor(),
            find_clinic(session, query.clinic, actor()) if query.clinic else None,
            from_at=query.from_,
            to_at=query.to,
            practitioner_id=query.practitioner_id,
            limit=query.limit,
            cursor=query.cursor,
        )
        items = [_shape(details) for details in page.items]
        viewed_list(session, "bookings.listed", "bookings", None, {item.clinic for item in items})
    return answer(BookingPage(items=items, next=page.next))


@api.post("/bookings", responses={201: BookingShape, **CONFLICT})
@needs(Permission.CHANGE_BOOKINGS)
def make_booking(body: BookingInput) -> Response:
    """Book a caller in."""
    with transaction(parts().engine) as session:
        booking = bookings.make_booking(
            session,
            find_clinic(session, body.clinic, actor()),
            practitioner_id=body.practitioner_id,
            service_id=body.service_id,
            starts_at=body.starts_at,
            caller_name=body.caller_name,
            caller_number=body.caller_number,
            caller_email=body.caller_email,
            note=body.note,
            actor=actor(),
            now=clock.now(),
        )
        viewed(session, "booking.made", "booking", booking.id, booking.clinic_id)
        shape = _shape(booking_details(session, booking))
    return answer(shape, 201)


@api.get("/bookings/slots", responses={200: SlotPage})
@needs(Permission.READ_BOOKINGS)
def get_slots(query: SlotQuery) -> Response:
    """Free times for a service between two times."""
    with reading(parts().engine) as session:
        found = free_slots(
            session,
            find_clinic(session, query.clinic, actor()),
            service_id=query.service_id,
            from_at=query.from_,
            to_at=query.to,
            practitioner_id=query.practitioner_id,
            limit=query.limit,
            now=clock.now(),
        )
    return answer(SlotPage(items=[SlotShape.model_validate(slot) for slot in found]))


@api.get("/bookings/<opaque:booking_id>", responses={200: BookingShape})
@needs(Permission.READ_BOOKINGS)
def get_booking(path: BookingPath) -> Response:
    """One booking."""
    with transaction(parts().engine, wake=False) as session:
        booking = find_booking(session, path.booking_id, actor())
        viewed(session, "booking.viewed", "booking", booking.id, booking.clinic_id)
        shape = _shape(booking_details(session, booking))
    return answer(shape)


@api.patch("/bookings/<opaque:booking_id>", responses={200: BookingShape, **CONFLICT})
@needs(Permission.CHANGE_BOOKINGS)
def change_booking(path: BookingPath, body: BookingChange) -> Response:
    """Move, cancel or annotate a booking, one of them at a time. A stale ``version`` is 409 ``conflict``."""
    with transaction(parts().engine) as session:
        booking = find_booking(session, path.booking_id, actor())
        _change(session, booking, body)
        viewed(session, "booking.changed", "booking", booking.id, booking.clinic_id)
        shape = _shape(booking_details(session, booking))
    return answer(shape)


def _change(session: Session, booking: Booking, body: BookingChange) -> None:
    moves = body.starts_at is not None or body.practitioner_id is not None
    wanted = [moves, body.state is not None, "note" in body.model_fields_set]
    if sum(wanted) != 1:
        raise BadInput("Say one thing to change: starts_at and practitioner_id, or state, or note.")
    if moves:
        bookings.move_booking(
            session,
            booking,
            version=body.version,
            starts_at=body.starts_at or booking.starts_at,
            practitioner_id=body.practitioner_id,
            actor=actor(),
            now=clock.now(),
        )
    elif body.state is not None:
        bookings.cancel_booking(session, booking, version=body.version, actor=actor(), now=clock.now())
    else:
        bookings.change_note(session, booking, version=body.version, note=body.note)


def _shape(details: BookingDetails) -> BookingShape:
    booking = details.booking
    own = BookingShape.model_fields.keys() - {"clinic", "caller_name", "caller_number"}
    return BookingShape(
        **{name: getattr(booking, name) for name in own},
        clinic=details.clinic,
        caller_name=details.caller_name,
        caller_number=details.caller_number,
    )
