"""People come, change clinics and leave: with the next request, and with an entry in the access log (P20, P21)."""

from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter.db import reading
from callcenter.domain.permissions import Actor
from callcenter.models import AccessEntry, Clinic
from callcenter.services.access import actor_for_key
from tests.cli.conftest import Cli

ROBIN = ("--email", "robin@example.org")


@pytest.fixture
def key(cli: Cli, database: Engine) -> str:
    """Robin's key; she works for the hill clinic."""
    made = cli(
        "api-key", "create", "--name", "phone", "--role", "receptionist", "--user", "robin@example.org", "--json"
    )
    return str(made.json["key"])


def actor(database: Engine, key: str) -> Actor | None:
    with reading(database) as session:
        return actor_for_key(session, key)


def reach(database: Engine, key: str) -> list[str]:
    """The clinics that a key reaches now."""
    with reading(database) as session:
        found = actor_for_key(session, key)
        assert found is not None
        return sorted(session.scalars(select(Clinic.slug).where(Clinic.id.in_(found.clinic_ids or ()))))


def entries(database: Engine) -> list[tuple[Any, ...]]:
    """Action, subject and clinic of what was done to users."""
    columns = (AccessEntry.action, AccessEntry.subject_id, Clinic.slug)
    query = select(*columns).outerjoin(Clinic, Clinic.id == AccessEntry.clinic_id).order_by(AccessEntry.at)
    with reading(database) as session:
        return [tuple(row) for row in session.execute(query.where(AccessEntry.subject_kind == "user"))]


def test_somebody_who_is_disabled_is_refused_with_her_keys(cli: Cli, database: Engine, key: str) -> None:
    shown = cli("user", "disable", *ROBIN, "--json").json
    assert shown["email"] == "robin@example.org"
    assert shown["disabled_at"] is not None
    assert actor(database, key) is None
    assert entries(database) == [("user.disabled", shown["id"], None)]


def test_somebody_who_is_unassigned_reaches_nothing_of_the_clinic(cli: Cli, database: Engine, key: str) -> None:
    shown = cli("user", "unassign", *ROBIN, "--clinic", "hill", "--json").json
    assert (shown["clinics"], reach(database, key)) == ([], [])
    assert entries(database) == [("user.unassigned", shown["id"], "hill")]


def test_somebody_who_is_assigned_works_for_the_clinic_too(cli: Cli, database: Engine, key: str) -> None:
    shown = cli("user", "assign", *ROBIN, "--clinic", "lake", "--json").json
    assert shown["clinics"] == ["hill", "lake"]
    assert reach(database, key) == ["hill"]
    assert entries(database) == [("user.assigned", shown["id"], "lake")]


def test_her_keys_follow_when_that_is_said(cli: Cli, database: Engine, key: str) -> None:
    cli("user", "assign", *ROBIN, "--clinic", "lake", "--with-keys")
    assert reach(database, key) == ["hill", "lake"]


def test_what_is_done_to_people_can_be_read_by_people(cli: Cli, database: Engine) -> None:
    answers = [
        cli("user", "assign", *ROBIN, "--clinic", "lake"),
        cli("user", "unassign", *ROBIN, "--clinic", "lake"),
        cli("user", "disable", *ROBIN),
    ]
    assert [(answer.code, answer.out.count("\n"), answer.err) for answer in answers] == [(0, 1, "")] * 3


@pytest.mark.parametrize(
    "command",
    [
        ("user", "disable", "--email", "nobody@example.org"),
        ("user", "assign", *ROBIN, "--clinic", "hill"),
        ("user", "assign", *ROBIN, "--clinic", "nowhere"),
        ("user", "assign", "--email", "operator@example.org", "--clinic", "hill"),
        ("user", "unassign", *ROBIN, "--clinic", "lake"),
        ("user", "unassign", *ROBIN),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence_and_not_logged(
    cli: Cli, database: Engine, command: tuple[str, ...]
) -> None:
    answer = cli(*command)
    assert (answer.code, answer.out) == (2, "")
    assert entries(database) == []


def test_nobody_is_disabled_twice(cli: Cli, database: Engine) -> None:
    assert [cli("user", "disable", *ROBIN).code for _ in range(2)] == [0, 2]
