"""Is everything well? Each check answers ok, degraded or failing with one sentence; no personal data anywhere."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import reading
from callcenter.logs import log
from callcenter.models import JobHeartbeat
from callcenter.ports import RecordingStore
from callcenter.services.reports import oldest_overdue_at

STORE_CHECKED_EVERY = timedelta(seconds=30)
OVERDUE_DEGRADED_AFTER = timedelta(hours=1)
OVERDUE_FAILING_AFTER = timedelta(hours=24)
"""P29: target one hour, promise 24."""
MOST_CLOCK_DIFFERENCE = timedelta(seconds=60)
"""R9: nothing is deleted when host and database differ by more."""
LATE_AFTER_INTERVALS = 2
"""A job is late when its last success is older than this many of its intervals."""
EXPECTED_JOBS = ("worker", "retention")
"""Jobs that must have reported at least once; others are shown when they have."""


class Status(StrEnum):
    """From well to bad."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


@dataclass(frozen=True)
class Check:
    """One check's result; ``since`` is when this process first saw this status."""

    status: Status
    reason: str
    since: datetime


@dataclass(frozen=True)
class Report:
    """All checks by name; ``status`` is the worst of them."""

    status: Status
    checks: dict[str, Check]


Result = tuple[Status, str]


@dataclass
class HealthMonitor:
    """Runs the checks for one process. Keeps only what may be forgotten: the last look at the store, and since when
    each check has said what it says."""

    engine: Engine
    store: RecordingStore
    now: Callable[[], datetime] = clock.now
    _since: dict[str, tuple[Status, datetime]] = field(default_factory=dict)
    _store_result: Result = (Status.OK, "not looked at yet")
    _store_checked_at: datetime | None = None
    _store_lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self) -> Report:
        """Run every check now (the store at most every 30 s)."""
        now = self.now()
        results = {**self._database_checks(now), "store": self._check_store(now)}
        checks = {name: self._check(name, result, now) for name, result in sorted(results.items())}
        worst = max((check.status for check in checks.values()), key=list(Status).index)
        return Report(worst, checks)

    def is_ready(self) -> bool:
        """Whether this process can do its own work: it needs the database."""
        return self._database_checks(self.now())["database"][0] == Status.OK

    def _check(self, name: str, result: Result, now: datetime) -> Check:
        status, reason = result
        known = self._since.get(name)
        if known is None or known[0] != status:
            known = self._since[name] = (status, now)
        return Check(status, reason, known[1])

    def _database_checks(self, now: datetime) -> dict[str, Result]:
        try:
            with reading(self.engine) as session:
                return {
                    "database": (Status.OK, "answers"),
                    "clock": _clock(session),
                    "recordings": _overdue(session, now),
                    **_jobs(session, now),
                }
        except SQLAlchemyError:
            log("health").exception("database_check_failed")
            return {"database": (Status.FAILING, "The database does not answer; look at DATABASE_URL and its server.")}

    def _check_store(self, now: datetime) -> Result:
        with self._store_lock:
            if self._store_checked_at is None or now - self._store_checked_at >= STORE_CHECKED_EVERY:
                problem = self.store.check()
                self._store_result = (Status.FAILING, problem) if problem else (Status.OK, "answers")
                self._store_checked_at = now
            return self._store_result


def _clock(session: Session) -> Result:
    if session.get_bind().dialect.name == "sqlite":
        return Status.OK, "the database runs on this machine"
    database_now: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    difference = abs(database_now - clock.host_now())
    if difference > MOST_CLOCK_DIFFERENCE:
        seconds = round(difference.total_seconds())
        return Status.FAILING, f"Host and database differ by {seconds} s; nothing is deleted until they agree."
    return Status.OK, "host and database agree"


def _overdue(session: Session, now: datetime) -> Result:
    oldest = oldest_overdue_at(session, now=now)
    late = now - oldest if oldest else timedelta(0)
    if late < OVERDUE_DEGRADED_AFTER:
        return Status.OK, "no recording is overdue for deletion"
    status = Status.FAILING if late >= OVERDUE_FAILING_AFTER else Status.DEGRADED
    return (
        status,
        f"A recording should have been deleted {round(late.total_seconds() / 3600)} h ago; look at the sweep.",
    )


def _jobs(session: Session, now: datetime) -> dict[str, Result]:
    results: dict[str, Result] = {
        name: (Status.DEGRADED, f"The {name} process has not reported yet; is it running?") for name in EXPECTED_JOBS
    }
    for beat in session.scalars(select(JobHeartbeat)):
        results[beat.name] = _job(beat, now)
    return results


def _job(beat: JobHeartbeat, now: datetime) -> Result:
    latest = beat.last_success_at or beat.last_started_at
    allowed = timedelta(seconds=LATE_AFTER_INTERVALS * beat.interval_seconds)
    if latest is None or now - latest > allowed:
        return Status.FAILING, f"{beat.name} has had no success for more than {allowed.total_seconds():.0f} s."
    if beat.last_success_at is None:
        return Status.DEGRADED, f"{beat.name} has started and not finished yet."
    if beat.last_failure_at and beat.last_failure_at > beat.last_success_at:
        return Status.DEGRADED, f"The last run of {beat.name} failed; the one before succeeded."
    return Status.OK, "on time"
