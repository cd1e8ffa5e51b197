"""Days are 86,400 s each, audible ends where due begins, and no calendar comes in between (P27, P28, R10, R11)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.domain.retention import brakes, check_days, expires_at, is_audible, is_due
from callcenter.errors import BadInput

LONDON, KOLKATA = ZoneInfo("Europe/London"), ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
states = st.sampled_from(RecordingState)


@pytest.mark.parametrize("days", [1, 30, 365, "1", "30", "365"])
def test_whole_days_from_one_to_a_year_are_a_period(days: object) -> None:
    assert check_days(days) == int(str(days))


@pytest.mark.parametrize(
    "days", [0, -1, 366, 1.5, 30.0, "", " 30", "0", "1.5", "366", "³", "forever", None, True, [30], "3e1", "９"]
)
def test_anything_else_is_refused(days: object) -> None:
    with pytest.raises(BadInput):
        check_days(days)


@pytest.mark.parametrize(
    ("ended_at", "days", "expected"),
    [
        (datetime(2024, 1, 30, tzinfo=UTC), 30, datetime(2024, 2, 29, tzinfo=UTC)),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), 365, datetime(2025, 2, 28, 12, tzinfo=UTC)),
        (datetime(2028, 2, 29, tzinfo=UTC), 1, datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2026, 1, 31, tzinfo=UTC), 30, datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 4, 30, tzinfo=UTC), 30, datetime(2026, 5, 30, tzinfo=UTC)),
        (datetime(2026, 5, 31, tzinfo=UTC), 30, datetime(2026, 6, 30, tzinfo=UTC)),
        (
            datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            1,
            datetime(2027, 1, 1, 23, 59, 59, 999999, tzinfo=UTC),
        ),
    ],
    ids=["leap day", "from a leap day", "2028", "31 January", "30 April", "31 May", "year's end"],
)
def test_the_calendar_makes_no_difference(ended_at: datetime, days: int, expected: datetime) -> None:
    assert expires_at(ended_at, days) == expected


@pytest.mark.parametrize(
    "ended_at",
    [
        datetime(2026, 3, 28, 1, 30, tzinfo=LONDON),  # a day before the missing hour
        datetime(2026, 3, 29, 0, 59, tzinfo=LONDON),
        datetime(2026, 3, 29, 2, 0, tzinfo=LONDON),
        datetime(2026, 10, 24, 1, 30, tzinfo=LONDON),
        datetime(2026, 10, 25, 1, 30, tzinfo=LONDON, fold=0),
        datetime(2026, 10, 25, 1, 30, tzinfo=LONDON, fold=1),
        datetime(2026, 3, 29, 1, 30, tzinfo=KOLKATA),  # half an hour off
    ],
    ids=str,
)
@pytest.mark.parametrize("days", [1, 30, 365])
def test_a_changed_clock_in_the_clinic_makes_no_difference(ended_at: datetime, days: int) -> None:
    real = ended_at.astimezone(UTC)
    assert expires_at(real, days) - real == timedelta(seconds=days * 86_400)


def test_the_repeated_hour_has_two_expiries() -> None:
    first, second = (datetime(2026, 10, 25, 1, 30, tzinfo=LONDON, fold=fold).astimezone(UTC) for fold in (0, 1))
    assert expires_at(second, 30) - expires_at(first, 30) == timedelta(hours=1)


def test_a_clinic_that_moves_to_another_zone_changes_nothing() -> None:
    ended_at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert expires_at(ended_at, 30) == expires_at(ended_at.astimezone(LONDON).astimezone(UTC), 30)


@pytest.mark.parametrize(("after", "audible"), [(-MICROSECOND, True), (timedelta(0), False), (MICROSECOND, False)])
def test_a_recording_is_hidden_at_the_instant_of_expiry(after: timedelta, audible: bool) -> None:
    assert is_audible(RecordingState.STORED, NOW, NOW + after) is audible


@pytest.mark.parametrize("state", [state for state in RecordingState if state != RecordingState.STORED])
def test_only_what_is_stored_may_be_heard(state: RecordingState) -> None:
    assert not is_audible(state, NOW + timedelta(days=1), NOW)


def test_what_is_wanted_gone_is_not_heard_any_more() -> None:
    assert not is_audible(RecordingState.STORED, NOW + timedelta(days=1), NOW, purge_wanted=True)


@given(states, moments, moments, st.booleans())
def test_nothing_is_audible_and_due_at_once(
    state: RecordingState, expiry: datetime, now: datetime, wanted: bool
) -> None:
    assert not (is_audible(state, expiry, now, purge_wanted=wanted) and is_due(state, expiry, now, purge_wanted=wanted))


@given(states, moments, moments, st.booleans())
def test_nothing_held_is_ever_due(state: RecordingState, expiry: datetime, now: datetime, wanted: bool) -> None:
    assert not is_due(state, expiry, now, held=True, purge_wanted=wanted)


@given(states, moments, moments)
def test_nothing_is_due_before_its_expiry_unless_it_is_wanted_gone(
    state: RecordingState, expiry: datetime, now: datetime
) -> None:
    assert is_due(state, expiry, now) == (now >= expiry and state != RecordingState.PURGED)


@pytest.mark.parametrize("state", LIVE_RECORDING_STATES)
def test_a_running_recording_is_not_due_although_it_is_wanted_gone(state: RecordingState) -> None:
    assert not is_due(state, NOW + timedelta(days=1), NOW, purge_wanted=True)


@pytest.mark.parametrize(
    ("due", "of_all", "expected"),
    [(50, 50, False), (51, 51, True), (51, 255, False), (52, 255, True), (200, 1000, False), (201, 1000, True)],
)
def test_a_sweep_asks_before_it_deletes_more_than_fifty_and_a_fifth(due: int, of_all: int, expected: bool) -> None:
    assert brakes(due, of_all) is expected
