"""The incoming-call webhook, the whole job: our door under its own command against the two floors (floors.py).

Rounds are interleaved, so that a busy machine hurts all three alike; what counts is the median of the rounds' ratios.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import func, select

from benchmarks import floors, requests_to_door
from benchmarks.databases import KINDS, database
from benchmarks.judging import Report, main, rounded, spread
from benchmarks.servers import BASE, process, until_answers
from callcenter.db import create_engine_for, reading, transaction
from callcenter.models import Call, CallLeg, CarrierEvent, new_id
from tests.factories import create_clinic
from tests.ports import free_port

FLOORS = ("orm", "upsert")
THREADS = (16, 32)
"""Of each server, and connections of the client: the default of the command, and twice as many."""
STEADY_PER_SECOND = 100


def benchmark(tiny: bool) -> Report:
    """Requests a second against both floors, and how long one takes at 100 a second."""
    report = Report("incoming")
    for kind in KINDS[:1] if tiny else KINDS:
        for threads in THREADS[:1] if tiny else THREADS:
            with database(kind) as url, _servers(url, threads) as ports:
                _measure(report, kind, url, ports, threads, tiny=tiny)
    return report


@contextmanager
def _servers(url: str, threads: int) -> Iterator[dict[str, int]]:
    """Ours and both floors, each on a port of its own, on one database."""
    engine = create_engine_for(url)
    with transaction(engine) as session:
        create_clinic(session, number=requests_to_door.NUMBER, name="Oak Lane", fallback_number="+441632960999")
    engine.dispose()
    floors.prepare(url, requests_to_door.NUMBER)
    ports = {name: free_port() for name in ("ours", *FLOORS)}
    with tempfile.TemporaryDirectory(prefix="callcenter-bench-") as folder, ExitStack() as stack:
        environ = {
            "PUBLIC_BASE_URL": BASE,
            "TWILIO_ACCOUNT_SID": requests_to_door.ACCOUNT,
            "TWILIO_AUTH_TOKEN": requests_to_door.TOKEN,
            "DATABASE_URL": url,
            "CALLCENTER_STATE_DIR": folder,
        }
        ours = ["callcenter.cli", "webhooks", "--bind", f"127.0.0.1:{ports['ours']}", "--threads", str(threads)]
        stack.enter_context(process(ours, folder=Path(folder), environ=environ))
        root = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        for name in FLOORS:
            floor = [
                "benchmarks.floors",
                name,
                f"127.0.0.1:{ports[name]}",
                url,
                BASE,
                requests_to_door.TOKEN,
                str(threads),
            ]
            stack.enter_context(process(floor, folder=Path(folder), environ=root))
        for port in ports.values():
            until_answers(port)
        yield ports


def _measure(report: Report, kind: str, url: str, ports: dict[str, int], threads: int, *, tiny: bool) -> None:
    rounds, seconds = (1, 0.3) if tiny else (5, 1.5)
    sent = 0
    rates: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(rounds + 1):  # the first one warms up
        for name, port in ports.items():
            outcome = requests_to_door.load(port, _calls(int(seconds * 2500)), connections=threads, lasting=seconds)
            _check(outcome, name)
            rates[name].append(outcome.per_second)
            sent += len(outcome.seconds) if name == "ours" else 0
    steady = {}
    for name, port in ports.items():
        load = _calls(STEADY_PER_SECOND * (1 if tiny else 10))
        outcome = requests_to_door.load(port, load, connections=threads, per_second=STEADY_PER_SECOND)
        _check(outcome, name)
        steady[name] = spread(outcome.seconds)
        sent += len(outcome.seconds) if name == "ours" else 0
    _check_rows(url, sent)
    ratios = {
        name: median(ours / floor for ours, floor in zip(rates["ours"][1:], rates[name][1:], strict=True))
        for name in FLOORS
    }
    kind = f"{kind}, {threads} threads"
    report.at_least(f"{kind}: requests/s against (A) orm", ratios["orm"], 1.5)
    report.at_least(f"{kind}: requests/s against (B) upsert", ratios["upsert"], 0.8)
    report.at_most(f"{kind}: p99 in ms at 100/s", steady["ours"]["p99_ms"], 50, judged=False)
    figures: dict[str, Any] = {name: rounded(median(rates[name][1:])) for name in ports}
    report.figures[kind] = {"requests_per_second": figures, "at_100_a_second": steady}


def _calls(number: int) -> list[bytes]:
    return requests_to_door.incoming(BASE, [f"CA{new_id()}" for _ in range(number)])


def _check(outcome: requests_to_door.Outcome, name: str) -> None:
    if outcome.wrong or not outcome.seconds:
        raise RuntimeError(f"{name} gave {outcome.wrong} wrong answers, such as {outcome.example!r}.")


def _check_rows(url: str, sent: int) -> None:
    """An answer only counts with its rows: every request was another call."""
    engine = create_engine_for(url)
    with reading(engine) as session:
        for table in (Call, CallLeg, CarrierEvent):
            kept = session.scalar(select(func.count()).select_from(table))
            if kept != sent:
                raise RuntimeError(f"{sent} calls were answered, {kept} rows are in {table.__tablename__}.")
    engine.dispose()


if __name__ == "__main__":
    main(benchmark)
