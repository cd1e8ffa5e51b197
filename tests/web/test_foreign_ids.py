"""Whatever of another clinic is asked for by whatever route: it looks as if it did not exist (S12, S13, S15).

The routes come from the app's own map and from ROUTES, which knows every one of them: a new route is swept by itself.
"""

import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Select, event
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Column, Table

from callcenter.db import reading, transaction
from callcenter.models import Base, Clinic, new_id
from tests.campaigns import LONG, runs
from tests.factories import create_receptionist
from tests.web.test_access import PEOPLE, ROUTES, fill
from tests.web.world import World

ASKING = ("robin", *PEOPLE[1:5], "stranger")
"""People of the hill clinic in each role but the operator's, who serves all clinics; and somebody of none."""
NAMES = re.compile(r"\{(\w+)\}")
HEADERS = {"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy"}
TENANTS = {table.name for table in Base.metadata.tables.values() if "clinic_id" in table.c}
OURS_TO_SAY = ("clinic_id", "role", "expires_at", "id", "user_id", "created_at", "__class__")


@dataclass(frozen=True)
class Way:
    """One id of one route, wherever it stands: in the path, the query or the body."""

    route: str
    name: str

    def __str__(self) -> str:
        return f"{self.route} {self.name}"

    def ask(self, world: World, who: str, value: str) -> Any:
        """Ask with ``value`` for this id and the hill clinic's own for every other."""
        route, mark = ROUTES[self.route], "{" + self.name + "}"
        path = fill(route.path.replace(mark, value), world)
        body = fill({key: value if text == mark else text for key, text in (route.body or {}).items()}, world)
        return world.ask(who, self.route.split()[0], path, json=body if route.body is not None else None)


def _names(route: str) -> list[str]:
    texts = [ROUTES[route].path, *(text for text in (ROUTES[route].body or {}).values() if isinstance(text, str))]
    return sorted({name for text in texts for name in NAMES.findall(text)})


WAYS = [Way(route, name) for route in ROUTES for name in _names(route)]


@pytest.fixture
def strange(small_world: World) -> dict[str, list[str]]:
    """For each name of an id: the lake clinic's, and others that nobody has."""
    with transaction(small_world.engine) as session:
        lake = session.get_one(Clinic, small_world.lake.clinic.id)
        hers = create_receptionist(session, lake).user_id
    rows = small_world.lake
    of_lake = {
        "call": [rows.ended_call.id, rows.live_call.id],
        "booking": [rows.booking.id],
        "recording": [rows.recording.id, rows.live_recording.id],
        "clinic": [rows.clinic.slug],
        "practitioner": [rows.staff.practitioner.id],
        "service": [rows.staff.service.id],
        "receptionist": [hers],
    }
    return {name: [*ids, new_id()[:20] if name == "clinic" else new_id()] for name, ids in of_lake.items()}


def kept_of(world: World, clinic_id: str) -> dict[str, list[str]]:
    """Everything that the database knows of a clinic."""
    with world.engine.connect() as connection:
        return {
            table.name: sorted(map(str, connection.execute(table.select().where(table.c.clinic_id == clinic_id))))
            for table in Base.metadata.sorted_tables
            if table.name in TENANTS
        }


def test_every_route_with_an_id_in_its_address_is_swept(small_world: World) -> None:
    with_ids = {
        f"{method} {re.sub('<opaque:([a-z_]+)>', '{}', rule.rule).removeprefix('/api/v1')}"
        for rule in small_world.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.arguments and rule.endpoint != "static"
    }
    swept = {re.sub(r"\{\w+\}", "{}", way.route) for way in WAYS}
    assert with_ids
    assert with_ids <= swept


@pytest.mark.campaign
def test_what_is_foreign_is_told_apart_from_nothing_by_nobody(
    small_world: World, strange: dict[str, list[str]], figures: Callable[..., None]
) -> None:
    before, asked = kept_of(small_world, small_world.lake.clinic.id), 0
    for way in WAYS:
        for who in ASKING:
            answers = [way.ask(small_world, who, value) for value in strange[way.name]]
            asked += len(answers)
            assert {answer.status_code for answer in answers} <= {403, 404}, (way, who)
            assert len({(answer.status_code, answer.data) for answer in answers}) == 1, (way, who)
            assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1, (way, who)
            assert set(answers[0].headers.keys()) >= HEADERS, (way, who)
    assert kept_of(small_world, small_world.lake.clinic.id) == before
    figures(ways=len(WAYS), requests=asked, told_apart=0)


@pytest.mark.campaign
def test_the_time_of_an_answer_does_not_tell_either(
    small_world: World, strange: dict[str, list[str]], figures: Callable[..., None]
) -> None:
    ratios: dict[str, float] = {}
    for way in (way for way in WAYS if way.route.startswith("GET")):
        ids = (strange[way.name][0], strange[way.name][-1])
        times: dict[str, list[float]] = {value: [] for value in ids}
        for _ in range(runs(5, 300)):
            for value, taken in times.items():
                started = time.perf_counter()
                way.ask(small_world, "supervisor", value)
                taken.append(time.perf_counter() - started)
        foreign, unknown = (statistics.median(times[value]) for value in ids)
        ratios[str(way)] = foreign / unknown
    if LONG:
        assert all(1 / 3 < ratio < 3 for ratio in ratios.values()), ratios
    figures(runs=runs(5, 300), ratios=f"{min(ratios.values()):.2f} to {max(ratios.values()):.2f}")


def test_a_purged_recording_of_ones_own_is_gone_and_one_of_others_was_never_there(small_world: World) -> None:
    for desk in (small_world.hill, small_world.lake):
        small_world.change(desk.recording, state="purged")
    own, others, nobodys = (
        small_world.get("supervisor", f"/recordings/{id_}/audio?purpose=quality")
        for id_ in (small_world.hill.recording.id, small_world.lake.recording.id, new_id())
    )
    assert (own.status_code, others.status_code) == (410, 404)
    assert others.data == nobodys.data


# S15: closed schemas


def _schemas(world: World) -> dict[str, dict[str, Any]]:
    document = world.get(None, "//api/v1/openapi.json").json
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": document["components"]["schemas"][_reference(operation)]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }


def _reference(operation: dict[str, Any]) -> str:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return str(schema["$ref"]).rpartition("/")[2]


def test_no_body_takes_a_field_that_it_does_not_know(small_world: World) -> None:
    schemas = _schemas(small_world)
    assert set(schemas) >= {name for name, route in ROUTES.items() if route.body is not None}
    for name, schema in schemas.items():
        assert schema["additionalProperties"] is False, name
        route, who = ROUTES[name], min(ROUTES[name].roles)
        for field in {*OURS_TO_SAY, "x"} - set(schema.get("properties", {})):
            for value in ("x", small_world.lake.clinic.id, None):
                body = fill(route.body or {}, small_world) | {field: value}
                answer = small_world.ask(who, name.split()[0], fill(route.path, small_world), json=body)
                assert (answer.status_code, answer.json["code"]) == (422, "bad_input"), (name, field)


def test_no_body_takes_what_is_ours_to_say(small_world: World) -> None:
    for name, schema in _schemas(small_world).items():
        assert not set(OURS_TO_SAY) & set(schema.get("properties", {})), name


# S12: every query about a clinic's rows names the clinic, or a row that leads to one


@contextmanager
def watched_queries() -> Iterator[list[str]]:
    """Collects selects on tenants' tables that are restricted neither by clinic nor by the id of a row."""
    loose: list[str] = []

    def look(state: ORMExecuteState) -> None:
        if state.is_select and isinstance(state.statement, Select) and is_loose(state.statement):
            loose.append(str(state.statement))

    event.listen(Session, "do_orm_execute", look)
    try:
        yield loose
    finally:
        event.remove(Session, "do_orm_execute", look)


def is_loose(statement: Select[Any]) -> bool:
    """Whether it selects from a table with a clinic and nothing in it ties the rows to a clinic or to one row."""
    tables = {element.name for element in visitors.iterate(statement) if isinstance(element, Table)}
    return not tables.isdisjoint(TENANTS) and not any(_ties(column) for column in _conditions(statement))


def _conditions(statement: Select[Any]) -> Iterator[Column[Any]]:
    for element in visitors.iterate(statement):
        criteria = getattr(element, "_where_criteria", ())
        for criterion in criteria:
            for part in visitors.iterate(criterion):
                if isinstance(part, Column):
                    yield part


def _ties(column: Column[Any]) -> bool:
    if column.table.name == "clinics" or column.name == "clinic_id":
        return True
    return column.primary_key or bool(column.foreign_keys) or bool(column.unique)


def test_the_watch_sees_a_query_without_its_clinic(small_world: World) -> None:
    from sqlalchemy import func, select

    from callcenter.models import Booking, Call, User

    call_id = small_world.hill.ended_call.id
    with watched_queries() as loose, reading(small_world.engine) as session:
        for fine in (
            select(Call).where(Call.clinic_id == "x"),
            select(Call).where(Call.id == call_id),
            select(User),
            select(func.count()).select_from(Call).where(Call.clinic_id.in_(["x"])),
        ):
            session.execute(fine)
        session.get(Call, call_id)
        assert loose == []
        for wrong in (
            select(Call),
            select(Call).where(Call.state == "ended"),
            select(func.count()).select_from(Booking),
            select(Booking.note).join(Call, Call.caller_id == Booking.caller_id).where(Call.turn == 1),
        ):
            session.execute(wrong)
    assert len(loose) == 4


@pytest.mark.parametrize("name", ROUTES)
def test_no_route_asks_for_the_rows_of_all_clinics_or_loads_those_of_another(small_world: World, name: str) -> None:
    loaded: list[object] = []
    route, lake = ROUTES[name], small_world.lake.clinic.id

    def look(_session: Session, row: object) -> None:
        if getattr(row, "clinic_id", None) == lake:
            loaded.append(row)

    event.listen(Session, "loaded_as_persistent", look)
    try:
        with watched_queries() as loose:
            for who in ASKING:
                path, body = fill(route.path, small_world), fill(route.body, small_world)
                small_world.ask(who, name.split(maxsplit=1)[0], path, json=body)
    finally:
        event.remove(Session, "loaded_as_persistent", look)
    assert (loose, loaded) == ([], [])
