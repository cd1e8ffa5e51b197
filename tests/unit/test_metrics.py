"""The figures of a clinic's calls, one formula each."""

from callcenter.domain import metrics
from callcenter.domain.metrics import CallFigures


def test_the_service_level_leaves_short_abandons_out() -> None:
    figures = CallFigures(answered=8, answered_in_time=6, abandoned=2, short_abandoned=90)
    assert metrics.service_level(figures) == 0.6


def test_the_abandon_rate_leaves_short_abandons_out() -> None:
    assert metrics.abandon_rate(CallFigures(answered=3, abandoned=1, short_abandoned=90)) == 0.25


def test_the_average_speed_of_answer_is_a_mean_over_answered_calls() -> None:
    assert (
        metrics.average_speed_of_answer_seconds(CallFigures(answered=4, wait_seconds_total=50.0, abandoned=9)) == 12.5
    )


def test_nothing_is_divided_by_no_calls() -> None:
    none = CallFigures()
    assert metrics.service_level(none) is None
    assert metrics.abandon_rate(none) is None
    assert metrics.average_speed_of_answer_seconds(none) is None


def test_missed_is_everything_but_answered_and_blocked_and_the_total_is_everything() -> None:
    figures = CallFigures(
        answered=1,
        abandoned=2,
        short_abandoned=4,
        message_left=8,
        callback_requested=16,
        closed=32,
        blocked=64,
        failed=128,
        live=256,
    )
    assert metrics.missed(figures) == 2 + 4 + 8 + 16 + 32 + 128
    assert metrics.total(figures) == 511
