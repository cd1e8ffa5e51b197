"""``callcenter jobs``: when the periodic jobs last ran."""

from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy import select

from callcenter.cli.output import emit, json_option, table
from callcenter.cli.transactions import work
from callcenter.models import JobHeartbeat
from callcenter.services.health import LATE_AFTER_INTERVALS


@click.command("jobs")
@json_option
def jobs(json_output: bool) -> None:
    """When each periodic job last ran, whether it is late, and what it said last."""
    with work() as w:
        rows = w.session.scalars(select(JobHeartbeat).order_by(JobHeartbeat.name))
        items = [_job(row, w.now) for row in rows]
    columns = {"job": "name", "every (s)": "interval_seconds", "last success": "last_success_at", "late": "late"}
    lines = table(items, columns, nothing="No job has run yet; callcenter serve runs them.")
    emit({"items": items, "next": None}, json_output, lines)


def _job(row: JobHeartbeat, now: datetime) -> dict[str, Any]:
    patience = timedelta(seconds=row.interval_seconds * LATE_AFTER_INTERVALS)
    return {
        "name": row.name,
        "interval_seconds": row.interval_seconds,
        "last_started_at": row.last_started_at,
        "last_success_at": row.last_success_at,
        "last_failure_at": row.last_failure_at,
        "last_failure": row.last_failure,
        "last_seconds": row.last_seconds,
        "late": row.last_success_at is None or now - row.last_success_at > patience,
        "result": row.result,
    }
