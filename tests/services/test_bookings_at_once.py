"""However many people book at the same moment, nobody's time is given away twice."""

import itertools
import multiprocessing
import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.bookings import BookingState
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.errors import Conflict
from callcenter.models import Booking, BookingSlot, Clinic
from callcenter.services.bookings import (
    cancel_booking,
    make_booking,
    move_booking,
)
from tests.cast import create_cast
from tests.factories import NOW, create_practitioner, create_service
from tests.services.test_bookings import TEN


@pytest.fixture
def diary(engine: Engine) -> tuple[Engine, str, list[str], str]:
    """A clinic with two practitioners and a service of 25 minutes, committed."""
    with transaction(engine) as session:
        hill = create_cast(session).hill
        people = [hill.practitioner.id, create_practitioner(session, hill.clinic).id]
        service = create_service(session, hill.clinic, minutes=25)
    return engine, hill.clinic.id, people, service.id


Wish = tuple[int, int, int]
"""Practitioner, five-minute grain after ten, and where it moves to later (or -1: cancel)."""

wishes = st.lists(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 14), st.integers(-1, 14)), min_size=1, max_size=4),
    min_size=2, max_size=4,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes)
def test_whoever_books_moves_and_cancels_at_once_no_two_bookings_overlap(
    diary: tuple[Engine, str, list[str], str], wanted: list[list[Wish]]
) -> None:
    engine, clinic_id, people, service_id = diary
    strange: list[BaseException] = []

    def work(own: list[Wish]) -> None:
        try:
            for practitioner, start, target in own:
                _book_then_change(
                    engine, clinic_id, people[practitioner], people[target % 2], service_id, start, target
                )
        except BaseException as problem:
            strange.append(problem)

    threads = [threading.Thread(target=work, args=(own,)) for own in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert strange == []
    _assert_no_overlap(engine)


def _book_then_change(
    engine: Engine, clinic_id: str, practitioner_id: str, other_id: str, service_id: str, start: int, target: int
) -> None:
    try:
        with transaction(engine) as session:
            booking = make_booking(
                session,
                session.get_one(Clinic, clinic_id),
                practitioner_id=practitioner_id,
                service_id=service_id,
                starts_at=TEN + timedelta(minutes=5 * start),
                caller_name="Ann",
                caller_number="+447700900123",
                actor=COMMAND_LINE,
                now=NOW,
            )
        with transaction(engine) as session:
            booking = session.get_one(Booking, booking.id)
            if target < 0:
                cancel_booking(session, booking, version=1, actor=COMMAND_LINE, now=NOW)
            else:
                to = TEN + timedelta(minutes=5 * target)
                move_booking(
                    session, booking, version=1, starts_at=to, practitioner_id=other_id, actor=COMMAND_LINE, now=NOW
                )
    except Conflict as refusal:
        if refusal.code != "slot_taken":
            raise


def _assert_no_overlap(engine: Engine) -> None:
    spans = select(Booking.practitioner_id, Booking.starts_at, Booking.ends_at).where(
        Booking.state == BookingState.BOOKED
    )
    with reading(engine) as session:
        booked = session.execute(spans.order_by(Booking.practitioner_id, Booking.starts_at)).all()
        slots = session.scalar(select(func.count()).select_from(BookingSlot))
    for earlier, later in itertools.pairwise(booked):
        assert earlier.practitioner_id != later.practitioner_id or earlier.ends_at <= later.starts_at
    assert slots == 5 * len(booked)


def test_processes_that_want_the_same_times_get_each_of_them_once(
    diary: tuple[Engine, str, list[str], str], database_url: str
) -> None:
    engine, clinic_id, people, service_id = diary
    wanted = (database_url, clinic_id, people[0], service_id)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        booked = pool.starmap(_book_a_morning, [wanted] * 4, chunksize=1)
    assert sum(booked) == MORNING
    _assert_no_overlap(engine)


MORNING = 6
"""Bookings of 25 minutes that every process wants."""


def _book_a_morning(database_url: str, clinic_id: str, practitioner_id: str, service_id: str) -> int:
    """In a process of its own: take what is still free; answers how many bookings that were."""
    engine = create_engine_for(database_url)
    booked = 0
    for number in range(MORNING):
        try:
            with transaction(engine) as session:
                make_booking(
                    session,
                    session.get_one(Clinic, clinic_id),
                    practitioner_id=practitioner_id,
                    service_id=service_id,
                    starts_at=TEN + timedelta(minutes=25 * number),
                    caller_name="Ann",
                    caller_number="+447700900123",
                    actor=COMMAND_LINE,
                    now=NOW,
                )
            booked += 1
        except Conflict:
            continue
    engine.dispose()
    return booked
