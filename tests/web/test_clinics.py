"""Clinics and their hours over the API."""

import pytest

from callcenter.models import AccessEntry, Clinic, OpeningBand
from tests.web.world import World

NEW = {"slug": "river", "name": "River Clinic", "numbers": ["01632 960077"], "timezone": "Europe/London"}


def test_an_operator_adds_a_clinic_that_is_open_always(world: World) -> None:
    answer = world.post("operator", "/clinics", NEW)
    assert answer.status_code == 201
    assert (answer.json["numbers"], answer.json["hours"], answer.json["retention_days"]) == (
        ["+441632960077"],
        None,
        30,
    )
    assert world.count(AccessEntry) == 1


def test_people_see_their_own_clinics_only(world: World) -> None:
    assert [one["slug"] for one in world.get("hill_manager", "/clinics").json["items"]] == ["hill"]
    assert [one["slug"] for one in world.get("operator", "/clinics").json["items"]] == ["hill", "lake"]


def test_a_manager_sets_the_hours_of_a_day(world: World) -> None:
    hours = {"day": "mon", "open": ["08:00-12:00", "13:00-24:00"]}
    answer = world.put("hill_manager", "/clinics/hill/hours", hours)
    assert answer.json["hours"]["mon"] == ["08:00-12:00", "13:00-24:00"]
    assert answer.json["hours"]["tue"] == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"slug": "hill"}, 409),
        ({"numbers": ["+441632960011"]}, 409),
        ({"numbers": []}, 422),
        ({"timezone": "Mars/Base"}, 422),
        ({"retention_days": 366}, 422),
        ({"slug": "Upper Case"}, 422),
        ({"role": "operator"}, 422),
    ],
)
def test_a_clinic_that_cannot_be_is_refused_and_changes_nothing(
    small_world: World, change: dict[str, object], status: int
) -> None:
    assert small_world.post("operator", "/clinics", NEW | change).status_code == status
    assert small_world.count(Clinic) == 2


@pytest.mark.parametrize("bands", [["18:00-08:00"], ["08:00-12:00", "11:00-13:00"], ["eight to ten"], ["08:00-25:00"]])
def test_hours_that_cannot_be_are_refused_and_change_nothing(small_world: World, bands: list[str]) -> None:
    answer = small_world.put("hill_manager", "/clinics/hill/hours", {"day": "mon", "open": bands})
    assert answer.status_code == 422
    assert small_world.count(OpeningBand) == 0
