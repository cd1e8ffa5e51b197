"""The diary in pages, and what is still free in it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from callcenter.domain.permissions import COMMAND_LINE
from callcenter.errors import BadInput, CallcenterError, NotFound
from callcenter.services.diary import free_slots, list_bookings
from tests.cast import Cast, Staff, create_cast
from tests.factories import NOW, create_booking, create_opening_band
from tests.services.test_bookings import TEN, book


@pytest.fixture
def cast(session: Session) -> Cast:
    return create_cast(session)


@pytest.fixture
def hill(cast: Cast) -> Staff:
    return cast.hill


def test_pages_show_every_booking_once_and_in_order(session: Session, cast: Cast) -> None:
    for staff in (cast.hill, cast.lake):
        for hour in range(4):
            book(session, staff, starts_at=TEN + timedelta(hours=hour))
    session.commit()
    seen, cursor = [], None
    while True:
        page = list_bookings(session, COMMAND_LINE, limit=3, cursor=cursor)
        seen += [(row.booking.starts_at, row.booking.id) for row in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == 8
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "bm90aGluZw==", "é", "MjAyNi0wMS0wMSBhYg=="])
def test_a_cursor_that_is_not_ours_is_refused(session: Session, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        list_bookings(session, COMMAND_LINE, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_limit_out_of_bounds_is_refused(session: Session, limit: int) -> None:
    with pytest.raises(BadInput, match="limit"):
        list_bookings(session, COMMAND_LINE, limit=limit)


def slots(session: Session, staff: Staff, hours: float, **changes: Any) -> list[datetime]:
    """Starts that are free from ten on for so many hours."""
    values: dict[str, Any] = {"from_at": TEN, "to_at": TEN + timedelta(hours=hours), "now": NOW}
    found = free_slots(session, staff.clinic, service_id=staff.service.id, **values | changes)
    return [slot.starts_at for slot in found]


def test_free_times_leave_out_what_is_booked(session: Session, hill: Staff) -> None:
    create_booking(session, hill.clinic, hill.practitioner, hill.service, starts_at=TEN + timedelta(minutes=30))
    assert slots(session, hill, 2) == [TEN + timedelta(minutes=m) for m in (0, 60, 75, 90)]


def test_free_times_lie_within_opening_hours(session: Session, hill: Staff) -> None:
    create_opening_band(session, hill.clinic, TEN.weekday(), 11 * 60, 11 * 60 + 45)
    assert slots(session, hill, 5) == [TEN + timedelta(minutes=m) for m in (60, 75)]


def test_free_times_are_never_in_the_past(session: Session, hill: Staff) -> None:
    assert slots(session, hill, 1, now=TEN + timedelta(minutes=20)) == [TEN + timedelta(minutes=30)]


def test_every_free_time_can_be_booked(session: Session, hill: Staff) -> None:
    create_booking(session, hill.clinic, hill.practitioner, hill.service, starts_at=TEN + timedelta(minutes=40))
    for start in slots(session, hill, 3):
        savepoint = session.begin_nested()
        assert book(session, hill, starts_at=start)
        savepoint.rollback()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"to_at": TEN}, BadInput),
        ({"to_at": TEN + timedelta(days=32)}, BadInput),
        (
            {"to_at": datetime.max.replace(tzinfo=UTC), "from_at": datetime.max.replace(tzinfo=UTC) - timedelta(1)},
            BadInput,
        ),
        ({"limit": 0}, BadInput),
        ({"practitioner_id": "unknown"}, NotFound),
    ],
)
def test_a_senseless_search_is_refused(
    session: Session, hill: Staff, changes: dict[str, Any], error: type[CallcenterError]
) -> None:
    with pytest.raises(error):
        slots(session, hill, 1, **changes)
