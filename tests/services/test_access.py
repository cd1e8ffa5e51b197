"""Who stands behind a key, what users are made of, and what the access log keeps."""

import hashlib
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from callcenter.domain.permissions import COMMAND_LINE
from callcenter.domain.receptionists import Presence, Role
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import AccessEntry, ApiKey, ApiKeyClinic, Assignment, Clinic, Receptionist, User
from callcenter.services.access import actor_for_key, create_api_key, record_access, revoke_api_key
from callcenter.services.users import add_user, assign_user, find_user
from tests.cast import Cast, create_cast
from tests.factories import NOW

PASSWORD = "violet-anchor-teapot-97"


@pytest.fixture
def cast(session: Session) -> Cast:
    return create_cast(session)


def key(session: Session, role: Role, *clinics: Clinic, user: User | None = None) -> str:
    """A new key, as its owner knows it."""
    return create_api_key(session, name="test", role=role, clinics=clinics, user=user, now=NOW).secret


def test_a_key_reaches_its_clinics_with_its_role(session: Session, cast: Cast) -> None:
    actor = actor_for_key(session, key(session, Role.CLINIC_VIEWER, cast.hill.clinic))
    assert actor is not None
    assert (actor.role, actor.clinic_ids, actor.user_id) == (Role.CLINIC_VIEWER, frozenset({cast.hill.clinic.id}), None)


def test_the_operators_key_reaches_all_clinics(session: Session, cast: Cast) -> None:
    actor = actor_for_key(session, key(session, Role.OPERATOR))
    assert actor is not None
    assert actor.clinic_ids is None
    assert not actor.unlimited


def test_a_receptionists_key_reaches_what_she_is_assigned_to(session: Session, cast: Cast) -> None:
    actor = actor_for_key(session, key(session, Role.RECEPTIONIST, user=cast.rosie.user))
    assert actor is not None
    assert actor.user_id == cast.rosie.user_id
    assert actor.clinic_ids == frozenset({cast.hill.clinic.id, cast.lake.clinic.id})


def test_a_receptionists_key_may_reach_less_than_she_does(session: Session, cast: Cast) -> None:
    actor = actor_for_key(session, key(session, Role.RECEPTIONIST, cast.lake.clinic, user=cast.rosie.user))
    assert actor is not None
    assert actor.clinic_ids == frozenset({cast.lake.clinic.id})


def test_a_removed_assignment_takes_effect_with_the_next_request(session: Session, cast: Cast) -> None:
    secret = key(session, Role.RECEPTIONIST, cast.lake.clinic, user=cast.rosie.user)
    session.execute(delete(Assignment).where(Assignment.clinic_id == cast.lake.clinic.id))
    actor = actor_for_key(session, secret)
    assert actor is not None
    assert actor.clinic_ids == frozenset()


@pytest.mark.parametrize("user", ["rosie", None])
def test_a_key_whose_clinics_are_gone_reaches_nothing(session: Session, cast: Cast, user: str | None) -> None:
    role = Role.RECEPTIONIST if user else Role.CLINIC_VIEWER
    secret = key(session, role, cast.lake.clinic, user=cast.rosie.user if user else None)
    session.execute(delete(ApiKeyClinic))
    actor = actor_for_key(session, secret)
    assert actor is not None
    assert actor.clinic_ids == frozenset()


def test_a_key_does_not_grow_with_its_user(session: Session, cast: Cast) -> None:
    secret = key(session, Role.RECEPTIONIST, user=cast.robin.user)
    assign_user(session, cast.robin.user, cast.lake.clinic)
    actor = actor_for_key(session, secret)
    assert actor is not None
    assert actor.clinic_ids == frozenset({cast.hill.clinic.id})


def test_a_key_grows_with_its_user_when_that_is_asked_for(session: Session, cast: Cast) -> None:
    secret = key(session, Role.RECEPTIONIST, user=cast.robin.user)
    assign_user(session, cast.robin.user, cast.lake.clinic, with_keys=True)
    actor = actor_for_key(session, secret)
    assert actor is not None
    assert actor.clinic_ids == frozenset({cast.hill.clinic.id, cast.lake.clinic.id})


def test_only_the_hash_of_a_key_is_kept(session: Session, cast: Cast) -> None:
    secret = key(session, Role.OPERATOR)
    row = session.scalars(select(ApiKey)).one()
    assert secret.startswith("cck_")
    assert row.key_hash == hashlib.sha256(secret.encode()).hexdigest()


def test_a_revoked_key_is_refused(session: Session, cast: Cast) -> None:
    made = create_api_key(session, name="x", role=Role.OPERATOR, clinics=(), user=None, now=NOW)
    revoke_api_key(session, made.row.id, now=NOW)
    assert actor_for_key(session, made.secret) is None
    with pytest.raises(Conflict):
        revoke_api_key(session, made.row.id, now=NOW)


@pytest.mark.parametrize("secret", ["", "cck_", "cck_" + "x" * 43, "cck_" + "x" * 10_000, "Bearer", "cck_\x00", "é"])
def test_an_unknown_key_is_nobody(session: Session, secret: str) -> None:
    assert actor_for_key(session, secret) is None


@pytest.mark.parametrize("key_id", ["", "x", "0" * 32, "\x00", "0" * 10_000])
def test_an_unknown_key_cannot_be_revoked(session: Session, key_id: str) -> None:
    with pytest.raises(NotFound):
        revoke_api_key(session, key_id, now=NOW)


@pytest.mark.parametrize("change", [{"disabled_at": NOW}, {"role": Role.SUPERVISOR}])
def test_the_key_of_somebody_who_left_or_changed_her_role_is_refused(
    session: Session, cast: Cast, change: dict[str, object]
) -> None:
    secret = key(session, Role.RECEPTIONIST, user=cast.rosie.user)
    for name, value in change.items():
        setattr(cast.rosie.user, name, value)
    session.flush()
    assert actor_for_key(session, secret) is None


UNFIT: dict[str, Callable[[Session, Cast], str]] = {
    "a receptionist without a user": lambda s, c: key(s, Role.RECEPTIONIST, c.hill.clinic),
    "a manager without a clinic": lambda s, c: key(s, Role.CLINIC_MANAGER),
    "an operator of one clinic": lambda s, c: key(s, Role.OPERATOR, c.hill.clinic),
    "a user of another role": lambda s, c: key(s, Role.CLINIC_MANAGER, c.hill.clinic, user=c.hill.viewer),
    "a clinic the user does not work for": lambda s, c: key(s, Role.RECEPTIONIST, c.lake.clinic, user=c.robin.user),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_key_that_does_not_fit_together_is_refused(session: Session, cast: Cast, case: str) -> None:
    with pytest.raises(BadInput):
        UNFIT[case](session, cast)


def test_a_new_receptionist_is_signed_out_and_can_prove_her_password(session: Session, cast: Cast) -> None:
    user = add_user(
        session,
        email="Nell@Example.org",
        name="Nell",
        role=Role.RECEPTIONIST,
        clinics=[cast.hill.clinic],
        password=PASSWORD,
        now=NOW,
    )
    assert find_user(session, " NELL@example.org ") is user
    assert PasswordHasher().verify(user.password_hash, PASSWORD)
    assert session.get_one(Receptionist, user.id).presence == Presence.SIGNED_OUT


def test_somebody_of_another_role_has_no_working_state(session: Session, cast: Cast) -> None:
    values = {"email": "m@example.org", "name": "M", "password": PASSWORD, "clinics": [cast.hill.clinic], "now": NOW}
    user = add_user(session, role=Role.CLINIC_MANAGER, **values)  # type: ignore[arg-type]
    assert session.get(Receptionist, user.id) is None


def test_an_address_is_given_to_one_person_only(session: Session, cast: Cast) -> None:
    values = {"name": "M", "password": PASSWORD, "clinics": [cast.hill.clinic], "now": NOW}
    with pytest.raises(Conflict) as refusal:
        add_user(session, email="ROSIE@example.org", role=Role.SUPERVISOR, **values)  # type: ignore[arg-type]
    assert refusal.value.code == "email_taken"


def test_the_access_log_keeps_who_what_and_why(session: Session, cast: Cast) -> None:
    record_access(
        session,
        COMMAND_LINE,
        "recording.heard",
        subject_kind="recording",
        subject_id="1" * 32,
        clinic_id=cast.hill.clinic.id,
        purpose="incident",
        now=NOW,
    )
    entry = session.scalars(select(AccessEntry)).one()
    assert (entry.actor_id, entry.action, entry.purpose, entry.at) == (
        "command-line",
        "recording.heard",
        "incident",
        NOW,
    )
