"""From a call in the queue to the request that rings a receptionist, while five whole calls a second come in: real
processes (door and workers), the simulator in the carrier's place, receptionists in plenty.

Timed from ``queued_at``, which is a little before the commit, to the moment at which the carrier has the request. The
floor is what nobody can do without, measured beside it all the time: a row written and committed, and a request made.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import requests
from sqlalchemy import select

from benchmarks.databases import database
from benchmarks.judging import Report, main, percentile, spread
from callcenter import clock
from callcenter.db import reading
from callcenter.domain.calls import CallState, Outcome
from callcenter.models import Call, JobHeartbeat, Offer
from callcenter.services import jobs
from tests.e2e.rig import Rig, installation

SETUPS = (("sqlite", 1), ("postgresql", 1), ("postgresql", 4))
"""Kind of database and number of workers."""
CALLS_PER_SECOND, LASTING_SECONDS = 5, 60
RECEPTIONISTS = 60
TALK_SECONDS, SPEED = 6, 4.0
"""A talk in the simulator's seconds, which are SPEED times shorter than life's."""
P99_SECONDS = 0.25
VOICE = {"calls_per_second": 100, "max_wait_seconds": 60, "ring_seconds": 15}


class _Machines(Rig):
    """The door and some workers, without the processes that nobody asks here."""

    workers = 1

    def start_serve(self) -> None:
        """Start them and wait until the door answers."""
        self.start("door", "callcenter.cli", "webhooks")
        for number in range(self.workers):
            self.start(f"worker-{number}", "callcenter.cli", "worker")
        self.until("the door answers", lambda: requests.get(f"{self.web}/readyz", timeout=2).ok, seconds=60)
        self.until("a worker works", self._works, seconds=60)

    def _works(self) -> bool:
        with reading(self.engine) as session:
            return session.get(JobHeartbeat, "worker") is not None


def benchmark(tiny: bool) -> Report:
    """The same minute on each of the set-ups."""
    report = Report("dispatch")
    for kind, workers in SETUPS[:1] if tiny else SETUPS:
        with database(kind) as url, tempfile.TemporaryDirectory(prefix="callcenter-bench-") as folder:
            machines = type("Machines", (_Machines,), {"workers": workers})
            people = 2 if tiny else RECEPTIONISTS
            with installation(
                Path(folder), url, extra_receptionists=people, speed=SPEED, kind=machines, **VOICE
            ) as rig:
                calls = 2 if tiny else CALLS_PER_SECOND * LASTING_SECONDS
                _measure(report, f"{kind}, workers: {workers}", rig, calls=calls)
    return report


def _measure(report: Report, name: str, rig: Rig, *, calls: int) -> None:
    with _floor(rig) as floor:
        sids = _ring(rig, calls)
        _until_over(rig, sids)
    seconds = _waited(rig)
    answered = sum(call is not None and call.outcome == Outcome.ANSWERED for call in map(rig.call, sids))
    report.at_least(f"{name}: share of calls answered", answered / calls, 1.0)
    p99 = percentile(seconds, 0.99)
    report.at_most(f"{name}: p99 in ms, queued to ring request", p99 * 1000, P99_SECONDS * 1000, judged=False)
    report.figures[name] = {"dispatch": spread(seconds), "floor": spread(floor), "calls": calls}


def _ring(rig: Rig, calls: int) -> list[str]:
    """The callers, each at the time that is due."""
    started = time.monotonic()
    talk = [{"wait_for": "connected", "timeout": 3600}, {"wait": TALK_SECONDS}, {"hang_up": True}]

    def one(number: int) -> str:
        time.sleep(max(0.0, started + number / CALLS_PER_SECOND - time.monotonic()))
        return rig.dial(steps=talk, **{"from": f"+4477009{number:05d}"})

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(one, range(calls)))


def _until_over(rig: Rig, sids: list[str]) -> None:
    def over() -> bool:
        with reading(rig.engine) as session:
            ended = session.scalars(select(Call.carrier_call_sid).where(Call.state == CallState.ENDED))
            return set(sids) <= set(ended)

    rig.until("every call is over", over, seconds=120)


def _waited(rig: Rig) -> list[float]:
    """Seconds from the queue to the first ring request of each call, by the one clock of this machine."""
    legs = requests.get(f"{rig.control}/calls", timeout=30).json()["calls"]
    asked = {leg["custom_parameters"].get("offer"): datetime.fromisoformat(leg["created_at"]) for leg in legs}
    with reading(rig.engine) as session:
        offers = session.execute(
            select(Call.id, Call.queued_at, Offer.id)
            .join(Offer, Offer.call_id == Call.id)
            .where(Offer.turn == 1)
            .order_by(Offer.created_at.desc())
        )
        first = {call_id: (queued_at, offer_id) for call_id, queued_at, offer_id in offers if queued_at}
    return [(asked[offer_id] - queued_at).total_seconds() for queued_at, offer_id in first.values()]


@contextmanager
def _floor(rig: Rig) -> Iterator[list[float]]:
    """Seconds of a commit and a request to the simulator, now and then while the block runs."""
    seconds: list[float] = []
    over = threading.Event()
    at_carrier = requests.Session()

    def look() -> None:
        while not over.wait(0.1):
            started = time.perf_counter()
            jobs.started(rig.engine, "floor", interval_seconds=3600, now=clock.now())
            at_carrier.get(f"{rig.control}/calls/nobody", timeout=30)
            seconds.append(time.perf_counter() - started)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join(30)


if __name__ == "__main__":
    main(benchmark)
