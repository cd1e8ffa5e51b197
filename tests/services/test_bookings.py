"""Bookings: made, moved, cancelled, listed; free times; nobody's time is given away twice."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from callcenter.domain.bookings import BookingState, LinkAction
from callcenter.domain.permissions import COMMAND_LINE, Actor
from callcenter.domain.receptionists import Role
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Booking, BookingSlot, Caller
from callcenter.services.bookings import (
    booking_history,
    cancel_booking,
    change_note,
    find_booking,
    make_booking,
    move_booking,
)
from callcenter.services.diary import booking_details, list_bookings
from tests.cast import Cast, Staff, create_cast
from tests.factories import NOW, create_opening_band, create_practitioner

TEN = NOW + timedelta(days=1, hours=1)


@pytest.fixture
def cast(session: Session) -> Cast:
    return create_cast(session)


@pytest.fixture
def hill(cast: Cast) -> Staff:
    return cast.hill


def book(session: Session, staff: Staff, **changes: Any) -> Booking:
    """A booking at ten for Ann, with whatever is changed."""
    values: dict[str, Any] = {
        "practitioner_id": staff.practitioner.id,
        "service_id": staff.service.id,
        "starts_at": TEN,
        "caller_name": "Ann Archer",
        "caller_number": "07700 900123",
        "actor": COMMAND_LINE,
        "now": NOW,
    }
    return make_booking(session, staff.clinic, **values | changes)


def test_a_booking_lasts_as_long_as_its_service(session: Session, hill: Staff) -> None:
    booking = book(session, hill)
    assert (booking.starts_at, booking.ends_at, booking.state) == (
        TEN,
        TEN + timedelta(minutes=30),
        BookingState.BOOKED,
    )


def test_a_booking_shows_its_caller_as_she_is_now(session: Session, hill: Staff) -> None:
    booking = book(session, hill)
    session.get_one(Caller, booking.caller_id).name = "Ann Baker"
    session.flush()
    assert booking_details(session, booking).caller_name == "Ann Baker"


def test_a_caller_who_books_twice_is_one_caller(session: Session, hill: Staff) -> None:
    first, second = book(session, hill), book(session, hill, starts_at=TEN + timedelta(hours=1))
    assert first.caller_id == second.caller_id


def test_people_who_share_a_number_are_different_callers(session: Session, hill: Staff) -> None:
    first = book(session, hill)
    second = book(session, hill, starts_at=TEN + timedelta(hours=1), caller_name="Ben Archer")
    assert first.caller_id != second.caller_id


def test_a_booking_fills_in_an_email_address_and_never_replaces_one(session: Session, hill: Staff) -> None:
    caller = session.get_one(Caller, book(session, hill).caller_id)
    for hour, given in enumerate(("ann@example.org", "somebody@example.org"), start=1):
        book(session, hill, starts_at=TEN + timedelta(hours=hour), caller_email=given)
    assert (caller.email, caller.version) == ("ann@example.org", 2)


def test_callers_without_a_number_are_never_joined_by_name(session: Session, hill: Staff) -> None:
    first = book(session, hill, caller_number=None)
    second = book(session, hill, starts_at=TEN + timedelta(hours=1), caller_number=None)
    assert first.caller_id != second.caller_id


def test_the_same_person_at_another_clinic_is_another_caller(session: Session, cast: Cast) -> None:
    assert book(session, cast.hill).caller_id != book(session, cast.lake).caller_id


@pytest.mark.parametrize("minutes", [-25, 0, 25])
def test_an_overlapping_booking_is_refused(session: Session, hill: Staff, minutes: int) -> None:
    book(session, hill)
    with pytest.raises(Conflict) as refusal:
        book(session, hill, starts_at=TEN + timedelta(minutes=minutes), caller_name="Ben")
    assert refusal.value.code == "slot_taken"


def test_a_refused_booking_leaves_nothing_behind(session: Session, hill: Staff) -> None:
    book(session, hill)
    with pytest.raises(Conflict):
        book(session, hill, caller_name="Somebody new")
    counts = [session.scalar(select(func.count()).select_from(table)) for table in (Booking, Caller)]
    assert counts == [1, 1]


@pytest.mark.parametrize("minutes", [-30, 30])
def test_bookings_may_touch(session: Session, hill: Staff, minutes: int) -> None:
    book(session, hill)
    assert book(session, hill, starts_at=TEN + timedelta(minutes=minutes))


def test_two_practitioners_work_at_the_same_time(session: Session, hill: Staff) -> None:
    book(session, hill)
    assert book(session, hill, practitioner_id=create_practitioner(session, hill.clinic).id)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"starts_at": TEN + timedelta(minutes=3)}, "multiple of 5 minutes"),
        ({"starts_at": TEN + timedelta(microseconds=1)}, "multiple of 5 minutes"),
        ({"starts_at": NOW - timedelta(minutes=65)}, "not be in the past"),
        ({"starts_at": NOW + timedelta(days=731)}, "within 730 days"),
        ({"starts_at": datetime(2026, 3, 3, 10)}, "time zone"),  # noqa: DTZ001 - the point
        ({"caller_name": " "}, "name must not be empty"),
        ({"caller_name": "x" * 121}, "at most 120 characters"),
        ({"caller_name": "A\x00nn"}, "control characters"),
        ({"caller_number": "12"}, "must be a telephone number"),
        ({"caller_number": "+266696687"}, "must be a telephone number"),
        ({"caller_email": "nowhere"}, "email address"),
        ({"note": "x" * 301}, "at most 300 characters"),
        ({"note": "pays with 4111 1111 1111 1111"}, "card number"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    session: Session, hill: Staff, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        book(session, hill, **changes)


def test_a_booking_may_be_entered_while_it_is_going_on(session: Session, hill: Staff) -> None:
    assert book(session, hill, starts_at=NOW - timedelta(minutes=30))


@pytest.mark.parametrize("field", ["practitioner", "service"])
def test_what_belongs_to_another_clinic_is_not_found(session: Session, cast: Cast, field: str) -> None:
    with pytest.raises(NotFound):
        book(session, cast.hill, **{f"{field}_id": getattr(cast.lake, field).id})


@pytest.mark.parametrize("field", ["practitioner", "service"])
def test_what_was_disabled_cannot_be_booked(session: Session, hill: Staff, field: str) -> None:
    getattr(hill, field).disabled_at = NOW
    with pytest.raises(NotFound):
        book(session, hill)


def test_a_booking_must_lie_within_opening_hours(session: Session, hill: Staff) -> None:
    create_opening_band(session, hill.clinic, TEN.weekday(), 9 * 60, 10 * 60 + 15)
    with pytest.raises(BadInput, match="opening hours"):
        book(session, hill)
    assert book(session, hill, starts_at=TEN - timedelta(minutes=15))


def test_moving_frees_the_old_time_and_takes_the_new(session: Session, hill: Staff) -> None:
    booking = book(session, hill)
    move_booking(session, booking, version=1, starts_at=TEN + timedelta(minutes=15), actor=COMMAND_LINE, now=NOW)
    assert (booking.starts_at, booking.version) == (TEN + timedelta(minutes=15), 2)
    assert book(session, hill, starts_at=TEN - timedelta(minutes=15), caller_name="Ben")


def test_a_booking_can_move_to_another_practitioner(session: Session, hill: Staff) -> None:
    booking, other = book(session, hill), create_practitioner(session, hill.clinic)
    move_booking(session, booking, version=1, starts_at=TEN, practitioner_id=other.id, actor=COMMAND_LINE, now=NOW)
    assert booking.practitioner_id == other.id
    assert book(session, hill, caller_name="Ben")


def test_moving_onto_another_booking_is_refused_and_changes_nothing(session: Session, hill: Staff) -> None:
    book(session, hill)
    booking = book(session, hill, starts_at=TEN + timedelta(hours=1), caller_name="Ben")
    with pytest.raises(Conflict) as refusal:
        move_booking(session, booking, version=1, starts_at=TEN, actor=COMMAND_LINE, now=NOW)
    session.refresh(booking)
    slots = session.scalar(select(func.count()).where(BookingSlot.booking_id == booking.id))
    assert (refusal.value.code, booking.version, booking.starts_at, slots) == (
        "slot_taken", 1, TEN + timedelta(hours=1), 6,
    )  # fmt: skip


def test_cancelling_frees_the_time(session: Session, hill: Staff) -> None:
    booking = book(session, hill)
    cancel_booking(session, booking, version=1, actor=COMMAND_LINE, now=NOW)
    assert booking.state == BookingState.CANCELLED
    assert book(session, hill, caller_name="Ben")


CHANGES: dict[str, Callable[[Session, Booking, int], object]] = {
    "move": lambda s, b, v: move_booking(
        s, b, version=v, starts_at=TEN + timedelta(hours=2), actor=COMMAND_LINE, now=NOW
    ),
    "cancel": lambda s, b, v: cancel_booking(s, b, version=v, actor=COMMAND_LINE, now=NOW),
    "note": lambda s, b, v: change_note(s, b, version=v, note="prefers mornings"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_edit_is_refused(session: Session, hill: Staff, change: str) -> None:
    booking = book(session, hill)
    change_note(session, booking, version=1, note="a step-free room")
    with pytest.raises(Conflict) as refusal:
        CHANGES[change](session, booking, 1)
    assert refusal.value.code == "conflict"


@pytest.mark.parametrize("change", CHANGES)
def test_a_cancelled_booking_stays_cancelled(session: Session, hill: Staff, change: str) -> None:
    booking = book(session, hill)
    cancel_booking(session, booking, version=1, actor=COMMAND_LINE, now=NOW)
    with pytest.raises(Conflict) as refusal:
        CHANGES[change](session, booking, 2)
    assert refusal.value.code == "wrong_state"


def test_the_history_says_who_did_what(session: Session, hill: Staff) -> None:
    booking = book(session, hill)
    later = TEN + timedelta(hours=1)
    move_booking(session, booking, version=1, starts_at=later, actor=COMMAND_LINE, now=NOW)
    cancel_booking(session, booking, version=2, actor=COMMAND_LINE, now=NOW)
    history = [(h.action, h.starts_at_before, h.starts_at_after) for h in booking_history(session, booking)]
    assert history == [
        (LinkAction.BOOKED, None, TEN),
        (LinkAction.MOVED, TEN, later),
        (LinkAction.CANCELLED, later, None),
    ]


def test_a_stranger_finds_no_booking(session: Session, cast: Cast) -> None:
    booking = book(session, cast.hill)
    lake = Actor("lake", Role.CLINIC_MANAGER, frozenset({cast.lake.clinic.id}))
    with pytest.raises(NotFound):
        find_booking(session, booking.id, lake)
    assert list_bookings(session, lake).items == []
