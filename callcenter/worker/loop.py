"""The worker process: one thread ticks, a pool tells the carrier, two threads copy recordings."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from callcenter import clock
from callcenter.config import Settings
from callcenter.db import reading
from callcenter.logs import log
from callcenter.ports import Carrier, RecordingStore
from callcenter.services import commands, ingest, jobs
from callcenter.worker.execute import execute
from callcenter.worker.tick import ask_about_all, tick
from callcenter.worker.wake import POLL_SECONDS, waker_for

COMMAND_THREADS = 8
COPY_THREADS = 2
HEARTBEAT_SECONDS = 10


class Worker:
    """Runs until ``stop`` is called; may be killed at any moment without losing work."""

    def __init__(self, settings: Settings, engine: Engine, carrier: Carrier, store: RecordingStore) -> None:
        self._settings = settings
        self._engine = engine
        self._carrier = carrier
        self._store = store
        self._stop = threading.Event()
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
        waker = waker_for(self._engine)
        next_heartbeat, asked = 0.0, False
        with ThreadPoolExecutor(COMMAND_THREADS, thread_name_prefix="command") as pool:
            while not self._stop.is_set():
                try:
                    if clock.monotonic_seconds() >= next_heartbeat:
                        jobs.beat(self._engine, "worker", interval_seconds=HEARTBEAT_SECONDS, now=clock.now())
                        next_heartbeat = clock.monotonic_seconds() + HEARTBEAT_SECONDS
                    if not asked:
                        ask_about_all(self._engine)
                        asked = True
                    tick(self._engine, self._settings.voice)
                    self._hand_out(pool)
                except Exception:
                    # The database may be away: say so, wait, go on. Work is found again when it is back.
                    log("worker").exception("tick_broke")
                    self._stop.wait(1)
                waker.wait(self._stop)
        waker.close()

    def _hand_out(self, pool: ThreadPoolExecutor) -> None:
        with reading(self._engine) as session:
            due = commands.due_ids(session, now=clock.now(), limit=COMMAND_THREADS * 4)
        for command_id in due:
            with self._busy_guard:
                if command_id in self._busy or len(self._busy) >= COMMAND_THREADS * 2:
                    continue
                self._busy.add(command_id)
            pool.submit(self._execute, command_id)

    def _execute(self, command_id: str) -> None:
        try:
            execute(self._engine, self._carrier, self._settings.voice, command_id)
        except Exception:
            log("worker").exception("command_not_recorded", command_id=command_id)
        finally:
            with self._busy_guard:
                self._busy.discard(command_id)

    def _copy(self) -> None:
        while not self._stop.is_set():
            try:
                did_some = ingest.run_once(self._engine, self._carrier, self._store, now=clock.now())
            except Exception:
                log("worker").exception("copy_broke")
                did_some = False
            if not did_some:
                self._stop.wait(POLL_SECONDS)
