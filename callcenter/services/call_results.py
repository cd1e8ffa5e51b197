"""What came of a call: its links with bookings, its disposition, and the list of calls that have neither."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from callcenter.domain.bookings import LinkAction
from callcenter.domain.calls import LINK_DISPOSITIONS, Disposition
from callcenter.domain.permissions import Actor, sees_call
from callcenter.domain.receptionists import Role
from callcenter.domain.text_rules import clean_optional_text
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Booking, BookingLink, Call, Clinic
from callcenter.services.access import in_view
from callcenter.services.paging import DEFAULT_LIMIT, Page, after, check_limit, page_of, read_cursor

LONGEST_REASON = 300


def link_booking(
    session: Session, call_id: str, booking_id: str, action: LinkAction, *, actor: Actor, now: datetime
) -> BookingLink:
    """Say what a call did to a booking of the same clinic; saying it twice is the same link.

    Several links per call are normal. The call leaves the unlinked list, and takes the action as its disposition
    unless it has a stronger one. Raises NotFound for a call that is not in view and a booking of another clinic.
    """
    call = _call_in_view(session, call_id, actor)
    booking = session.get(Booking, booking_id)
    if booking is None or booking.clinic_id != call.clinic_id:
        raise NotFound("There is no such booking.")
    link = _find_link(session, call.id, booking.id, action) or _insert_link(
        session,
        BookingLink(
            clinic_id=call.clinic_id,
            call_id=call.id,
            booking_id=booking.id,
            action=action,
            linked_by=actor.actor_id,
            created_at=now,
        ),
    )
    if call.disposition in (None, Disposition.ENQUIRY):
        call.disposition = Disposition(action.value)
    call.needs_link = False
    session.flush()
    return link


def set_disposition(
    session: Session, call_id: str, disposition: Disposition, reason: str | None, *, actor: Actor
) -> Call:
    """File the typed result of a call; it may be corrected by filing again.

    Raises NotFound (not in view), BadInput (``other`` without a reason, unusable text) and Conflict
    ``booking_link_required`` for booked, moved and cancelled without such a link (contract §6.4).
    """
    call = _call_in_view(session, call_id, actor)
    reason = clean_optional_text(reason, field="The reason", limit=LONGEST_REASON)
    if disposition == Disposition.OTHER and reason is None:
        raise BadInput("The disposition other needs a reason.")
    if disposition in LINK_DISPOSITIONS and not _has_link(session, call.id, LinkAction(disposition.value)):
        raise Conflict(f"Link the booking that was {disposition} with this call first.", code="booking_link_required")
    call.disposition = disposition
    call.disposition_reason = reason
    call.needs_link = False
    session.flush()
    return call


def is_filed(session: Session, call: Call) -> bool:
    """Whether the call has a disposition or a link, so that it need not stand on the unlinked list."""
    if call.disposition is not None:
        return True
    return session.scalar(select(BookingLink.id).where(BookingLink.call_id == call.id).limit(1)) is not None


def links_of_call(session: Session, call_id: str) -> list[BookingLink]:
    """The links of a call, oldest first."""
    query = select(BookingLink).where(BookingLink.call_id == call_id)
    return list(session.scalars(query.order_by(BookingLink.created_at, BookingLink.id)))


def list_unlinked(
    session: Session,
    actor: Actor,
    clinic: Clinic | None = None,
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Call]:
    """Answered calls with neither link nor disposition in the actor's view, newest first; receptionists see their own.

    Raises BadInput for limit or cursor.
    """
    query = select(Call).where(Call.needs_link, in_view(actor, Call.clinic_id))
    if actor.role == Role.RECEPTIONIST:
        query = query.where(Call.receptionist_id == actor.user_id)
    if clinic is not None:
        query = query.where(Call.clinic_id == clinic.id)
    last = read_cursor(cursor)
    if last is not None:
        query = query.where(after(last, Call.started_at, Call.id, newest_first=True))
    query = query.order_by(Call.started_at.desc(), Call.id.desc()).limit(check_limit(limit) + 1)
    return page_of(session.scalars(query).all(), limit, lambda call: (call.started_at, call.id))


def _call_in_view(session: Session, call_id: str, actor: Actor) -> Call:
    call = session.get(Call, call_id)
    if call is None or not sees_call(actor, clinic_id=call.clinic_id, receptionist_id=call.receptionist_id):
        raise NotFound("There is no such call.")
    return call


def _has_link(session: Session, call_id: str, action: LinkAction) -> bool:
    query = select(BookingLink.id).where(BookingLink.call_id == call_id, BookingLink.action == action).limit(1)
    return session.scalar(query) is not None


def _find_link(session: Session, call_id: str, booking_id: str, action: LinkAction) -> BookingLink | None:
    query = select(BookingLink).where(
        BookingLink.call_id == call_id, BookingLink.booking_id == booking_id, BookingLink.action == action
    )
    return session.scalar(query)


def _insert_link(session: Session, link: BookingLink) -> BookingLink:
    """Insert; when the same link was made at the same moment, take that one."""
    call_id, booking_id, action = link.call_id, link.booking_id, link.action
    try:
        with session.begin_nested():
            session.add(link)
            session.flush()
    except IntegrityError:
        other = _find_link(session, call_id, booking_id, action)
        if other is None:
            raise
        return other
    return link
