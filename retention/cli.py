"""Commands of retention: ``callcenter retention …`` and ``callcenter hold …`` (design §6.3).

Found through the entry point group ``callcenter.commands``. Errors become one sentence and exit code 2 or 1 in the
command line's main.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from callcenter import clock, wiring
from callcenter.cli.output import emit, json_option
from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.logs import configure
from callcenter.models import LegalHold
from callcenter.services import retention_requests
from retention.call_log import LogResult, blank_calls, remove_expired_rows
from retention.journal import Journal
from retention.purge import SweepResult, sweep
from retention.reconcile.command import reconcile_command
from retention.trusted_time import trusted_now

ACTOR = "command-line"
SOMETHING_FAILED = 1
BRAKED = 3


@contextmanager
def _engine() -> Iterator[Engine]:
    engine = wiring.engine(wiring.load_settings())
    try:
        yield engine
    finally:
        engine.dispose()


@click.group()
def retention() -> None:
    """Forget recordings and calls on time."""


@retention.command("due")
@json_option
def due(json_output: bool) -> None:
    """List the recordings that must be purged now, oldest first; held ones are marked."""
    with _engine() as engine:
        now = trusted_now(engine)
        with reading(engine) as session:
            rows = retention_requests.list_due(session, now)
    lines = [
        f"{row.recording_id}  {row.state:<9}  expired {row.expires_at:%Y-%m-%d %H:%M:%S}Z"
        + ("  held" if row.held else "")
        + (f"  failed: {row.failure}" if row.failure else "")
        for row in rows
    ]
    emit([asdict(row) for row in rows], json_output, lines or ["Nothing is due."])


@retention.command("sweep")
@click.option("--dry-run", is_flag=True, help="Count only; change nothing.")
@click.option("--confirm", is_flag=True, help="Lift the brakes this once; it is written to the access log.")
@json_option
@click.pass_context
def sweep_command(context: click.Context, dry_run: bool, confirm: bool, json_output: bool) -> None:
    """Purge the recordings and blank the calls that are due. Exit code 0: clean, 1: something failed and stays due,
    3: a brake stopped it."""
    settings = wiring.load_settings()
    journal = Journal(settings.state_dir)
    with _engine() as engine:
        result = sweep(
            engine,
            wiring.recording_store(settings),
            wiring.carrier(settings),
            actor_id=ACTOR,
            confirmed=confirm,
            dry_run=dry_run,
            at_once=True,
            journal=journal,
            progress=_show_progress,
        )
        now = trusted_now(engine)
        calls = blank_calls(engine, now=now, actor_id=ACTOR, confirmed=confirm, dry_run=dry_run, journal=journal)
        rows = LogResult() if dry_run else remove_expired_rows(engine, now=now, confirmed=confirm)
    emit(
        result.as_dict() | {"calls": asdict(calls), "other_rows": asdict(rows)},
        json_output,
        _lines(result, calls, rows),
    )
    if result.failed:
        context.exit(SOMETHING_FAILED)
    if result.braked or calls.braked or rows.braked:
        context.exit(BRAKED)


@retention.command("run")
@json_option
def run_command(json_output: bool) -> None:
    """Run the timetable of sweeps until told to stop (SIGTERM); the first sweep is at once.

    In production it does not start with a store that lies where recordings may not be (P43).
    """
    from retention.scheduler import run

    configure()
    settings = wiring.load_settings()
    store = wiring.checked_recording_store(settings)
    with _engine() as engine:
        run(engine, store, wiring.carrier(settings), voice=settings.voice, journal=Journal(settings.state_dir))
    emit({"stopped": True}, json_output, ["Stopped."])


@retention.command("replay-ledger")
@click.option(
    "--journal",
    "more",
    multiple=True,
    metavar="DIRECTORY",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="State directory of another host whose retention process has worked; may be repeated.",
)
@json_option
def replay_command(more: tuple[Path, ...], json_output: bool) -> None:
    """After a restore: forget again what was forgotten since the backup. Until then nothing uses the database."""
    from retention.replay import replay

    settings = wiring.load_settings()
    journals = [Journal(directory) for directory in (settings.state_dir, *more)]
    engine = wiring.engine(settings, anywhere=True)
    try:
        result = replay(engine, journals, now=trusted_now(engine))
    finally:
        engine.dispose()
    summary = f"{result.recordings} recordings are due again and hidden, {result.calls} calls are blanked."
    emit(asdict(result), json_output, [summary, "The database is in use again; retention removes the recordings."])


@click.group()
def hold() -> None:
    """Keep single recordings from being purged."""


@hold.command("place")
@click.option("--recording", "recording_id", required=True, help="The recording's id.")
@click.option("--reason", required=True, help="Why it must be kept.")
@click.option("--review", "review", required=True, type=click.DateTime(["%Y-%m-%d"]), help="When to look at it again.")
@json_option
def place(recording_id: str, reason: str, review: datetime, json_output: bool) -> None:
    """Keep a recording until the hold is released. It stays hidden once it has expired."""
    with _engine() as engine:
        now = trusted_now(engine)
        with transaction(engine) as session:
            placed = retention_requests.place_hold(
                session,
                recording_id=recording_id,
                reason=reason,
                review_on=review.date(),
                actor_id=ACTOR,
                now=now,
            )
            shown = _shown(placed)
        crash_point("holds.placed")
    emit(shown, json_output, [f"Hold {shown['id']} keeps recording {shown['recording_id']}."])


@hold.command("release")
@click.argument("hold_id")
@click.option("--reason", required=True, help="Why it need not be kept any more.")
@json_option
def release(hold_id: str, reason: str, json_output: bool) -> None:
    """End a hold; the recording is purged when it has expired."""
    with _engine() as engine:
        now = trusted_now(engine)
        with transaction(engine) as session:
            released = retention_requests.release_hold(session, hold_id=hold_id, reason=reason, actor_id=ACTOR, now=now)
            shown = _shown(released)
        crash_point("holds.released")
    emit(shown, json_output, [f"Hold {shown['id']} is released."])


@hold.command("list")
@click.option("--all", "with_released", is_flag=True, help="Show released holds too.")
@json_option
def list_command(with_released: bool, json_output: bool) -> None:
    """List the holds in force, those to be reviewed first. Their reasons are read: it is written to the access log."""
    with _engine() as engine, transaction(engine) as session:
        found = retention_requests.list_holds(session, in_force=not with_released)
        retention_requests.log_holds_shown(session, found, actor_id=ACTOR, now=clock.now())
        holds = [_shown(one) for one in found]
    crash_point("holds.shown")
    lines = [
        f"{one['id']}  recording {one['recording_id']}  review {one['review_on']}"
        + ("  released" if one["released_at"] else "")
        for one in holds
    ]
    emit(holds, json_output, lines or ["There are no holds."])


commands: list[click.Command] = [retention, hold, reconcile_command]


def _show_progress(result: SweepResult) -> None:
    if result.due > result.deleted + result.failed:
        click.echo(f"{result.deleted} of {result.due} deleted, {result.failed} failed …", err=True)


def _lines(result: SweepResult, calls: LogResult, rows: LogResult) -> list[str]:
    counts = ("due", "deleted", "failed", "held", "skipped", "braked")
    summary = ", ".join(f"{getattr(result, name)} {name}" for name in counts)
    log_lines = [f"Calls: {calls.due} due, {calls.done} blanked, {calls.braked} braked"] if calls.due else []
    reasons = list(dict.fromkeys([*result.brakes, *calls.brakes, *rows.brakes]))
    advice = ["Look at what is due, then run: callcenter retention sweep --confirm"] if reasons else []
    return [("Would sweep: " if result.dry_run else "Swept: ") + summary, *log_lines, *reasons, *advice]


def _shown(one: LegalHold) -> dict[str, Any]:
    names = ("id", "clinic_id", "recording_id", "reason", "placed_by", "placed_at")
    later = ("released_at", "released_by", "release_reason")
    return {name: getattr(one, name) for name in (*names, *later)} | {"review_on": one.review_on.isoformat()}
