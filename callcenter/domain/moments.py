"""Times as people and programs write them: RFC 3339 in, RFC 3339 in UTC out."""

from datetime import UTC, datetime

from callcenter.errors import BadInput

_YEARS = range(2000, 2100)


def parse_moment(text: str, *, field: str) -> datetime:
    """An aware time in UTC from text such as ``2026-03-02T09:00:00Z``. Raises BadInput without a time zone, or outside
    the years 2000 to 2099."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in _YEARS:
        raise BadInput(f"{field} must be a time with its zone, such as 2026-03-02T09:00:00Z.")
    return moment.astimezone(UTC)


def show_moment(moment: datetime | None) -> str | None:
    """An aware time as RFC 3339 in UTC with ``Z``, to the millisecond where there is a fraction."""
    if moment is None:
        return None
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
