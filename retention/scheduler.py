"""``callcenter retention run``: APScheduler pulls the triggers, the database knows what is due (R2).

The timetable is data. Every job writes a heartbeat, has a time limit, and runs first when the process starts (F27).
"""

import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, timedelta
from functools import partial
from typing import Any

from apscheduler.events import EVENT_SCHEDULER_STARTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.errors import CallcenterError
from callcenter.logs import log
from callcenter.ports import Carrier, RecordingStore
from callcenter.services import jobs
from callcenter.signals import on_stop
from retention.call_log import blank_calls, remove_expired_rows
from retention.journal import Journal
from retention.leader import Leader, leader_of
from retention.purge import sweep
from retention.reconcile.run import reconcile
from retention.reconcile.work import Wishes
from retention.trusted_time import trusted_now

Counts = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """What a job works with; ``keep_going`` turns False when it should stop after the batch in hand."""

    engine: Engine
    store: RecordingStore
    carrier: Carrier
    keep_going: Callable[[], bool]
    voice: VoiceSettings = field(default_factory=VoiceSettings)
    journal: Journal | None = None


@dataclass(frozen=True)
class Job:
    """One line of the timetable. ``work`` answers with counts; a true ``failed``, ``braked`` or ``remaining`` is no
    success (R13)."""

    name: str
    interval_seconds: int
    limit_seconds: int
    work: Callable[[Parts], Counts]


def _sweep(parts: Parts) -> Counts:
    found = sweep(parts.engine, parts.store, parts.carrier, journal=parts.journal, keep_going=parts.keep_going)
    return found.as_dict()


def _blank_calls(parts: Parts) -> Counts:
    now = trusted_now(parts.engine)
    return asdict(blank_calls(parts.engine, now=now, journal=parts.journal, keep_going=parts.keep_going))


def _remove_expired_rows(parts: Parts) -> Counts:
    return asdict(remove_expired_rows(parts.engine, now=trusted_now(parts.engine)))


def _reconcile(parts: Parts, *, everything: bool) -> Counts:
    """Unasked only what is safe: the log is completed, rows are, and copies go that our rows say are gone. Recordings
    and objects that nothing explains are reported; somebody decides (docs/decisions/0011-reconciliation.md)."""
    counts = reconcile(
        parts.engine,
        parts.store,
        parts.carrier,
        voice=parts.voice,
        wishes=Wishes(repair=True),
        everything=everything,
        keep_going=parts.keep_going,
    ).as_dict()
    # What waits for a decision is told by the daily run alone; the quick one would turn red within minutes.
    return counts if everything else counts | {"remaining": 0}


SCHEDULE = (
    Job("retention", interval_seconds=60, limit_seconds=50, work=_sweep),
    Job("call_log", interval_seconds=3600, limit_seconds=600, work=_blank_calls),
    Job("expired_rows", interval_seconds=3600, limit_seconds=60, work=_remove_expired_rows),
    Job("reconcile_calls", interval_seconds=600, limit_seconds=300, work=partial(_reconcile, everything=False)),
    Job("reconcile", interval_seconds=86_400, limit_seconds=7200, work=partial(_reconcile, everything=True)),
)
"""P29 promises 24 h and aims at one. A sweep that finds nothing costs a few index look-ups; one that finds much stops
at its limit, reports, and goes on at the next tick, so that the heartbeat is never late because of work."""


SILENT_INTERVALS = 3
"""A leader that has not begun a job for so many of its intervals is not waited for."""
STOP_SECONDS = 15
"""So long after SIGTERM the process may finish what it has in hand; a supervisor kills after 20 s or 30 s."""


def run(
    engine: Engine,
    store: RecordingStore,
    carrier: Carrier,
    *,
    voice: VoiceSettings | None = None,
    journal: Journal | None = None,
    schedule: tuple[Job, ...] = SCHEDULE,
) -> None:
    """Run the timetable until SIGTERM or SIGINT; then finish the batch in hand and return.

    What hangs ends with the process after STOP_SECONDS: every step may be repeated, and leases run out (R5, R6).
    """
    leader, stopping = leader_of(engine), threading.Event()
    parts = Parts(engine, store, carrier, lambda: not stopping.is_set(), voice or VoiceSettings(), journal)
    scheduler = BlockingScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(len(schedule))})
    for job in schedule:
        scheduler.add_job(
            _run_job,
            IntervalTrigger(seconds=job.interval_seconds, timezone=UTC),
            args=(job, parts, leader, stopping),
            id=job.name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            next_run_time=clock.host_now(),
        )

    running = threading.Event()
    scheduler.add_listener(lambda _: running.set(), EVENT_SCHEDULER_STARTED)

    def stop() -> None:
        stopping.wait()
        threading.Thread(target=_end_by_force, name="end", daemon=True).start()
        running.wait()  # a signal may come before the scheduler has begun
        scheduler.shutdown(wait=True)

    on_stop(stopping.set)
    stopper = threading.Thread(target=stop, name="stop", daemon=True)
    stopper.start()
    log("retention").info("started", process="retention")
    scheduler.start()
    stopper.join()
    leader.resign()
    log("retention").info("stopped", process="retention")


def _end_by_force() -> None:
    clock.sleep(STOP_SECONDS)
    log("retention").error("stopped_by_force", process="retention", seconds=STOP_SECONDS)
    os._exit(0)  # threads that hang in a request would keep the interpreter from ending


def _run_job(job: Job, parts: Parts, leader: Leader, stopping: threading.Event) -> None:
    standing_in = not leader.leads()
    if stopping.is_set() or (standing_in and not _leader_is_silent(job, parts.engine)):
        return
    deadline = clock.monotonic_seconds() + job.limit_seconds

    def keep_going() -> bool:
        return not stopping.is_set() and clock.monotonic_seconds() < deadline and (standing_in or leader.leads())

    run_job(job, replace(parts, keep_going=keep_going))


def _leader_is_silent(job: Job, engine: Engine) -> bool:
    """Whether the process that leads has not even begun this job for a while: paused with its host, or stuck. Then
    another one stands in for it. Two at a time are harmless (R5); none at all would break a promise (P29)."""
    try:
        started_at = jobs.last_started_at(engine, job.name)
    except SQLAlchemyError:
        return False
    silent = timedelta(seconds=SILENT_INTERVALS * job.interval_seconds)
    return started_at is not None and clock.now() - started_at > silent


def run_job(job: Job, parts: Parts) -> None:
    """One run with its heartbeat. Nothing is raised: the next tick tries again, and health shows it."""
    started, when = clock.monotonic_seconds(), {"interval_seconds": job.interval_seconds}
    try:
        jobs.started(parts.engine, job.name, now=clock.now(), **when)
        counts = _limited(job, parts)
        wrong = [f"{counts[name]} {name}" for name in ("failed", "braked", "remaining") if counts.get(name)]
        if wrong:
            reason = "; ".join(counts.get("brakes", ())) or ", ".join(wrong)
            jobs.failed(parts.engine, job.name, now=clock.now(), reason=reason, result=counts, **when)
        else:
            seconds = clock.monotonic_seconds() - started
            jobs.beat(parts.engine, job.name, now=clock.now(), seconds=seconds, result=counts, **when)
    except Exception as error:
        log("retention").exception("job_failed", job=job.name)
        _note_failure(job, parts.engine, error)


def _note_failure(job: Job, engine: Engine, error: Exception) -> None:
    reason = str(error) if isinstance(error, CallcenterError) else type(error).__name__
    try:
        jobs.failed(engine, job.name, interval_seconds=job.interval_seconds, now=clock.now(), reason=reason)
    except Exception:
        log("retention").exception("heartbeat_failed", job=job.name)


class JobTooSlow(CallcenterError):
    """A job did not come to an end; it is left to itself, and its leases run out (F26)."""

    code = "job_too_slow"


def _limited(job: Job, parts: Parts) -> Counts:
    """Run the work in a thread that may be abandoned. A well-behaved job stops by itself at its limit, between two
    batches; one that hangs is given the same time once more."""
    outcome: list[Counts | BaseException] = []

    def work() -> None:
        try:
            outcome.append(job.work(parts))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work, name=job.name, daemon=True)
    thread.start()
    longest = 2 * job.limit_seconds
    thread.join(longest)
    if not outcome:
        raise JobTooSlow(f"{job.name} did not end within {longest} s; look at database, store and carrier.")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
