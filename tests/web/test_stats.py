"""Figures over the API."""

from datetime import timedelta

import pytest

from callcenter.db import transaction
from callcenter.domain.calls import CallState, Outcome
from tests.factories import NOW, create_answered_call, create_call
from tests.web.world import World


def test_the_figures_of_a_clinic_are_those_of_its_calls(world: World) -> None:
    with transaction(world.engine) as session:
        clinic = world.hill.clinic
        create_answered_call(session, clinic, queued_at=NOW, connected_at=NOW + timedelta(seconds=20))
        create_answered_call(session, clinic, queued_at=NOW, connected_at=NOW + timedelta(seconds=20, milliseconds=1))
        for outcome in (Outcome.ABANDONED, Outcome.SHORT_ABANDONED, Outcome.MESSAGE_LEFT, Outcome.CLOSED):
            create_call(session, clinic, state=CallState.ENDED, outcome=outcome, ended_at=NOW)
    stats = world.get("hill_manager", "/stats?clinic=hill").json
    counts = stats["counts"]
    assert (counts["total"], counts["answered"], counts["missed"], counts["live"]) == (8, 3, 4, 1)
    assert stats["service_level"] == {"seconds": 20, "value": 0.5}
    assert stats["average_speed_of_answer_seconds"] == pytest.approx((12 + 20 + 20.001) / 3)
    assert stats["abandon_rate"] == 0.25


def test_every_figure_is_explained(world: World) -> None:
    stats = world.get("hill_manager", "/stats").json
    shown = {*stats["counts"], "service_level", "average_speed_of_answer_seconds", "abandon_rate"}
    assert set(stats["definitions"]) == shown


def test_a_period_counts_calls_by_when_they_began(world: World) -> None:
    counts = world.get("hill_manager", "/stats?from=2026-03-02T09:00:00Z&to=2026-03-02T09:30:00Z").json["counts"]
    assert (counts["total"], counts["answered"]) == (1, 1)


def test_without_calls_there_are_no_rates(world: World) -> None:
    stats = world.get("hill_manager", "/stats?from=2027-01-01T00:00:00Z").json
    assert stats["counts"]["total"] == 0
    assert stats["service_level"]["value"] is stats["abandon_rate"] is stats["average_speed_of_answer_seconds"] is None


def test_nobody_counts_the_calls_of_another_clinic(world: World) -> None:
    assert world.get("hill_manager", "/stats").json["counts"]["total"] == 2
    assert world.get("operator", "/stats").json["counts"]["total"] == 4
    assert world.get("stranger", "/stats").json["counts"]["total"] == 0
