"""A hundred callers a second for a minute, at door and web on one port, while somebody asks for the call log without a
pause: every caller is answered in time, and the others wait or are refused (S33).

Beside it the floor ``upsert`` (floors.py) gets the same callers on the same machine, in turn and alone.
"""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from benchmarks import floors, requests_to_door
from benchmarks.databases import KINDS, database
from benchmarks.judging import Report, main, spread
from benchmarks.servers import BASE, process, until_answers
from callcenter import clock
from callcenter.db import create_engine_for, transaction
from callcenter.domain.receptionists import Role
from callcenter.models import new_id
from callcenter.services.access import create_api_key
from tests.factories import create_clinic
from tests.ports import free_port

PER_SECOND, LASTING_SECONDS = 100, 60
SLOWEST_SECONDS = 1.0
THREADS = "24"
"""As many as door and web have in one process."""
CONNECTIONS, OTHER_CONNECTIONS = 64, 24
"""Of callers, and of those who ask for the call log: twice as many as are let in."""


def benchmark(tiny: bool) -> Report:
    """The minute on each kind of database."""
    report = Report("burst")
    for kind in KINDS[:1] if tiny else KINDS:
        with database(kind) as url, _servers(url) as servers:
            _measure(report, kind, servers, 1 if tiny else LASTING_SECONDS)
    return report


def _measure(report: Report, kind: str, servers: "_Servers", seconds: int) -> None:
    for port in (servers.ours, servers.floor):
        _callers(port, 1)  # warms up
    alone = _callers(servers.floor, min(seconds, 10))
    with ThreadPoolExecutor(1) as beside:
        others = beside.submit(_others, servers, seconds)
        callers = _callers(servers.ours, seconds)
    report.at_most(f"{kind}: callers who were not answered", callers.wrong, 0)
    report.at_most(f"{kind}: slowest in s", max(callers.seconds), SLOWEST_SECONDS, judged=False)
    report.figures[kind] = {
        "callers": spread(callers.seconds) | {"answered": len(callers.seconds)},
        "others": {"answered": len(others.result().seconds), "refused": others.result().wrong},
        "floor_alone": spread(alone.seconds),
    }


def _callers(port: int, seconds: int) -> requests_to_door.Outcome:
    calls = requests_to_door.incoming(BASE, [f"CA{new_id()}" for _ in range(PER_SECOND * seconds)])
    return requests_to_door.load(port, calls, connections=CONNECTIONS, per_second=PER_SECOND)


def _others(servers: "_Servers", seconds: int) -> requests_to_door.Outcome:
    """As many as there is room for; a refusal is no right answer."""
    asked = f"GET /api/v1/calls?limit=50 HTTP/1.1\r\nHost: door.example.org\r\nAuthorization: Bearer {servers.key}"
    request = f"{asked}\r\n\r\n".encode()
    return requests_to_door.load(
        servers.ours, repeat(request), connections=OTHER_CONNECTIONS, lasting=seconds, wanted=b'"items"'
    )


@dataclass(frozen=True)
class _Servers:
    ours: int
    floor: int
    key: str


@contextmanager
def _servers(url: str) -> Iterator[_Servers]:
    """The ports of ours, door and web in one process as under ``serve``, and of the floor."""
    engine = create_engine_for(url)
    with transaction(engine) as session:
        create_clinic(session, number=requests_to_door.NUMBER, name="Oak Lane", fallback_number="+441632960999")
        key = create_api_key(session, name="bench", role=Role.OPERATOR, clinics=[], user=None, now=clock.now())
    engine.dispose()
    floors.prepare(url, requests_to_door.NUMBER)
    ours, floor = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="callcenter-bench-") as folder, ExitStack() as stack:
        environ = {
            "PUBLIC_BASE_URL": BASE,
            "TWILIO_ACCOUNT_SID": requests_to_door.ACCOUNT,
            "TWILIO_AUTH_TOKEN": requests_to_door.TOKEN,
            "DATABASE_URL": url,
            "RECORDINGS_URL": f"file://{folder}/recordings",
            "CALLCENTER_STATE_DIR": folder,
        }
        command = ["callcenter.cli", "http", "--bind", f"127.0.0.1:{ours}"]
        stack.enter_context(process(command, folder=Path(folder), environ=environ))
        root = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        upsert = ["benchmarks.floors", "upsert", f"127.0.0.1:{floor}", url, BASE, requests_to_door.TOKEN, THREADS]
        stack.enter_context(process(upsert, folder=Path(folder), environ=root))
        until_answers(ours)
        until_answers(floor)
        yield _Servers(ours, floor, key.secret)


if __name__ == "__main__":
    main(benchmark)
