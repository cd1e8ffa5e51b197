"""Who gets in: every route × every role, and what strangers are told."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from callcenter.db import transaction
from callcenter.models import AccessEntry, ApiKey, Assignment, new_id
from callcenter.services.access import revoke_api_key
from tests.web.world import World

RECEPTIONIST, SUPERVISOR, MANAGER, VIEWER, PRIVACY, OPERATOR = PEOPLE = (
    "rosie",
    "supervisor",
    "hill_manager",
    "hill_viewer",
    "privacy_officer",
    "operator",
)
"""One of the hill clinic's people for each role."""
EVERYBODY = frozenset(PEOPLE)
OF_CLINICS = EVERYBODY - {OPERATOR}
ON_THE_LINE = frozenset({RECEPTIONIST, SUPERVISOR})
WRITERS = frozenset({RECEPTIONIST, SUPERVISOR, MANAGER})
WATCHERS = frozenset({RECEPTIONIST, SUPERVISOR, OPERATOR})


@dataclass(frozen=True)
class Route:
    """Who may use a route. ``path`` is filled from the hill clinic's rows; ``body`` may be too."""

    roles: frozenset[str]
    path: str
    body: dict[str, Any] | None = None
    holds_id: bool = field(default=False)


_CALL = "/calls/{call}"
_ONE = "/receptionists/{receptionist}"
_PERIOD = "from=2026-03-03T08:00:00Z&to=2026-03-04T08:00:00Z"

ROUTES: dict[str, Route] = {
    "GET /calls": Route(EVERYBODY, "/calls"),
    "POST /calls/search": Route(OF_CLINICS, "/calls/search", {}),
    "GET /calls/{call_id}": Route(EVERYBODY, _CALL, holds_id=True),
    "POST /calls/{call_id}/booking-links": Route(
        WRITERS, _CALL + "/booking-links", {"booking_id": "{booking}", "action": "enquiry"}, holds_id=True
    ),
    "PUT /calls/{call_id}/disposition": Route(
        WRITERS, _CALL + "/disposition", {"disposition": "enquiry"}, holds_id=True
    ),
    "POST /calls/{call_id}/hold": Route(ON_THE_LINE, _CALL + "/hold", holds_id=True),
    "POST /calls/{call_id}/unhold": Route(ON_THE_LINE, _CALL + "/unhold", holds_id=True),
    "POST /calls/{call_id}/hang-up": Route(ON_THE_LINE, _CALL + "/hang-up", holds_id=True),
    "POST /calls/{call_id}/recording/pause": Route(ON_THE_LINE, _CALL + "/recording/pause", holds_id=True),
    "POST /calls/{call_id}/recording/resume": Route(ON_THE_LINE, _CALL + "/recording/resume", holds_id=True),
    "POST /calls/{call_id}/recording/refuse": Route(ON_THE_LINE, _CALL + "/recording/refuse", holds_id=True),
    "GET /recordings/{recording_id}": Route(EVERYBODY, "/recordings/{recording}", holds_id=True),
    "GET /recordings/{recording_id}/audio": Route(
        frozenset({SUPERVISOR, MANAGER}), "/recordings/{recording}/audio?purpose=quality", holds_id=True
    ),
    "GET /bookings": Route(OF_CLINICS, "/bookings"),
    "POST /bookings": Route(
        WRITERS,
        "/bookings",
        {
            "clinic": "{clinic}",
            "practitioner_id": "{practitioner}",
            "service_id": "{service}",
            "starts_at": "2026-03-05T09:00:00Z",
            "caller_name": "Ada",
        },
        holds_id=True,
    ),
    "GET /bookings/slots": Route(
        OF_CLINICS, "/bookings/slots?clinic={clinic}&service_id={service}&" + _PERIOD, holds_id=True
    ),
    "GET /bookings/{booking_id}": Route(OF_CLINICS, "/bookings/{booking}", holds_id=True),
    "PATCH /bookings/{booking_id}": Route(WRITERS, "/bookings/{booking}", {"version": 1, "note": "x"}, holds_id=True),
    "GET /clinics": Route(EVERYBODY, "/clinics"),
    "POST /clinics": Route(
        frozenset({OPERATOR}),
        "/clinics",
        {"slug": "new", "name": "New", "numbers": ["+441632960077"], "timezone": "Europe/London"},
    ),
    "PUT /clinics/{clinic}/hours": Route(
        frozenset({MANAGER, OPERATOR}),
        "/clinics/{clinic}/hours",
        {"day": "mon", "open": ["08:00-18:00"]},
        holds_id=True,
    ),
    "GET /practitioners": Route(EVERYBODY, "/practitioners?clinic={clinic}", holds_id=True),
    "POST /practitioners": Route(
        frozenset({MANAGER, OPERATOR}), "/practitioners", {"clinic": "{clinic}", "name": "Dr New"}, holds_id=True
    ),
    "GET /services": Route(EVERYBODY, "/services?clinic={clinic}", holds_id=True),
    "POST /services": Route(
        frozenset({MANAGER, OPERATOR}), "/services", {"clinic": "{clinic}", "name": "New", "minutes": 10}, holds_id=True
    ),
    "GET /callers": Route(OF_CLINICS, "/callers?clinic={clinic}", holds_id=True),
    "GET /receptionists": Route(WATCHERS, "/receptionists"),
    "GET /receptionists/{user_id}": Route(WATCHERS, _ONE),
    "PUT /receptionists/{user_id}/presence": Route(WATCHERS, _ONE + "/presence", {"presence": "available"}),
    "POST /receptionists/{user_id}/heartbeat": Route(frozenset({RECEPTIONIST, OPERATOR}), _ONE + "/heartbeat", {}),
    "POST /receptionists/{user_id}/token": Route(frozenset({RECEPTIONIST, OPERATOR}), _ONE + "/token"),
    "POST /receptionists/{user_id}/wrap-up/finish": Route(WATCHERS, _ONE + "/wrap-up/finish"),
    "POST /receptionists/{user_id}/wrap-up/extend": Route(WATCHERS, _ONE + "/wrap-up/extend"),
    "GET /stats": Route(EVERYBODY - {RECEPTIONIST}, "/stats?clinic={clinic}", holds_id=True),
}
OPEN = {"/", "/healthz", "/readyz", "/static/<path:filename>", "/api/v1/openapi.json"}
LOCAL = {"/metrics", "/api/v1/health"}


def fill(value: Any, world: World, desk: str = "hill") -> Any:
    """A path or body with the ids of one clinic's rows."""
    if isinstance(value, dict):
        return {key: fill(inner, world, desk) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    rows = getattr(world, desk)
    return value.format(
        call=rows.live_call.id,
        booking=rows.booking.id,
        recording=rows.recording.id,
        clinic=rows.clinic.slug,
        practitioner=rows.staff.practitioner.id,
        service=rows.staff.service.id,
        receptionist=world.cast.rosie.user_id,
    )


def use(world: World, name: str, who: str | None, desk: str = "hill") -> Any:
    route = ROUTES[name]
    return world.ask(who, name.split(maxsplit=1)[0], fill(route.path, world, desk), json=fill(route.body, world, desk))


def test_the_table_knows_every_route(small_world: World) -> None:
    found = set()
    for rule in small_world.app.url_map.iter_rules():
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in OPEN | LOCAL:
            path = rule.rule.removeprefix("/api/v1").replace("<opaque:", "{").replace(">", "}")
            found |= {f"{method} {path}" for method in methods}
    assert found == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_each_route_is_for_the_roles_of_the_table(small_world: World, name: str) -> None:
    allowed = {who for who in PEOPLE if use(small_world, name, who).status_code not in (401, 403, 404)}
    assert allowed == ROUTES[name].roles


@pytest.mark.parametrize("name", ROUTES)
def test_without_a_key_there_is_nothing(small_world: World, name: str) -> None:
    answer = use(small_world, name, None)
    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.holds_id])
def test_what_belongs_to_another_clinic_looks_like_what_does_not_exist(small_world: World, name: str) -> None:
    role_of_hill = {"rosie": "robin"}  # Rosie answers for both clinics
    for who in ROUTES[name].roles - {OPERATOR}:
        foreign = use(small_world, name, role_of_hill.get(who, who), "lake")
        assert (foreign.status_code, foreign.json["code"]) == (404, "not_found")
        assert foreign.data == small_world.get(who, f"/calls/{new_id()}").data
    assert small_world.count(AccessEntry) == 0


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.holds_id])
def test_somebody_without_a_clinic_finds_nothing(small_world: World, name: str) -> None:
    expected = 404 if MANAGER in ROUTES[name].roles else 403
    assert use(small_world, name, "stranger").status_code == expected


@pytest.mark.parametrize("path", ["/calls/{}", "/recordings/{}", "/recordings/{}/audio?purpose=review", "/bookings/{}"])
def test_random_malformed_and_foreign_ids_get_the_same_answer(world: World, path: str) -> None:
    foreign = {
        "calls": world.lake.ended_call.id,
        "recordings": world.lake.recording.id,
        "bookings": world.lake.booking.id,
    }
    ids = [foreign[path.split("/")[1]], new_id(), "x", "%00", "'", "..", "a" * 65]
    answers = [world.get("hill_manager", path.format(id_)) for id_ in ids]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.data for answer in answers}) == 1


def test_nobody_sees_rows_of_another_clinic_in_a_list(world: World) -> None:
    for path in ("/calls", "/bookings", "/practitioners", "/services", "/callers"):
        for who in PEOPLE[1:5]:
            items = world.get(who, path).json["items"]
            assert items
            assert {item["clinic"] for item in items} == {"hill"}
        assert world.get("stranger", path).json["items"] == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer cck_" + "x" * 43,
        "Basic dXNlcjpwYXNz",
        "cck_x",
        "Bearer \xe4",
    ],
)
def test_what_is_not_a_key_is_refused(world: World, header: str) -> None:
    answer = world.get(None, "/calls", headers={"Authorization": header})
    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")


def test_a_revoked_key_stops_with_the_next_request(world: World) -> None:
    assert world.get("hill_manager", "/calls").status_code == 200
    with transaction(world.engine) as session:
        key = session.scalars(select(ApiKey).where(ApiKey.name == "hill_manager")).one()
        revoke_api_key(session, key.id, now=key.created_at)
    assert world.get("hill_manager", "/calls").status_code == 401


def test_an_assignment_that_is_taken_away_stops_with_the_next_request(world: World) -> None:
    call = f"/calls/{world.hill.ended_call.id}"
    assert world.get("supervisor", call).status_code == 200
    with transaction(world.engine) as session:
        session.delete(session.get_one(Assignment, (world.cast.supervisor.id, world.hill.clinic.id)))
    assert world.get("supervisor", call).status_code == 404


def test_an_unknown_address_needs_a_key_too(world: World) -> None:
    assert world.get(None, "/secrets").status_code == 401
    assert world.get("hill_manager", "/secrets").status_code == 404


def test_a_wrong_method_is_told_which_ones_there_are(world: World) -> None:
    answer = world.ask("hill_manager", "DELETE", f"/calls/{world.hill.ended_call.id}")
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
