"""``callcenter check``: can this installation do its work?"""

from collections.abc import Callable
from dataclasses import dataclass

import click
from sqlalchemy.exc import SQLAlchemyError

from callcenter import wiring
from callcenter.cli.output import emit, json_option
from callcenter.config import Settings
from callcenter.errors import CallcenterError
from callcenter.homes import NotAtHome
from callcenter.migrating import is_up_to_date

SLOWEST_CALLS_PER_SECOND = 1.0


@dataclass(frozen=True)
class Result:
    """Outcome of one check: ``ok``, ``warning`` or ``failed``, and a sentence for the last two."""

    status: str
    reason: str | None = None


@click.command("check")
@json_option
def check(json_output: bool) -> int:
    """Check configuration, database, recording store and carrier; exit 1 when any of them fails."""
    results = _results()
    failed = any(result.status == "failed" for result in results.values())
    data = {
        "status": "failed" if failed else "ok",
        "checks": {name: {"status": one.status, "reason": one.reason} for name, one in results.items()},
    }
    lines = [f"{name}: {one.status}{': ' + one.reason if one.reason else ''}" for name, one in results.items()]
    emit(data, json_output, lines)
    return 1 if failed else 0


def _results() -> dict[str, Result]:
    try:
        settings = wiring.load_settings()
    except CallcenterError as error:
        return {"configuration": Result("failed", str(error))}
    checks: dict[str, Callable[[Settings], str | None]] = {
        "database": _database,
        "bucket": lambda s: wiring.recording_store(s).check(),
        "twilio": lambda s: wiring.carrier(s).check(),
    }
    return {"configuration": _configuration(settings)} | {name: _run(one, settings) for name, one in checks.items()}


def _configuration(settings: Settings) -> Result:
    if settings.voice.calls_per_second <= SLOWEST_CALLS_PER_SECOND:
        return Result("warning", "calls_per_second is 1: at most one receptionist is rung each second.")
    return Result("ok")


def _run(one: Callable[[Settings], str | None], settings: Settings) -> Result:
    try:
        problem = one(settings)
    except CallcenterError as error:
        problem = str(error)
    return Result("failed", problem) if problem else Result("ok")


def _database(settings: Settings) -> str | None:
    engine = wiring.engine(settings, pool_size=1)
    try:
        if not is_up_to_date(engine):
            return "The schema is not up to date; run callcenter db upgrade."
    except NotAtHome as error:
        return str(error)
    except SQLAlchemyError:
        return "The database cannot be reached; check DATABASE_URL."
    finally:
        engine.dispose()
    return None
