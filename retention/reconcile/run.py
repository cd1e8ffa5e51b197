"""One run over all that is to be compared, and how far back it looks."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql, sqlite

from callcenter.config import VoiceSettings
from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.errors import BadInput
from callcenter.logs import log
from callcenter.models import AccessEntry, Switch
from callcenter.ports import Carrier, RecordingStore
from callcenter.services import replays
from retention import brakes
from retention.reconcile.calls import compare_calls
from retention.reconcile.copies import ask_about_silent, compare_copies
from retention.reconcile.objects import compare_objects, compare_uploads
from retention.reconcile.report import Report
from retention.reconcile.work import Wishes, Work
from retention.trusted_time import trusted_now

CALLS_COMPARED = "reconcile.calls"
"""Name of the switch whose time says until when the log is known to be complete."""
OVERLAP = timedelta(hours=5)
"""Longer than the carrier lets a call last (four hours): one that was live at the last run is over at a later one."""
LEAST = timedelta(days=2)
MOST = timedelta(days=replays.KEEP_DAYS)
"""What was removed from the log is remembered for so long; an older call could come back although it was forgotten."""
RECENT = timedelta(hours=26)
JOB = "retention"


def reconcile(
    engine: Engine,
    store: RecordingStore,
    carrier: Carrier,
    *,
    voice: VoiceSettings,
    wishes: Wishes,
    since: datetime | None = None,
    everything: bool = True,
    actor_id: str = JOB,
    now: datetime | None = None,
    keep_going: Callable[[], bool] = lambda: True,
) -> Report:
    """Compare and, as ``wishes`` say, repair; answers what was found.

    ``since`` is how far back calls and the carrier's recordings are compared (default: calls since they were compared
    last, but at least two days; all recordings). Not ``everything``: only calls, and recordings of the last day, which
    is cheap. ``now`` is the trusted time (default: the database's). Raises BadInput when ``since`` is too long ago,
    ClocksDiffer.
    """
    now = now or trusted_now(engine)
    if since is not None and since < now - MOST:
        raise BadInput(f"Calls can be compared for at most {MOST.days} days back.")
    report = Report(repair=wishes.repair)
    work = Work(engine, store, carrier, voice, now, wishes, keep_going, report)
    calls_since = since or _calls_since(engine, now, at_least=LEAST if everything else timedelta(0))
    if not wishes.confirmed:
        _doubt(work)
    if wishes.repair and (wishes.confirmed or actor_id != JOB):
        _log_repair(work, actor_id)
    whole = _passed(work, "calls", lambda: compare_calls(work, calls_since))
    if whole and wishes.repair and since is None:
        _remember(engine, now, actor_id)
    if everything:
        _passed(work, "objects", lambda: compare_objects(work))
        _passed(work, "uploads", lambda: compare_uploads(work))
    copies_since = since if everything else now - RECENT
    _passed(work, "copies", lambda: compare_copies(work, copies_since))
    _passed(work, "silent", lambda: ask_about_silent(work))
    counts = {"remaining": report.remaining, "failed": report.failed, "braked": report.braked}
    log("reconcile").info("reconciled", counts=counts | {str(kind): count for kind, count in report.found.items()})
    return report


def _passed(work: Work, name: str, compare: Callable[[], None]) -> bool:
    """Run one comparison; what breaks it does not keep the others from being made. True when it saw everything and
    nothing failed."""
    if not work.goes_on():
        return False
    failed_before = work.report.failed
    try:
        compare()
    except Exception as error:
        work.note(name, error)
    return work.report.complete and work.report.failed == failed_before


def _calls_since(engine: Engine, now: datetime, *, at_least: timedelta) -> datetime:
    with reading(engine) as session:
        compared = session.get(Switch, CALLS_COMPARED)
        since = compared.changed_at - OVERLAP if compared else now - LEAST
    return max(min(since, now - at_least), now - MOST)


def _remember(engine: Engine, now: datetime, actor_id: str) -> None:
    """Until now the log is complete. Two runs may be the first at once."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    row = {"value": {}, "changed_at": now, "changed_by": actor_id}
    first = insert(Switch).values(name=CALLS_COMPARED, **row)
    with transaction(engine, wake=False) as session:
        session.execute(first.on_conflict_do_update(index_elements=[Switch.name], set_=row))
    crash_point("reconcile.compared")


def _doubt(work: Work) -> None:
    with reading(work.engine) as session:
        if brakes.jumped_seconds(session, work.now, brakes.read_uptime()):
            work.doubt = "The clock has jumped"


def _log_repair(work: Work, actor_id: str) -> None:
    """What the command line does is in the access log, and so is a lifted brake (design §6.6)."""
    with transaction(work.engine, wake=False) as session:
        session.add(_entry(actor_id, work.now))
        if work.wishes.confirmed:
            brakes.log_lifted(session, [], actor_id=actor_id, now=work.now, subject_kind="reconcile")
    crash_point("reconcile.begun")


def _entry(actor_id: str, now: datetime) -> AccessEntry:
    return AccessEntry(
        clinic_id=None, actor_id=actor_id, action="reconcile.repair", subject_kind="reconcile", subject_id=None, at=now
    )
