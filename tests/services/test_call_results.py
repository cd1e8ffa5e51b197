"""What came of a call: links with bookings, the typed result, and the list of calls that still need one."""

from contextlib import nullcontext

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from callcenter.domain.bookings import LinkAction
from callcenter.domain.calls import Disposition, OfferState
from callcenter.domain.permissions import COMMAND_LINE, Actor
from callcenter.domain.receptionists import Activity, Role
from callcenter.errors import BadInput, CallcenterError, Conflict, Forbidden, NotFound
from callcenter.models import BookingLink, Call, Receptionist
from callcenter.services.call_log import Criteria, get_call, list_calls
from callcenter.services.call_results import link_booking, set_disposition
from callcenter.services.callers import match_caller
from tests.cast import Cast, create_cast
from tests.factories import NOW, create_answered_call, create_booking, create_caller, create_offer


@pytest.fixture
def cast(session: Session) -> Cast:
    return create_cast(session)


@pytest.fixture
def call(session: Session, cast: Cast) -> Call:
    return create_answered_call(session, cast.hill.clinic, receptionist_id=cast.rosie.user_id)


def unlinked(session: Session) -> list[str]:
    """Ids of the calls that need a result."""
    page = list_calls(session, COMMAND_LINE, Criteria(linked=False), limit=50, cursor=None, now=NOW)
    return [shape.id for shape in page.items]


def link(session: Session, call: Call, booking_id: str, action: str, actor: Actor = COMMAND_LINE) -> BookingLink:
    """Say what the call did to the booking."""
    return link_booking(session, call.id, booking_id, LinkAction(action), actor=actor, now=NOW)


def file(
    session: Session, call: Call, disposition: str, reason: str | None = None, actor: Actor = COMMAND_LINE
) -> Call:
    """File the result of the call."""
    return set_disposition(session, call.id, Disposition(disposition), reason, actor=actor, now=NOW)


def test_an_answered_call_needs_a_result(session: Session, call: Call) -> None:
    assert unlinked(session) == [call.id]


def test_a_linked_call_needs_no_other_result(session: Session, cast: Cast, call: Call) -> None:
    link(session, call, create_booking(session, cast.hill.clinic).id, "booked")
    assert (unlinked(session), call.disposition) == ([], Disposition.BOOKED)


def test_a_call_may_do_several_things(session: Session, cast: Cast, call: Call) -> None:
    first, second = create_booking(session, cast.hill.clinic), create_booking(session, cast.hill.clinic)
    links = {
        link(session, call, *what).id for what in ((first.id, "enquiry"), (first.id, "moved"), (second.id, "booked"))
    }
    assert len(links) == 3
    assert call.disposition == Disposition.MOVED


def test_the_same_link_twice_is_one_link(session: Session, cast: Cast, call: Call) -> None:
    booking = create_booking(session, cast.hill.clinic)
    assert link(session, call, booking.id, "booked") is link(session, call, booking.id, "booked")
    assert session.scalar(select(func.count()).select_from(BookingLink)) == 1


def test_a_booking_of_another_clinic_cannot_be_linked(session: Session, cast: Cast, call: Call) -> None:
    with pytest.raises(NotFound):
        link(session, call, create_booking(session, cast.lake.clinic).id, "booked")
    assert unlinked(session) == [call.id]


@pytest.mark.parametrize("booking_id", ["", "0" * 32, "\x00"])
def test_an_unknown_booking_cannot_be_linked(session: Session, call: Call, booking_id: str) -> None:
    with pytest.raises(NotFound):
        link(session, call, booking_id, "booked")


@pytest.mark.parametrize(
    "disposition", ["enquiry", "message_taken", "transferred", "wrong_number", "emergency_redirected"]
)
def test_a_typed_result_takes_the_call_off_the_list(session: Session, call: Call, disposition: str) -> None:
    file(session, call, disposition)
    assert unlinked(session) == []


def test_another_result_says_why(session: Session, call: Call) -> None:
    assert file(session, call, "other", " line noise ").disposition_reason == "line noise"


@pytest.mark.parametrize("reason", [None, "", "  ", "x" * 301, "card 4111 1111 1111 1111"])
def test_another_result_without_a_proper_reason_is_refused(session: Session, call: Call, reason: str | None) -> None:
    with pytest.raises(BadInput):
        file(session, call, "other", reason)
    assert unlinked(session) == [call.id]


@pytest.mark.parametrize("disposition", ["booked", "moved", "cancelled"])
def test_what_comes_from_links_needs_the_link(session: Session, cast: Cast, call: Call, disposition: str) -> None:
    with pytest.raises(Conflict) as refusal:
        file(session, call, disposition)
    assert (refusal.value.code, call.disposition) == ("booking_link_required", None)
    link(session, call, create_booking(session, cast.hill.clinic).id, disposition)
    assert file(session, call, disposition).disposition == disposition


def test_filing_ends_the_wrap_up(session: Session, cast: Cast, call: Call) -> None:
    cast.rosie.activity, cast.rosie.current_call_id = Activity.WRAPPING_UP, call.id
    session.flush()
    file(session, call, "enquiry")
    idle = session.scalars(select(Receptionist.activity).where(Receptionist.current_call_id.is_(None))).all()
    assert idle == [Activity.IDLE, Activity.IDLE]


def test_a_booking_link_ends_the_wrap_up_too(session: Session, cast: Cast, call: Call) -> None:
    cast.rosie.activity, cast.rosie.current_call_id = Activity.WRAPPING_UP, call.id
    session.flush()
    link(session, call, create_booking(session, cast.hill.clinic).id, "booked")
    idle = session.scalars(select(Receptionist.activity).where(Receptionist.current_call_id.is_(None))).all()
    assert idle == [Activity.IDLE, Activity.IDLE]


def test_a_booking_link_in_mid_call_leaves_her_talking(session: Session, cast: Cast, call: Call) -> None:
    cast.rosie.activity, cast.rosie.current_call_id = Activity.TALKING, call.id
    session.flush()
    link(session, call, create_booking(session, cast.hill.clinic).id, "booked")
    assert cast.rosie.activity == Activity.TALKING


def test_nothing_is_written_into_a_call_whose_personal_details_are_gone(
    session: Session, cast: Cast, call: Call
) -> None:
    call.blanked_at = NOW
    session.flush()
    booking = create_booking(session, cast.hill.clinic)
    for attempt in (
        lambda: file(session, call, "other", "Ann rang"),
        lambda: link(session, call, booking.id, "booked"),
    ):
        with pytest.raises(Conflict) as refusal:
            attempt()
        assert refusal.value.code == "wrong_state"
    assert (call.disposition_reason, session.scalar(select(func.count()).select_from(BookingLink))) == (None, 0)


@pytest.mark.parametrize(("state", "may"), [("ringing", False), ("accepted", True)])
def test_a_call_is_filed_by_whoever_answered_it_and_not_by_whoever_it_rings_for(
    session: Session, cast: Cast, call: Call, state: str, may: bool
) -> None:
    create_offer(session, call, cast.robin, state=OfferState(state))
    robin = Actor("r", Role.RECEPTIONIST, frozenset({cast.hill.clinic.id}), cast.robin.user_id)
    assert get_call(session, robin, call.id, now=NOW).id == call.id
    booking = create_booking(session, cast.hill.clinic)
    for attempt in (
        lambda: file(session, call, "enquiry", actor=robin),
        lambda: link(session, call, booking.id, "booked", robin),
    ):
        with nullcontext() if may else pytest.raises(Forbidden):
            attempt()


@pytest.mark.parametrize("who", ["a colleague", "a stranger"])
def test_a_call_out_of_view_cannot_be_filed(session: Session, cast: Cast, call: Call, who: str) -> None:
    actor = {
        "a colleague": Actor("r", Role.RECEPTIONIST, frozenset({cast.hill.clinic.id}), cast.robin.user_id),
        "a stranger": Actor("m", Role.CLINIC_MANAGER, frozenset({cast.lake.clinic.id})),
    }[who]
    for attempt in (
        lambda: file(session, call, "enquiry", actor=actor),
        lambda: link(session, call, create_booking(session, cast.hill.clinic).id, "booked", actor),
    ):
        with pytest.raises(CallcenterError) as refusal:
            attempt()
        assert isinstance(refusal.value, NotFound)


def test_one_caller_of_a_number_is_matched_and_several_are_choices(session: Session, cast: Cast) -> None:
    ann = create_caller(session, cast.hill.clinic, number="+447700900111", name="Ann")
    assert match_caller(session, cast.hill.clinic.id, "+447700900111") == [ann]
    ben = create_caller(session, cast.hill.clinic, number="+447700900111", name="Ben")
    assert match_caller(session, cast.hill.clinic.id, "+447700900111") == [ann, ben]


def test_a_number_means_nothing_at_another_clinic(session: Session, cast: Cast) -> None:
    create_caller(session, cast.hill.clinic, number="+447700900111")
    assert match_caller(session, cast.lake.clinic.id, "+447700900111") == []


def test_a_withheld_number_matches_nobody(session: Session, cast: Cast) -> None:
    create_caller(session, cast.hill.clinic, number=None)
    assert match_caller(session, cast.hill.clinic.id, None) == []
