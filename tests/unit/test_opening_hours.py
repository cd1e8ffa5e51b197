"""Opening hours follow the clinic's own clock, also in the nights when it changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.opening_hours import (
    Band,
    Span,
    covers,
    is_open,
    open_spans,
    parse_bands,
    parse_timezone,
    parse_weekday,
)
from callcenter.errors import BadInput

LONDON = ZoneInfo("Europe/London")
NINE_TO_FIVE = [Band(day, 9 * 60, 17 * 60) for day in range(5)]
ALWAYS = [Band(day, 0, 1440) for day in range(7)]


def test_it_is_open_from_the_first_minute_of_a_band() -> None:
    assert is_open(NINE_TO_FIVE, LONDON, datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


def test_it_is_closed_a_moment_before_and_at_the_end_of_a_band() -> None:
    before = datetime(2026, 3, 2, 8, 59, 59, 999999, tzinfo=UTC)
    end = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
    assert [is_open(NINE_TO_FIVE, LONDON, at) for at in (before, end)] == [False, False]


def test_it_is_closed_on_a_day_without_bands() -> None:
    assert not is_open(NINE_TO_FIVE, LONDON, datetime(2026, 3, 1, 12, tzinfo=UTC))


def test_nine_in_summer_is_eight_in_utc() -> None:
    eight = datetime(2026, 7, 6, 8, tzinfo=UTC)
    assert is_open(NINE_TO_FIVE, LONDON, eight)
    assert not is_open(NINE_TO_FIVE, LONDON, eight - timedelta(minutes=1))


def test_the_weekday_is_that_of_the_clinic() -> None:
    monday_in_auckland = datetime(2026, 3, 1, 20, 30, tzinfo=UTC)
    assert is_open(NINE_TO_FIVE, ZoneInfo("Pacific/Auckland"), monday_in_auckland)


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_a_clinic_that_never_closes_is_open_through_the_nights_when_the_clocks_change(day: datetime) -> None:
    start, end = day - timedelta(days=1), day + timedelta(days=2)
    assert open_spans(ALWAYS, LONDON, start, end) == [Span(start, end)]


def test_the_day_the_clocks_go_forward_has_23_hours() -> None:
    sunday = [Band(6, 0, 1440)]
    [span] = open_spans(
        sunday, LONDON, datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    )  # fmt: skip
    assert span.to_at - span.from_at == timedelta(hours=23)


def test_the_day_the_clocks_go_back_has_25_hours() -> None:
    [span] = open_spans(
        [Band(6, 0, 1440)], LONDON, datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
    )
    assert span.to_at - span.from_at == timedelta(hours=25)


def test_a_band_that_the_clocks_skip_is_left_out() -> None:
    skipped = [Band(6, 75, 120)]
    assert open_spans(skipped, LONDON, datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)) == []


def test_opening_until_midnight_runs_on_into_the_next_day() -> None:
    late = [Band(0, 20 * 60, 1440), Band(1, 0, 120)]
    assert covers(late, LONDON, datetime(2026, 3, 2, 23, 30, tzinfo=UTC), datetime(2026, 3, 3, 0, 30, tzinfo=UTC))


def test_a_time_that_sticks_out_is_not_covered() -> None:
    assert not covers(
        NINE_TO_FIVE, LONDON, datetime(2026, 3, 2, 16, 45, tzinfo=UTC), datetime(2026, 3, 2, 17, 15, tzinfo=UTC)
    )


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.sampled_from(["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_open_means_lying_in_a_span(at: datetime, zone: str) -> None:
    tz = ZoneInfo(zone)
    spans = open_spans(NINE_TO_FIVE, tz, at - timedelta(days=3), at + timedelta(days=3))
    assert is_open(NINE_TO_FIVE, tz, at) == any(span.from_at <= at < span.to_at for span in spans)
    wall = at.astimezone(tz)
    assert is_open(NINE_TO_FIVE, tz, at) == (wall.weekday() < 5 and 9 <= wall.hour < 17)


def test_bands_are_read_in_order_and_24_00_ends_the_day() -> None:
    assert parse_bands(0, ["13:00-24:00", "08:00-12:30"]) == [Band(0, 480, 750), Band(0, 780, 1440)]


def test_bands_may_touch() -> None:
    assert len(parse_bands(0, ["08:00-12:00", "12:00-18:00"])) == 2


def test_no_band_means_closed() -> None:
    assert parse_bands(0, []) == []


@pytest.mark.parametrize("bands", [["08:00-12:00", "11:59-18:00"], ["08:00-18:00", "09:00-10:00"], ["08:00-09:00"] * 2])
def test_overlapping_bands_are_refused(bands: list[str]) -> None:
    with pytest.raises(BadInput, match="overlap"):
        parse_bands(0, bands)


@pytest.mark.parametrize(
    "text", ["", "8-18", "8:00-18:00", "08:00", "18:00-08:00", "08:00-08:00", "24:00-24:00", "08:00-24:01",
             "08:60-09:00", "25:00-26:00", "08:00–18:00", "٠٨:٠٠-١٨:٠٠", "08:00-18:00-20:00"]
)  # fmt: skip
def test_what_is_no_band_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"must look like 08:00-18:00"):
        parse_bands(0, [text])


def test_a_day_is_known_by_three_letters() -> None:
    assert [parse_weekday(day) for day in ("mon", "SUN", " wed ")] == [0, 6, 2]


@pytest.mark.parametrize("day", ["", "monday", "0", "mo"])
def test_another_day_is_refused(day: str) -> None:
    with pytest.raises(BadInput, match="mon, tue"):
        parse_weekday(day)


@pytest.mark.parametrize("name", ["Europe/London", "UTC", "America/Argentina/Buenos_Aires"])
def test_a_zone_is_known_by_its_name(name: str) -> None:
    assert parse_timezone(name).key == name


@pytest.mark.parametrize(
    "name", ["", "London", "Europe", "Europe/", "GMT+1", "../../etc/passwd", "Europe/Nowhere", "A" * 300]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="IANA"):
        parse_timezone(name)
