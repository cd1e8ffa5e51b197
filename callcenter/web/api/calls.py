"""The call log: lists, searches, one call, and what came of it."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import Field
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import transaction
from callcenter.domain import phone_numbers
from callcenter.domain.bookings import LinkAction
from callcenter.domain.calls import Disposition, Outcome
from callcenter.domain.permissions import Permission
from callcenter.domain.text_rules import clean_optional_text
from callcenter.services import call_log, call_results
from callcenter.services.call_log import Criteria
from callcenter.services.clinics import find_clinic, list_clinics
from callcenter.services.shapes import BookingLinkShape, CallPage, CallShape, SearchPage
from callcenter.web.api.answers import answer, viewed, viewed_list
from callcenter.web.api.documents import CONFLICT, group
from callcenter.web.api.inputs import Id, Input, Moment, PageQuery, Slug, Text
from callcenter.web.auth import actor, needs
from callcenter.web.parts import parts

LONGEST_SEARCH_TEXT = 100

api: APIBlueprint = group("calls", "The call log and what came of each call.")


class CallPath(Input):
    """Which call."""

    call_id: Id


class CallFilter(PageQuery):
    """What both lists and searches can ask for."""

    clinic: Slug | None = None
    from_: Moment | None = Field(None, alias="from", description="Calls that began at this time or later.")
    to: Moment | None = Field(None, description="Calls that began before this time.")
    outcome: Outcome | None = None
    linked: bool | None = Field(None, description="false: the unlinked list, answered calls that nobody has filed yet.")


class CallQuery(CallFilter):
    """Which calls; ``search`` repeats an own search by its id."""

    receptionist: Id | None = None
    search: Id | None = Field(None, description="Id of an own search of the last 24 hours; replaces all other filters.")


class CallSearch(CallFilter):
    """What to look for; nothing of it ever stands in an address."""

    number: Text | None = Field(None, description="The caller's telephone number, national or international.")
    q: Text | None = Field(None, description="Part of a caller's name or of a reason.")


class BookingLinkInput(Input):
    """What the call did to a booking."""

    booking_id: Id
    action: LinkAction


class DispositionInput(Input):
    """The typed result; ``reason`` is required for ``other``."""

    disposition: Disposition
    reason: Text | None = None


@api.get("/calls", responses={200: CallPage})
@needs(Permission.READ_CALLS)
def list_calls(query: CallQuery) -> Response:
    """The calls in view, newest first."""
    now = clock.now()
    with transaction(parts().engine, wake=False) as session:
        if query.search is not None:
            criteria = call_log.recall_search(session, actor(), query.search, now=now)
        else:
            criteria = _criteria(session, query, receptionist_id=query.receptionist)
        page = call_log.list_calls(session, actor(), criteria, limit=query.limit, cursor=query.cursor, now=now)
        viewed_list(session, "calls.listed", "calls", query.search, {call.clinic for call in page.items})
    return answer(CallPage(items=page.items, next=page.next))


@api.post("/calls/search", responses={200: SearchPage})
@needs(Permission.READ_PERSONAL_DATA)
def search_calls(body: CallSearch) -> Response:
    """Calls by number or text. Answers a ``search`` id that stands for the criteria for 24 hours."""
    now = clock.now()
    number = phone_numbers.normalise(body.number) if body.number is not None else None
    text = clean_optional_text(body.q, field="The text", limit=LONGEST_SEARCH_TEXT)
    with transaction(parts().engine, wake=False) as session:
        criteria = _criteria(session, body, number=number, text=text)
        search = call_log.remember_search(session, actor(), criteria, now=now)
        page = call_log.list_calls(session, actor(), criteria, limit=body.limit, cursor=body.cursor, now=now)
        searched = [body.clinic] if body.clinic else [clinic.slug for clinic in list_clinics(session, actor())]
        viewed_list(session, "calls.searched", "search", search.id, searched)
    return answer(SearchPage(items=page.items, next=page.next, search=search.id))


@api.get("/calls/<opaque:call_id>", responses={200: CallShape})
@needs(Permission.READ_CALLS)
def get_call(path: CallPath) -> Response:
    """One call."""
    with transaction(parts().engine, wake=False) as session:
        call = call_log.find_call(session, actor(), path.call_id)
        viewed(session, "call.viewed", "call", call.id, call.clinic_id)
        shape = call_log.get_call(session, actor(), call.id, now=clock.now())
    return answer(shape)


@api.post("/calls/<opaque:call_id>/booking-links", responses={201: BookingLinkShape, **CONFLICT})
@needs(Permission.FILE_RESULTS)
def link_booking(path: CallPath, body: BookingLinkInput) -> Response:
    """Say what the call did to a booking. Saying it twice is the same link."""
    with transaction(parts().engine) as session:
        call = call_log.find_call(session, actor(), path.call_id)
        link = call_results.link_booking(session, call.id, body.booking_id, body.action, actor=actor(), now=clock.now())
        viewed(session, "call.booking_linked", "call", call.id, call.clinic_id)
        shape = BookingLinkShape.model_validate(link)
    return answer(shape, 201)


@api.put("/calls/<opaque:call_id>/disposition", responses={200: CallShape, **CONFLICT})
@needs(Permission.FILE_RESULTS)
def set_disposition(path: CallPath, body: DispositionInput) -> Response:
    """File the result of a call, which ends its wrap-up; it may be corrected by filing again."""
    now = clock.now()
    with transaction(parts().engine) as session:
        call = call_log.find_call(session, actor(), path.call_id)
        call_results.set_disposition(session, call.id, body.disposition, body.reason, actor=actor(), now=now)
        viewed(session, "call.filed", "call", call.id, call.clinic_id)
        shape = call_log.get_call(session, actor(), call.id, now=now)
    return answer(shape)


def _criteria(
    session: Session,
    wanted: CallFilter,
    *,
    receptionist_id: str | None = None,
    number: str | None = None,
    text: str | None = None,
) -> Criteria:
    clinic = find_clinic(session, wanted.clinic, actor()) if wanted.clinic else None
    return Criteria(
        clinic_id=clinic.id if clinic else None,
        from_at=wanted.from_,
        to_at=wanted.to,
        outcome=wanted.outcome,
        linked=wanted.linked,
        receptionist_id=receptionist_id,
        number=number,
        text=text,
    )
