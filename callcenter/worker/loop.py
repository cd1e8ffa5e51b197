"""The worker process: one thread ticks, a pool tells the carrier, two threads copy recordings."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from callcenter import clock
from callcenter.config import Settings
from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.logs import log
from callcenter.models import CarrierCommand, new_id
from callcenter.ports import Carrier, RecordingStore
from callcenter.services import commands, ingest, jobs, queueing
from callcenter.worker.execute import carry_out, take
from callcenter.worker.lifeline import Lifeline
from callcenter.worker.tick import ask_about_all, dispatch_all, tick, tidy
from callcenter.worker.wake import POLL_SECONDS, waker_for

COMMAND_THREADS = 8
COPY_THREADS = 2
HEARTBEAT_SECONDS = 10
RENEW_SECONDS = 5
TAKE_OVER_SECONDS = 1
TIDY_SECONDS = 60
LOOK_AROUND_SECONDS = 0.25
BREATH_SECONDS, LONG_BREATH_SECONDS = 0.02, 0.04
"""Between two looks at what is due; the long one after a look that found nothing for us. When much happens at once one
look is enough for all of it, and the time of the processor goes to the commands. Who has had nothing to do for longer
looks at once."""


class _Every:
    """Runs something at once and then every so many seconds of this process's own time."""

    def __init__(self, seconds: float, do: Callable[[], None]) -> None:
        self._seconds, self._do, self._due = seconds, do, 0.0

    def run_if_due(self) -> None:
        if clock.monotonic_seconds() >= self._due:
            self._do()
            self._due = clock.monotonic_seconds() + self._seconds


class Worker:
    """Runs until ``stop`` is called; may be killed at any moment without losing work."""

    def __init__(self, settings: Settings, engine: Engine, carrier: Carrier, store: RecordingStore) -> None:
        self._settings = settings
        self._engine = engine
        self._carrier = carrier
        self._store = store
        self._stop = threading.Event()
        self._holder = new_id()
        self._lifeline: Lifeline | None = None
        self._look_around_at = 0.0
        self._busy: set[str] = set()
        self._busy_guard = threading.Lock()

    def stop(self) -> None:
        """Finish what is in hand and return from ``run``."""
        self._stop.set()

    def run(self) -> None:
        """Work until stopped."""
        copiers = [threading.Thread(target=self._copy, name=f"copy-{n}", daemon=True) for n in range(COPY_THREADS)]
        for copier in copiers:
            copier.start()
        self._lifeline = self._new_lifeline()
        waker = waker_for(self._engine)
        asked = False
        upkeep = (
            _Every(TAKE_OVER_SECONDS, self._take_over),
            _Every(RENEW_SECONDS, self._renew),
            _Every(HEARTBEAT_SECONDS, self._beat),
            _Every(TIDY_SECONDS, lambda: tidy(self._engine)),
        )
        with ThreadPoolExecutor(COMMAND_THREADS, thread_name_prefix="command") as pool:
            while not self._stop.is_set():
                again, taken = False, 0
                try:
                    for task in upkeep:
                        task.run_if_due()
                    if not asked:
                        ask_about_all(self._engine)
                        asked = True
                    due, again = self._look()
                    taken, left = self._hand_out(pool, due)
                    again = again or left
                except Exception:
                    # The database may be away: say so, wait, go on. Work is found again when it is back.
                    log("worker").exception("tick_broke")
                    self._stop.wait(1)
                self._stop.wait(BREATH_SECONDS if taken else LONG_BREATH_SECONDS)
                if not again:
                    waker.wait(self._stop)
        waker.close()
        if self._lifeline is not None:
            self._lifeline.close()

    def _look(self) -> tuple[list[str], bool]:
        """Offer the callers who can be offered, whenever something has changed; what time brings, every
        LOOK_AROUND_SECONDS. Answers the commands that are due, and whether to look again in a moment."""
        if clock.monotonic_seconds() < self._look_around_at:
            somebody, due = self._see()
            if not somebody:
                return due, False
            again = dispatch_all(self._engine, self._settings.voice)
        else:
            again = tick(self._engine, self._settings.voice)
            self._look_around_at = clock.monotonic_seconds() + LOOK_AROUND_SECONDS
        return self._see()[1], again

    def _see(self) -> tuple[bool, list[str]]:
        """Whether somebody can be offered, and the commands that are due."""
        with reading(self._engine) as session:
            due = commands.due_ids(session, now=clock.now(), limit=COMMAND_THREADS * 4)
            return bool(queueing.offerable(session, now=clock.now())), due

    def _new_lifeline(self) -> Lifeline | None:
        try:
            return Lifeline(self._settings.state_dir / "workers", self._holder)
        except OSError as error:
            log("worker").warning("no_lifeline", error=type(error).__name__)  # the leases will do
            return None

    def _take_over(self) -> None:
        """What a dead worker of this machine had under way need not wait for its lease to run out."""
        if self._lifeline is None:
            return
        for holder in self._lifeline.dead():
            with transaction(self._engine) as session:
                commands.release(session, holder)
            crash_point("worker.took_over")
            self._lifeline.forget(holder)

    def _renew(self) -> None:
        with self._busy_guard:
            busy = bool(self._busy)
        if busy:
            with transaction(self._engine, wake=False) as session:
                commands.renew(session, self._holder, now=clock.now())
            crash_point("worker.renewed")

    def _beat(self) -> None:
        jobs.beat(self._engine, "worker", interval_seconds=HEARTBEAT_SECONDS, now=clock.now())

    def _hand_out(self, pool: ThreadPoolExecutor, found: list[str]) -> tuple[int, bool]:
        """Take as many of the due commands as there are idle threads; answers how many, and whether some are left."""
        with self._busy_guard:
            busy = set(self._busy)
        due = [command_id for command_id in found if command_id not in busy]
        idle = COMMAND_THREADS - len(busy)
        taken = take(self._engine, due, holder=self._holder, limit=idle) if due and idle else []
        with self._busy_guard:
            self._busy.update(command.id for command in taken)
        for command in taken:
            pool.submit(self._carry_out, command)
        return len(taken), len(taken) < len(due)

    def _carry_out(self, command: CarrierCommand) -> None:
        try:
            carry_out(self._engine, self._carrier, self._settings.voice, command)
        except Exception:
            log("worker").exception("command_not_recorded", command_id=command.id)
        finally:
            with self._busy_guard:
                self._busy.discard(command.id)

    def _copy(self) -> None:
        while not self._stop.is_set():
            try:
                did_some = ingest.run_once(self._engine, self._carrier, self._store, now=clock.now())
            except Exception:
                log("worker").exception("copy_broke")
                did_some = False
            if not did_some:
                self._stop.wait(POLL_SECONDS)
