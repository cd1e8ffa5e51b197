"""Clinics: who may be added, what they offer, when they are open, and who sees them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from callcenter.domain.permissions import COMMAND_LINE, Actor
from callcenter.domain.receptionists import Role
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Clinic
from callcenter.services.clinics import (
    add_clinic,
    add_practitioner,
    add_service,
    clinic_is_open,
    find_clinic,
    list_clinics,
    list_practitioners,
    list_services,
    opening_bands,
    set_hours,
)
from tests.cast import Cast, create_cast
from tests.factories import NOW, create_clinic

SATURDAY = datetime(2026, 3, 7, 12, tzinfo=UTC)


@pytest.fixture
def cast(session: Session) -> Cast:
    return create_cast(session)


def add(session: Session, **changes: Any) -> Clinic:
    """A clinic on the moor, with whatever is changed."""
    values: dict[str, Any] = {"slug": "moor", "name": "Moor", "numbers": ["01632 960033"], "timezone": "Europe/London"}
    return add_clinic(session, now=NOW, **values | changes)


def test_a_clinic_is_found_by_its_slug_with_its_numbers(session: Session) -> None:
    added = add(session, numbers=["01632 960033", "+441632960034"])
    found = find_clinic(session, "moor", COMMAND_LINE)
    assert found.id == added.id
    assert [number.number for number in found.numbers] == ["+441632960033", "+441632960034"]


@pytest.mark.parametrize(
    ("changes", "code"), [({"slug": "hill"}, "slug_taken"), ({"numbers": ["+441632960011"]}, "number_taken")]
)
def test_what_another_clinic_has_is_refused(session: Session, cast: Cast, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Conflict) as refusal:
        add(session, **changes)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": "Moor"}, {"numbers": []}, {"numbers": ["+441632960033"] * 2}, {"numbers": ["12"]},
        {"timezone": "Moor"}, {"retention_days": 0}, {"retention_days": 366}, {"name": "4111 1111 1111 1111"},
        {"fallback_number": "+441632960033"},
    ],
)  # fmt: skip
def test_a_clinic_that_makes_no_sense_is_refused(session: Session, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        add(session, **changes)


def test_names_are_taken_once_per_clinic_only(session: Session, cast: Cast) -> None:
    for clinic in (cast.hill.clinic, cast.lake.clinic):
        add_practitioner(session, clinic, name="Dr Same", now=NOW)
        add_service(session, clinic, name="Same", minutes=15, now=NOW)
    with pytest.raises(Conflict) as practitioner:
        add_practitioner(session, cast.hill.clinic, name="Dr Same", now=NOW)
    with pytest.raises(Conflict) as service:
        add_service(session, cast.hill.clinic, name="Same", minutes=15, now=NOW)
    assert [practitioner.value.code, service.value.code] == ["name_taken", "name_taken"]


def test_after_a_refusal_the_transaction_goes_on(session: Session, cast: Cast) -> None:
    with pytest.raises(Conflict):
        add_practitioner(session, cast.hill.clinic, name="Dr Hill", now=NOW)
    assert add_practitioner(session, cast.hill.clinic, name="Dr Other", now=NOW)


def test_everybody_sees_the_clinics_in_view_and_no_others(session: Session, cast: Cast) -> None:
    hill = Actor("x", Role.CLINIC_MANAGER, frozenset({cast.hill.clinic.id}))
    assert [clinic.slug for clinic in list_clinics(session, hill)] == ["hill"]
    assert [row.name for row in list_practitioners(session, hill)] == ["Dr Hill"]
    assert [row.id for row in list_services(session, hill)] == [cast.hill.service.id]
    assert len(list_practitioners(session, COMMAND_LINE)) == 2


@pytest.mark.parametrize("slug", ["lake", "nowhere", "", "\x00", "x" * 10_000])
def test_a_clinic_out_of_view_is_not_found(session: Session, cast: Cast, slug: str) -> None:
    with pytest.raises(NotFound):
        find_clinic(session, slug, Actor("x", Role.CLINIC_MANAGER, frozenset({cast.hill.clinic.id})))


def test_a_disabled_practitioner_is_not_offered(session: Session, cast: Cast) -> None:
    cast.hill.practitioner.disabled_at = NOW
    assert list_practitioners(session, COMMAND_LINE, cast.hill.clinic) == []


def test_a_clinic_without_hours_is_always_open(session: Session) -> None:
    clinic = create_clinic(session)
    assert opening_bands(session, clinic) is None
    assert clinic_is_open(session, clinic, SATURDAY)


def test_once_hours_are_set_other_days_are_closed(session: Session) -> None:
    clinic = create_clinic(session)
    set_hours(session, clinic, day="mon", bands=["08:00-10:00"], now=NOW)
    assert clinic_is_open(session, clinic, NOW)
    assert not clinic_is_open(session, clinic, SATURDAY)


def test_a_clinic_may_close_on_every_day(session: Session) -> None:
    clinic = create_clinic(session)
    set_hours(session, clinic, day="mon", bands=[], now=NOW)
    assert not clinic_is_open(session, clinic, NOW)


def test_setting_hours_again_replaces_them(session: Session) -> None:
    clinic = create_clinic(session)
    for bands in (["08:00-10:00"], ["08:00-09:00", "09:00-24:00"]):
        set_hours(session, clinic, day="mon", bands=bands, now=NOW)
    assert [str(band) for band in opening_bands(session, clinic) or []] == ["08:00-09:00", "09:00-24:00"]


def test_bad_hours_leave_the_old_ones(session: Session) -> None:
    clinic = create_clinic(session)
    set_hours(session, clinic, day="mon", bands=["08:00-10:00"], now=NOW)
    with pytest.raises(BadInput):
        set_hours(session, clinic, day="mon", bands=["08:00-10:00", "09:00-11:00"], now=NOW)
    assert [str(band) for band in opening_bands(session, clinic) or []] == ["08:00-10:00"]
