"""Is everything well? Each check answers ok, degraded or failing with one sentence; no personal data anywhere."""

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from sqlalchemy import Engine, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import reading
from callcenter.logs import log
from callcenter.models import JobHeartbeat
from callcenter.ports import RecordingStore
from callcenter.services.reports import oldest_overdue_at

LOOK_SECONDS = 3.0
"""A part that has not answered by then does not answer: whoever asks about health wants to know it now."""
STORE_CHECKED_EVERY = timedelta(seconds=30)
PROBE_BYTES = 64 * 1024
LITTLE_ROOM_BYTES = 200 * 1024 * 1024
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
NO_DATABASE: Result = (Status.FAILING, "The database does not answer; look at DATABASE_URL and its server.")
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


Seen = TypeVar("Seen")


class _Look(Generic[Seen]):
    """Looks at a part on a thread of its own, because only there it can be given up on. One look at a time: a part that
    hangs costs one thread, however often it is asked about."""

    def __init__(self, look: Callable[[], Seen], too_late: Seen) -> None:
        self._look, self._too_late = look, too_late
        self._under_way: Future[Seen] | None = None
        self._guard = threading.Lock()

    def see(self) -> Seen:
        """What a look shows; after LOOK_SECONDS, what stands for a part that does not answer."""
        with self._guard:
            if self._under_way is None or self._under_way.done():
                self._under_way = Future()
                threading.Thread(target=self._run, args=(self._under_way,), name="health", daemon=True).start()
            under_way = self._under_way
        try:
            return under_way.result(LOOK_SECONDS)
        except TimeoutError:
            return self._too_late

    def _run(self, future: "Future[Seen]") -> None:
        try:
            future.set_result(self._look())
        except Exception as error:
            log("health").exception("check_broke")
            future.set_exception(error)


@dataclass
class HealthMonitor:
    """Runs the checks for one process. Keeps only what may be forgotten: the last look at the store, and since when
    each check has said what it says. ``state_dir`` is where this process keeps files, if it does."""

    engine: Engine
    store: RecordingStore
    state_dir: Path | None = None
    now: Callable[[], datetime] = clock.now
    _since: dict[str, tuple[Status, datetime]] = field(default_factory=dict)
    _store_result: Result = (Status.OK, "not looked at yet")
    _store_checked_at: datetime | None = None
    _store_lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._database_look = _Look(lambda: self._ask_database(self.now()), {"database": NO_DATABASE})
        self._store_look: _Look[str | None] = _Look(
            self._ask_store, f"The store has not answered within {LOOK_SECONDS:.0f} s."
        )

    def report(self) -> Report:
        """Run every check now (the store at most every 30 s). Takes a few seconds at most, whatever hangs."""
        now = self.now()
        results = {**self._database_look.see(), "store": self._check_store(now), **self._check_disk()}
        checks = {name: self._check(name, result, now) for name, result in sorted(results.items())}
        worst = max((check.status for check in checks.values()), key=list(Status).index)
        return Report(worst, checks)

    def is_ready(self) -> bool:
        """Whether this process can do its own work: it needs the database."""
        return self._database_look.see()["database"][0] == Status.OK

    def _check(self, name: str, result: Result, now: datetime) -> Check:
        status, reason = result
        known = self._since.get(name)
        if known is None or known[0] != status:
            known = self._since[name] = (status, now)
        return Check(status, reason, known[1])

    def _ask_database(self, now: datetime) -> dict[str, Result]:
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
            return {"database": NO_DATABASE}

    def _ask_store(self) -> str | None:
        return self.store.check()

    def _check_store(self, now: datetime) -> Result:
        with self._store_lock:
            if self._store_checked_at is None or now - self._store_checked_at >= STORE_CHECKED_EVERY:
                problem = self._store_look.see()
                self._store_result = (Status.FAILING, problem) if problem else (Status.OK, "answers")
                self._store_checked_at = now
            return self._store_result

    def _check_disk(self) -> dict[str, Result]:
        """Where this machine keeps something: beside the SQLite file, or in the directory of the process's state."""
        file = self.engine.url.database if self.engine.dialect.name == "sqlite" else None
        directory = Path(file).parent if file else self.state_dir
        if directory is None or not os.access(directory, os.W_OK | os.X_OK):
            return {}
        return {"disk": _disk(directory)}


def _disk(directory: Path) -> Result:
    """A file is really written: a full disk can be read as ever, and so nobody else would notice."""
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(bytes(PROBE_BYTES))
        room = shutil.disk_usage(directory).free
    except OSError as error:
        problem = "full" if error.errno in FULL else f"not writable ({error.strerror})"
        return Status.FAILING, f"The disk of {directory} is {problem}: callers are forwarded only; make room there."
    if room < LITTLE_ROOM_BYTES:
        return Status.DEGRADED, f"Only {room // 2**20} MiB are left on the disk of {directory}."
    return Status.OK, "has room"


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
