"""The call log over the API."""

import base64
from datetime import timedelta

import pytest

from callcenter.db import transaction
from callcenter.domain.bookings import LinkAction
from callcenter.domain.calls import CallState, Disposition, OfferState, Outcome
from callcenter.models import BookingLink, Search
from tests.factories import NOW, create_answered_call, create_booking_link, create_call, create_offer
from tests.web.conftest import SetClock
from tests.web.world import World


def test_a_manager_reads_the_newest_calls_of_her_clinic_first(world: World) -> None:
    answer = world.get("hill_manager", "/calls")
    assert answer.status_code == 200
    assert [call["id"] for call in answer.json["items"]] == [world.hill.live_call.id, world.hill.ended_call.id]


def test_a_call_is_shown_as_the_contract_says(world: World) -> None:
    call = world.get("hill_manager", f"/calls/{world.hill.ended_call.id}").json
    assert call["clinic"] == "hill"
    assert call["from"] == {"number": "+447700900123", "display": "07700 900123", "withheld": False}
    assert (call["state"], call["outcome"], call["turn"], call["linked"]) == ("ended", "answered", 1, False)
    assert call["started_at"] == "2026-03-02T09:00:00Z"
    assert call["timings"] == {
        "wait_seconds": 12.0,
        "talk_seconds": 100.0,
        "hold_seconds": 0.0,
        "wrap_up_seconds": None,
    }
    assert [recording["id"] for recording in call["recordings"]] == [world.hill.recording.id]


def test_the_spans_of_a_live_call_run_on(world: World) -> None:
    timings = world.get("rosie", f"/calls/{world.hill.live_call.id}").json["timings"]
    assert timings["wait_seconds"] == 25.0
    assert 30 <= timings["talk_seconds"] < 60


def test_pages_follow_each_other_without_gap_or_repeat(world: World) -> None:
    with transaction(world.engine) as session:
        for minute in range(5):
            create_call(session, world.hill.clinic, started_at=NOW - timedelta(minutes=minute))
    seen, cursor = [], ""
    while cursor is not None:
        page = world.get("hill_manager", f"/calls?limit=2{cursor and '&cursor='}{cursor}").json
        seen += [call["id"] for call in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 7


BEFORE_ALL_TIME = base64.urlsafe_b64encode(b"0001-01-01T00:00:00+14:00 abc").decode()


@pytest.mark.parametrize("cursor", ["nonsense", "MjAyNiB4", "====", "AAAA", BEFORE_ALL_TIME])
def test_a_cursor_that_nobody_gave_is_refused(small_world: World, cursor: str) -> None:
    answer = small_world.get("hill_manager", f"/calls?cursor={cursor}")
    assert (answer.status_code, answer.json["code"]) == (422, "bad_input")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("outcome=answered", ["ended_call"]),
        ("outcome=abandoned", []),
        ("linked=false", ["ended_call"]),
        ("linked=true", []),
        ("from=2026-03-02T09:30:00Z", ["live_call"]),
        ("to=2026-03-02T09:30:00Z", ["ended_call"]),
        ("from=2026-03-02T09:00:00Z&to=2026-03-02T09:00:00Z", []),
        ("clinic=hill", ["live_call", "ended_call"]),
        ("receptionist=nobody", []),
    ],
)
def test_filters_narrow_the_list(world: World, filters: str, expected: list[str]) -> None:
    found = world.get("hill_manager", f"/calls?{filters}").json["items"]
    assert [call["id"] for call in found] == [getattr(world.hill, name).id for name in expected]


@pytest.mark.parametrize(
    "filters",
    ["limit=0", "limit=201", "limit=x", "outcome=lost", "linked=perhaps", "from=yesterday", "from=2026-03-02",
     "to=1700000000", "from=0001-01-01T00:00:00%2B14:00", "clinic=%00", "unknown=1", "cursor=%00"],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused_in_one_sentence(small_world: World, filters: str) -> None:
    answer = small_world.get("hill_manager", f"/calls?{filters}")
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert answer.json["errors"][0]["field"] == filters.split("=", maxsplit=1)[0]


def test_a_receptionist_sees_the_calls_she_handled_and_the_one_she_is_offered(world: World) -> None:
    with transaction(world.engine) as session:
        offered = create_call(session, world.hill.clinic, state=CallState.QUEUED, started_at=NOW)
        create_offer(session, offered, world.cast.robin)
        declined = create_call(session, world.hill.clinic, state=CallState.QUEUED, started_at=NOW)
        create_offer(session, declined, world.cast.robin, state=OfferState.DECLINED)
    assert [call["id"] for call in world.get("robin", "/calls").json["items"]] == [offered.id]
    assert world.get("robin", f"/calls/{declined.id}").status_code == 404
    assert len(world.get("rosie", "/calls").json["items"]) == 4


def test_the_operator_sees_ids_and_states_and_nobody_s_number(world: World) -> None:
    world.change(world.hill.ended_call, disposition=Disposition.BOOKED, disposition_reason="Mrs Miller asked")
    with transaction(world.engine) as session:
        create_booking_link(session, world.hill.ended_call, world.hill.booking, LinkAction.BOOKED)
        create_offer(session, world.hill.ended_call, world.cast.rosie, state=OfferState.ACCEPTED)
    answer = world.get("operator", f"/calls/{world.hill.ended_call.id}")
    assert answer.json["from"] == {"number": None, "display": None, "withheld": False}
    assert {answer.json[name] for name in ("carrier_call_sid", "receptionist_id", "disposition", "reason")} == {None}
    assert set(answer.json["timings"].values()) == {None}
    assert [offer["receptionist_id"] for offer in answer.json["offers"]] == [None]
    assert [link["action"] for link in answer.json["booking_links"]] == [None]
    ((recording,),) = [answer.json["recordings"]]
    assert {recording[name] for name in ("carrier_recording_sid", "sha256", "size_bytes", "duration_seconds")} == {None}
    assert b"900123" not in answer.data
    assert (answer.json["state"], answer.json["outcome"], answer.json["linked"]) == ("ended", "answered", True)
    assert world.entries() == []


def test_a_withheld_number_is_shown_as_withheld(world: World) -> None:
    world.change(world.hill.ended_call, from_number=None)
    call = world.get("hill_manager", f"/calls/{world.hill.ended_call.id}").json
    assert call["from"] == {"number": None, "display": "withheld", "withheld": True}


def test_a_number_that_was_blanked_is_not_called_withheld(world: World) -> None:
    world.change(world.hill.ended_call, from_number=None, blanked_at=NOW)
    call = world.get("hill_manager", f"/calls/{world.hill.ended_call.id}").json
    assert call["from"] == {"number": None, "display": None, "withheld": False}


@pytest.mark.parametrize("number", ["+447700900123", "07700 900123", "+44 7700 900-123"])
def test_a_search_finds_a_number_however_it_is_typed(world: World, number: str) -> None:
    found = world.post("hill_manager", "/calls/search", {"number": number}).json
    assert len(found["items"]) == 2


def test_a_search_finds_a_caller_s_name_and_not_that_of_another_clinic(world: World) -> None:
    assert len(world.post("hill_manager", "/calls/search", {"q": "cal ler"}).json["items"]) == 1
    assert world.post("hill_manager", "/calls/search", {"q": "lake"}).json["items"] == []
    assert world.post("hill_manager", "/calls/search", {"q": "%"}).json["items"] == []


def test_a_search_can_be_repeated_by_its_id_and_only_by_its_owner(world: World) -> None:
    search = world.post("hill_manager", "/calls/search", {"outcome": "answered", "number": "07700900123"}).json[
        "search"
    ]
    assert [call["outcome"] for call in world.get("hill_manager", f"/calls?search={search}").json["items"]] == [
        "answered"
    ]
    assert world.get("supervisor", f"/calls?search={search}").status_code == 404


def test_a_search_id_dies_after_a_day(world: World, set_clock: SetClock) -> None:
    search = world.post("hill_manager", "/calls/search", {}).json["search"]
    set_clock(NOW + timedelta(hours=26))
    assert world.get("hill_manager", f"/calls?search={search}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{"number": "ring me"}, {"number": "\x00"}, {"q": "x" * 101}, {"q": "a\x00b"}, {"limit": 0}, {"clinic_id": "x"},
     {"q": 7}, {"cursor": "nonsense"}, {"from": "2026-03-02"}],
)  # fmt: skip
def test_a_search_that_makes_no_sense_is_refused_and_not_kept(world: World, body: object) -> None:
    assert world.post("hill_manager", "/calls/search", body).status_code == 422
    assert world.count(Search) == 0


def test_the_operator_may_not_search_for_people(world: World) -> None:
    assert world.post("operator", "/calls/search", {"number": "+447700900123"}).status_code == 403


def test_a_view_a_list_and_a_search_leave_one_entry_each(world: World) -> None:
    world.post("hill_manager", "/calls/search", {})
    world.get("hill_manager", "/calls")
    world.get("hill_manager", f"/calls/{world.hill.ended_call.id}")
    entries = world.entries()
    assert [action for _, action, _, _ in entries] == ["calls.searched", "calls.listed", "call.viewed"]
    assert {clinic for *_, clinic in entries} == {world.hill.clinic.id}
    assert len({actor for actor, *_ in entries}) == 1


def test_filing_a_disposition_takes_the_call_from_the_unlinked_list(world: World) -> None:
    answer = world.put("rosie", f"/calls/{world.hill.ended_call.id}/disposition", {"disposition": "enquiry"})
    assert (answer.status_code, answer.json["disposition"], answer.json["linked"]) == (200, "enquiry", True)
    assert world.get("hill_manager", "/calls?linked=false").json["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"disposition": "other"}, 422, "bad_input"),
        ({"disposition": "lunch"}, 422, "bad_input"),
        ({"disposition": "booked"}, 409, "booking_link_required"),
        ({"disposition": "other", "reason": "4111 1111 1111 1111"}, 422, "bad_input"),
        ({"disposition": "enquiry", "outcome": "answered"}, 422, "bad_input"),
        ({}, 422, "bad_input"),
    ],
)
def test_a_disposition_that_cannot_be_is_refused_and_changes_nothing(
    small_world: World, body: object, status: int, code: str
) -> None:
    answer = small_world.put("rosie", f"/calls/{small_world.hill.ended_call.id}/disposition", body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert small_world.get("rosie", f"/calls/{small_world.hill.ended_call.id}").json["disposition"] is None


def test_a_call_that_only_rings_for_her_can_be_seen_and_not_filed(world: World) -> None:
    with transaction(world.engine) as session:
        offered = create_call(session, world.hill.clinic, state=CallState.QUEUED, started_at=NOW)
        create_offer(session, offered, world.cast.robin)
    path = f"/calls/{offered.id}"
    assert world.get("robin", path).status_code == 200
    link = {"booking_id": world.hill.booking.id, "action": "enquiry"}
    assert world.put("robin", f"{path}/disposition", {"disposition": "enquiry"}).status_code == 403
    assert world.post("robin", f"{path}/booking-links", link).status_code == 403
    assert world.post("robin", f"{path}/recording/refuse").status_code == 403


def test_a_call_whose_personal_details_are_gone_takes_no_new_ones(world: World) -> None:
    world.change(world.hill.ended_call, blanked_at=NOW)
    body = {"disposition": "other", "reason": "Mrs Miller asked"}
    answer = world.put("hill_manager", f"/calls/{world.hill.ended_call.id}/disposition", body)
    assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")


def test_linking_a_booking_twice_is_one_link(world: World) -> None:
    body = {"booking_id": world.hill.booking.id, "action": "booked"}
    first, second = (world.post("rosie", f"/calls/{world.hill.ended_call.id}/booking-links", body) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json["id"] == second.json["id"]
    call = world.get("rosie", f"/calls/{world.hill.ended_call.id}").json
    assert (call["linked"], call["disposition"], len(call["booking_links"])) == (True, "booked", 1)
    assert [found["id"] for found in world.get("hill_manager", "/calls?linked=true").json["items"]] == [call["id"]]


@pytest.mark.parametrize("booking_id", ["lake", "0" * 32, "nothing"])
def test_a_booking_of_another_clinic_cannot_be_linked(world: World, booking_id: str) -> None:
    body = {"booking_id": world.lake.booking.id if booking_id == "lake" else booking_id, "action": LinkAction.ENQUIRY}
    assert world.post("rosie", f"/calls/{world.hill.ended_call.id}/booking-links", body).status_code == 404
    assert world.count(BookingLink) == 0


def test_unanswered_calls_are_not_on_the_unlinked_list(world: World) -> None:
    with transaction(world.engine) as session:
        create_answered_call(session, world.hill.clinic, outcome=Outcome.ABANDONED, connected_at=None, needs_link=False)
    assert len(world.get("hill_manager", "/calls?linked=false").json["items"]) == 1
