"""Bookings, free times, practitioners, services and callers over the API."""

from typing import Any

import pytest

from callcenter.models import Booking, Practitioner, Service
from tests.web.world import World


def wish(world: World, **changes: Any) -> dict[str, Any]:
    staff = world.hill.staff
    return {
        "clinic": "hill",
        "practitioner_id": staff.practitioner.id,
        "service_id": staff.service.id,
        "starts_at": "2026-03-05T09:00:00Z",
        "caller_name": "Ada Lovelace",
        "caller_number": "01632 960999",
        "note": "First visit",
        **changes,
    }


def test_a_receptionist_books_a_caller_in(world: World) -> None:
    answer = world.post("rosie", "/bookings", wish(world))
    assert answer.status_code == 201
    booking = world.get("rosie", f"/bookings/{answer.json['id']}").json
    assert (booking["clinic"], booking["caller_name"], booking["caller_number"]) == (
        "hill",
        "Ada Lovelace",
        "+441632960999",
    )
    assert (booking["starts_at"], booking["ends_at"]) == ("2026-03-05T09:00:00Z", "2026-03-05T09:30:00Z")
    assert (booking["state"], booking["version"]) == ("booked", 1)


def test_a_time_in_another_zone_is_stored_in_utc(world: World) -> None:
    booking = world.post("rosie", "/bookings", wish(world, starts_at="2026-03-05T11:00:00+02:00")).json
    assert booking["starts_at"] == "2026-03-05T09:00:00Z"


def test_two_bookings_never_overlap(world: World) -> None:
    world.post("rosie", "/bookings", wish(world))
    answer = world.post("rosie", "/bookings", wish(world, starts_at="2026-03-05T09:25:00Z"))
    assert (answer.status_code, answer.json["code"]) == (409, "slot_taken")
    assert world.count(Booking) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"starts_at": "2026-03-05"},
        {"starts_at": "2026-03-05T09:02:00Z"},
        {"starts_at": "2025-03-05T09:00:00Z"},
        {"starts_at": 1772700000},
        {"caller_name": ""},
        {"caller_name": "x" * 121},
        {"caller_name": "a\u202eb"},
        {"caller_name": "a\x00b"},
        {"caller_name": None},
        {"caller_number": "ring me"},
        {"note": "x" * 301},
        {"note": "card 4111-1111-1111-1111"},
        {"practitioner_id": "a b"},
        {"diagnosis": "flu"},
        {"clinic_id": "x"},
        {"state": "booked"},
    ],
)
def test_a_booking_that_cannot_be_is_refused_and_changes_nothing(small_world: World, changes: dict[str, Any]) -> None:
    answer = small_world.post("rosie", "/bookings", wish(small_world, **changes))
    assert (answer.status_code, answer.json["code"]) == (422, "bad_input")
    assert answer.json["detail"]
    assert small_world.count(Booking) == 2


@pytest.mark.parametrize("field", ["clinic", "practitioner_id", "service_id"])
def test_a_booking_with_a_foreign_or_unknown_part_is_not_found(world: World, field: str) -> None:
    lake = world.lake.staff
    foreign = {"clinic": "lake", "practitioner_id": lake.practitioner.id, "service_id": lake.service.id}
    for value in (foreign[field], "unknown"):
        assert world.post("robin", "/bookings", wish(world, **{field: value})).status_code == 404
    assert world.count(Booking) == 2


def test_a_booking_is_moved_and_cancelled_by_its_version(world: World) -> None:
    path = f"/bookings/{world.hill.booking.id}"
    moved = world.patch("rosie", path, {"version": 1, "starts_at": "2026-03-06T10:00:00Z"})
    assert (moved.status_code, moved.json["starts_at"], moved.json["version"]) == (200, "2026-03-06T10:00:00Z", 2)
    stale = world.patch("rosie", path, {"version": 1, "state": "cancelled"})
    assert (stale.status_code, stale.json["code"]) == (409, "conflict")
    assert world.patch("rosie", path, {"version": 2, "state": "cancelled"}).json["state"] == "cancelled"
    again = world.patch("rosie", path, {"version": 3, "state": "cancelled"})
    assert (again.status_code, again.json["code"]) == (409, "wrong_state")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 1},
        {"version": 0, "note": "x"},
        {"version": 1, "state": "booked"},
        {"starts_at": "2026-03-06T10:00:00Z"},
        {"version": 1, "note": "x", "state": "cancelled"},
        {"version": 10**30, "note": "x"},
        {"version": 1, "caller_id": "x"},
    ],
)
def test_a_change_that_makes_no_sense_is_refused(small_world: World, body: dict[str, Any]) -> None:
    answer = small_world.patch("rosie", f"/bookings/{small_world.hill.booking.id}", body)
    assert answer.status_code == 422
    assert small_world.get("rosie", f"/bookings/{small_world.hill.booking.id}").json["version"] == 1


def test_bookings_are_listed_by_start_and_period(world: World) -> None:
    world.post("rosie", "/bookings", wish(world))
    both = world.get("hill_viewer", "/bookings").json["items"]
    assert [booking["starts_at"] for booking in both] == ["2026-03-03T10:00:00Z", "2026-03-05T09:00:00Z"]
    later = world.get("hill_viewer", "/bookings?from=2026-03-04T00:00:00Z&clinic=hill").json["items"]
    assert [booking["starts_at"] for booking in later] == ["2026-03-05T09:00:00Z"]
    first = world.get("hill_viewer", "/bookings?limit=1").json
    assert world.get("hill_viewer", f"/bookings?limit=1&cursor={first['next']}").json["items"] == later


def test_free_times_leave_out_what_is_taken(world: World) -> None:
    period = "from=2026-03-03T09:30:00Z&to=2026-03-03T11:00:00Z"
    slots = world.get("rosie", f"/bookings/slots?clinic=hill&service_id={world.hill.staff.service.id}&{period}").json
    assert [slot["starts_at"][11:16] for slot in slots["items"]] == ["09:30", "10:30"]


@pytest.mark.parametrize("period", ["from=2026-03-03T09:30:00Z", "from=2026-03-04T00:00:00Z&to=2026-03-03T00:00:00Z",
                                    "from=2026-03-03T00:00:00Z&to=2026-06-03T00:00:00Z"])  # fmt: skip
def test_a_search_for_free_times_needs_a_sensible_period(small_world: World, period: str) -> None:
    service = small_world.hill.staff.service.id
    answer = small_world.get("rosie", f"/bookings/slots?clinic=hill&service_id={service}&{period}")
    assert (answer.status_code, answer.json["code"]) == (422, "bad_input")


@pytest.mark.parametrize("who", ["hill_manager", "operator"])
def test_adding_practitioners_and_services_is_written_down(world: World, who: str) -> None:
    added = [
        world.post(who, "/practitioners", {"clinic": "hill", "name": "Dr Who"}).json["id"],
        world.post(who, "/services", {"clinic": "hill", "name": "Check", "minutes": 15}).json["id"],
    ]
    clinic = world.hill.clinic.id
    assert [entry[1:] for entry in world.entries()] == [
        ("practitioner.added", added[0], clinic),
        ("service.added", added[1], clinic),
    ]


def test_a_manager_adds_practitioners_and_services(world: World) -> None:
    assert world.post("hill_manager", "/practitioners", {"clinic": "hill", "name": "Dr New"}).status_code == 201
    service = world.post("hill_manager", "/services", {"clinic": "hill", "name": "Long visit", "minutes": 60})
    assert (service.status_code, service.json["minutes"]) == (201, 60)
    names = [row["name"] for row in world.get("rosie", "/practitioners?clinic=hill").json["items"]]
    assert names == ["Dr Hill", "Dr New"]
    assert len(world.get("rosie", "/services?clinic=hill").json["items"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/practitioners", {"clinic": "hill", "name": "Dr Hill"}, 409),
        ("/practitioners", {"clinic": "hill", "name": " "}, 422),
        ("/practitioners", {"clinic": "hill"}, 422),
        ("/practitioners", {"clinic": "hill", "name": "x" * 501}, 422),
        ("/services", {"clinic": "hill", "name": "Odd", "minutes": 7}, 422),
        ("/services", {"clinic": "hill", "name": "Big", "minutes": 10**40}, 422),
        ("/services", {"clinic": "hill", "name": "Consultation", "minutes": 10}, 409),
        ("/services", {"clinic": "lake", "name": "Foreign", "minutes": 10}, 404),
    ],
)
def test_what_cannot_be_added_is_refused(world: World, path: str, body: dict[str, Any], status: int) -> None:
    assert world.post("hill_manager", path, body).status_code == status
    assert (world.count(Practitioner), world.count(Service)) == (2, 2)


def test_callers_are_those_of_the_clinic(world: World) -> None:
    page = world.get("rosie", "/callers?clinic=hill").json
    assert [(caller["name"], caller["display"]) for caller in page["items"]] == [("Cal Ler hill", "07700 900123")]
    assert [entry[1] for entry in world.entries()] == ["callers.listed"]
