"""What a call and its legs may become."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.calls import ENDED_LEG_STATES, LegState, Outcome, OutcomeFacts, decide_outcome, next_leg_state

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REPORTS = st.lists(st.sampled_from(LegState), max_size=8)


def settled(reports: list[LegState]) -> LegState:
    state = LegState.INITIATED
    for report in reports:
        state = next_leg_state(state, report)
    return state


@given(REPORTS, st.sampled_from(ENDED_LEG_STATES), REPORTS)
def test_a_leg_that_is_over_stays_as_it_ended(before: list[LegState], end: LegState, after: list[LegState]) -> None:
    live = [state for state in before if state not in ENDED_LEG_STATES]
    assert settled([*live, end, *after]) == end


@given(st.permutations([LegState.INITIATED, LegState.RINGING, LegState.IN_PROGRESS, LegState.COMPLETED]))
def test_the_order_of_reports_does_not_matter(reports: list[LegState]) -> None:
    assert settled(reports) == LegState.COMPLETED


@given(REPORTS)
def test_a_repeated_report_changes_nothing(reports: list[LegState]) -> None:
    assert settled([report for report in reports for _ in range(3)]) == settled(reports)


def outcome(**facts: object) -> Outcome:
    known: dict[str, object] = {
        "connected_at": None,
        "queued_at": NOW,
        "ended_at": NOW + timedelta(seconds=60),
        "message_recorded": False,
        "clinic_was_closed": False,
    }
    return decide_outcome(OutcomeFacts(**known | facts), short_abandon_seconds=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"connected_at": NOW}, Outcome.ANSWERED),
        ({"connected_at": NOW, "message_recorded": True, "clinic_was_closed": True, "failed": True}, Outcome.ANSWERED),
        ({"message_recorded": True}, Outcome.MESSAGE_LEFT),
        ({"message_recorded": True, "clinic_was_closed": True}, Outcome.MESSAGE_LEFT),
        ({"clinic_was_closed": True}, Outcome.CLOSED),
        ({"failed": True}, Outcome.FAILED),
        ({}, Outcome.ABANDONED),
        ({"ended_at": NOW + timedelta(seconds=5)}, Outcome.ABANDONED),
        ({"ended_at": NOW + timedelta(seconds=4.9)}, Outcome.SHORT_ABANDONED),
        ({"queued_at": None}, Outcome.SHORT_ABANDONED),
    ],
)
def test_every_call_has_the_one_outcome_that_its_facts_make(facts: dict[str, object], expected: Outcome) -> None:
    assert outcome(**facts) == expected
