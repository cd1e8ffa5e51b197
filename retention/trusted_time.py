"""The time by which things are deleted: the database's, and only when this machine agrees with it (R9)."""

from datetime import UTC, datetime

from sqlalchemy import Engine, text

from callcenter import clock
from callcenter.errors import CallcenterError

MOST_DIFFERENCE_SECONDS = 60


class ClocksDiffer(CallcenterError):
    """Host and database do not agree about the time; one of them is wrong, so nothing is deleted (F22)."""

    code = "clocks_differ"


def trusted_now(engine: Engine) -> datetime:
    """The database's time, aware UTC, plus the development offset. Raises ClocksDiffer when it is more than 60 s away
    from the host's; that check is made before the offset is added."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            answer = connection.execute(text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
            database_now = datetime.fromisoformat(answer).replace(tzinfo=UTC)
        else:
            database_now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        connection.rollback()
    difference = (database_now - clock.host_now()).total_seconds()
    if abs(difference) > MOST_DIFFERENCE_SECONDS:
        raise ClocksDiffer(
            f"Nothing is deleted: the clocks of host and database differ by {abs(difference):.0f} s; set them right."
        )
    return database_now + clock.offset()
