"""Opening hours: bands per weekday in the clinic's own time zone, turned into spans of real time.

All questions are answered from the spans, so that "is it open", "may this be booked" and "what is free" always agree,
also in the nights when the clocks change. A wall time that does not exist is taken as if the clocks had not changed
yet; one that exists twice is the first.
"""

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from callcenter.errors import BadInput

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_OF_DAY = 24 * 60

_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]{1,30}(?:/[A-Z][A-Za-z0-9_+-]{1,30}){1,2}")
_BAND = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True, order=True)
class Band:
    """Open from ``opens_minute`` (inclusive) to ``closes_minute`` (exclusive), minutes after midnight; Monday is 0."""

    weekday: int
    opens_minute: int
    closes_minute: int

    def __str__(self) -> str:
        return "-".join(f"{m // 60:02d}:{m % 60:02d}" for m in (self.opens_minute, self.closes_minute))


@dataclass(frozen=True, order=True)
class Span:
    """Open from ``from_at`` (inclusive) to ``to_at`` (exclusive), aware UTC."""

    from_at: datetime
    to_at: datetime


def parse_timezone(name: str) -> ZoneInfo:
    """A time zone by its IANA name, or BadInput."""
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        pass  # unknown, a folder of zones, or not a zone at all
    raise BadInput("The time zone must be an IANA name such as Europe/London.")


def parse_weekday(text: str) -> int:
    """``mon`` … ``sun`` (any case) as 0 … 6, or BadInput."""
    try:
        return WEEKDAYS.index(text.strip().lower())
    except ValueError:
        raise BadInput(f"The day must be one of {', '.join(WEEKDAYS)}.") from None


def parse_bands(weekday: int, texts: Collection[str]) -> list[Band]:
    """The bands of one day from texts like ``08:00-18:00`` (``24:00`` ends the day), in order; none = closed.

    Raises BadInput for a text of another form, one that ends before it begins, and bands that overlap.
    """
    bands = sorted(_parse_band(weekday, text.strip()) for text in texts)
    for earlier, later in itertools.pairwise(bands):
        if later.opens_minute < earlier.closes_minute:
            raise BadInput(f"The opening hours {earlier} and {later} overlap.")
    return bands


def _parse_band(weekday: int, text: str) -> Band:
    match = _BAND.fullmatch(text)
    hours = [int(part) for part in match.groups()] if match else []
    opens, closes = (hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]) if match else (0, 0)
    if not opens < closes <= MINUTES_OF_DAY:
        raise BadInput("Opening hours must look like 08:00-18:00 and end after they begin, at 24:00 at the latest.")
    return Band(weekday, opens, closes)


def by_weekday(bands: Collection[Band] | None) -> dict[str, list[str]] | None:
    """Each weekday's bands as texts; None, for always open, stays None."""
    if bands is None:
        return None
    return {day: [str(band) for band in bands if band.weekday == number] for number, day in enumerate(WEEKDAYS)}


def open_spans(bands: Collection[Band], tz: ZoneInfo, from_at: datetime, to_at: datetime) -> list[Span]:
    """When it is open between two aware times, in order, touching spans joined (24:00 runs on into 00:00)."""
    joined: list[Span] = []
    for span in sorted(_spans_around(bands, tz, from_at, to_at)):
        clipped = Span(max(span.from_at, from_at.astimezone(UTC)), min(span.to_at, to_at.astimezone(UTC)))
        if clipped.from_at >= clipped.to_at:
            continue
        if joined and clipped.from_at <= joined[-1].to_at:
            joined[-1] = Span(joined[-1].from_at, max(joined[-1].to_at, clipped.to_at))
        else:
            joined.append(clipped)
    return joined


def is_open(bands: Collection[Band], tz: ZoneInfo, now: datetime) -> bool:
    """Whether it is open at an aware time."""
    return bool(open_spans(bands, tz, now, now + timedelta(microseconds=1)))


def covers(bands: Collection[Band], tz: ZoneInfo, from_at: datetime, to_at: datetime) -> bool:
    """Whether it is open during the whole of a time."""
    return open_spans(bands, tz, from_at, to_at) == [Span(from_at.astimezone(UTC), to_at.astimezone(UTC))]


def _spans_around(bands: Collection[Band], tz: ZoneInfo, from_at: datetime, to_at: datetime) -> Iterator[Span]:
    day = from_at.astimezone(tz).date() - timedelta(days=1)
    last = to_at.astimezone(tz).date() + timedelta(days=1)
    while day <= last:
        for band in bands:
            if band.weekday == day.weekday():
                yield Span(_moment(day, band.opens_minute, tz), _moment(day, band.closes_minute, tz))
        day += timedelta(days=1)


def _moment(day: date, minute: int, tz: ZoneInfo) -> datetime:
    wall = datetime.combine(
        day + timedelta(days=minute // MINUTES_OF_DAY), time(minute % MINUTES_OF_DAY // 60, minute % 60)
    )
    return wall.replace(tzinfo=tz).astimezone(UTC)
