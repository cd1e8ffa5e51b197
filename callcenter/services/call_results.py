"""What came of a call: its links with bookings and its disposition. Calls with neither form the unlinked list."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.domain.bookings import LinkAction
from callcenter.domain.calls import LINK_DISPOSITIONS, Disposition
from callcenter.domain.permissions import Actor
from callcenter.domain.text_rules import clean_optional_text
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Booking, BookingLink, Call
from callcenter.services.call_log import find_handled_call
from callcenter.services.call_rows import locked
from callcenter.services.receptionists import finish_wrap_up_of_call
from callcenter.services.rows import find_row

LONGEST_REASON = 300


def link_booking(
    session: Session, call_id: str, booking_id: str, action: LinkAction, *, actor: Actor, now: datetime
) -> BookingLink:
    """Say what a call did to a booking of the same clinic; saying it twice is the same link.

    Several links per call are normal. The call leaves the unlinked list, and takes the action as its disposition
    unless it has a stronger one. Filing it this way ends the call's wrap-up too (design §4.8). Raises NotFound for a
    call that is not in view and a booking of another clinic, Forbidden for a call that she was only offered, and
    Conflict ``wrong_state`` for one whose personal details have been deleted.
    """
    call = _locked_to_file(session, actor, call_id)
    booking = find_row(session, Booking, booking_id)
    if booking is None or booking.clinic_id != call.clinic_id:
        raise NotFound("There is no such booking.")
    link = _find_link(session, call.id, booking.id, action)
    if link is None:
        link = BookingLink(
            clinic_id=call.clinic_id,
            call_id=call.id,
            booking_id=booking.id,
            action=action,
            linked_by=actor.actor_id,
            created_at=now,
        )
        session.add(link)
    if call.disposition in (None, Disposition.ENQUIRY):
        call.disposition = Disposition(action.value)
    call.needs_link = False
    session.flush()
    finish_wrap_up_of_call(session, call.id, now=now)
    return link


def set_disposition(
    session: Session, call_id: str, disposition: Disposition, reason: str | None, *, actor: Actor, now: datetime
) -> Call:
    """File the typed result of a call, which ends its wrap-up; it may be corrected by filing again.

    Raises NotFound (not in view), Forbidden (only offered to her), BadInput (``other`` without a reason, unusable
    text), Conflict ``booking_link_required`` for booked, moved and cancelled without such a link (contract §6.4) and
    Conflict ``wrong_state`` for a call whose personal details have been deleted.
    """
    call = _locked_to_file(session, actor, call_id)
    reason = clean_optional_text(reason, field="The reason", limit=LONGEST_REASON)
    if disposition == Disposition.OTHER and reason is None:
        raise BadInput("The disposition other needs a reason.")
    if disposition in LINK_DISPOSITIONS and not _has_link(session, call.id, LinkAction(disposition.value)):
        raise Conflict(f"Link the booking that was {disposition} with this call first.", code="booking_link_required")
    call.disposition = disposition
    call.disposition_reason = reason
    call.needs_link = False
    session.flush()
    finish_wrap_up_of_call(session, call.id, now=now)
    return call


def _locked_to_file(session: Session, actor: Actor, call_id: str) -> Call:
    """The call, locked: its end decides about the unlinked list too, and the same link must not be made twice.

    A call is blanked only once, so what was written into it afterwards would stay for ever (P35).
    """
    call = locked(session, find_handled_call(session, actor, call_id).id)
    if call.blanked_at is not None:
        raise Conflict("The personal details of this call have been deleted; nothing can be added.", code="wrong_state")
    return call


def _has_link(session: Session, call_id: str, action: LinkAction) -> bool:
    query = select(BookingLink.id).where(BookingLink.call_id == call_id, BookingLink.action == action).limit(1)
    return session.scalar(query) is not None


def _find_link(session: Session, call_id: str, booking_id: str, action: LinkAction) -> BookingLink | None:
    query = select(BookingLink).where(
        BookingLink.call_id == call_id, BookingLink.booking_id == booking_id, BookingLink.action == action
    )
    return session.scalar(query)
