"""How soon a process is there, and what it keeps resident.

Time is told beside a floor of the same run, the bare interpreter and web framework; memory does not depend on how busy
the machine is, and judges.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.databases import database
from benchmarks.judging import Report, main, rounded
from benchmarks.servers import process, until_answers
from tests.ports import free_port

MEGABYTE = 1024 * 1024
SETTLED_SECONDS = 5
BARE = ["-c", "import click"]
BARE_WEB = ["-c", "import flask, sqlalchemy.orm, gunicorn.app.base"]
HELP = ["-m", "callcenter.cli", "--help"]
HELP_TIMES, READY_TIMES, RESIDENT_MEGABYTES = 0.3, 2.0, 120
HELP_OVER_BARE, READY_OVER_BARE = 2.5, 4.0


def benchmark(tiny: bool) -> Report:
    """``--help``, the web process until it answers, and the resident memory of every process."""
    report, rounds = Report("start"), 1 if tiny else 9
    bare, helped, bare_web = _times([BARE, HELP, BARE_WEB], rounds)
    report.at_most("--help, of the bare interpreter with its command library", helped / bare, HELP_OVER_BARE)
    report.at_most("--help in s", helped, HELP_TIMES, judged=False)
    with database("sqlite") as url, tempfile.TemporaryDirectory(prefix="callcenter-bench-") as folder:
        place = Path(folder)
        ready = median(_until_ready(url, place) for _ in range(1 if tiny else 5))
        report.at_most("web process ready, of importing its libraries", ready / bare_web, READY_OVER_BARE)
        report.at_most("web process ready in s", ready, READY_TIMES, judged=False)
        resident = _resident(url, place, settled_seconds=0.5 if tiny else SETTLED_SECONDS)
    for name, megabytes in resident.items():
        report.at_most(f"{name}: resident MB", megabytes, RESIDENT_MEGABYTES)
    report.figures = {"help_s": rounded(helped), "bare_s": rounded(bare), "ready_s": rounded(ready)}
    return report


def _times(commands: Sequence[Sequence[str]], rounds: int) -> list[float]:
    """Median seconds of each command, run in turn."""
    seconds: list[list[float]] = [[] for _ in commands]
    for _ in range(rounds):
        for command, times in zip(commands, seconds, strict=True):
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - started)
    return [median(times) for times in seconds]


def _environ(url: str, folder: Path) -> dict[str, str]:
    return {"DATABASE_URL": url, "CALLCENTER_STATE_DIR": str(folder), "RECORDINGS_URL": f"file://{folder}/recordings"}


def _until_ready(url: str, folder: Path) -> float:
    port = free_port()
    started = time.perf_counter()
    with process(
        ["callcenter.cli", "web", "--bind", f"127.0.0.1:{port}"], folder=folder, environ=_environ(url, folder)
    ):
        until_answers(port)
        return time.perf_counter() - started


def _resident(url: str, folder: Path, *, settled_seconds: float) -> dict[str, float]:
    """The largest process of each command, in megabytes, once it is at work; what processes of one command share is
    counted in each."""
    ports = {"webhooks": free_port(), "web": free_port()}
    commands = {name: [name, "--bind", f"127.0.0.1:{port}"] for name, port in ports.items()}
    commands |= {"worker": ["worker"], "retention": ["retention", "run"]}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                process(["callcenter.cli", *command], folder=folder, environ=_environ(url, folder))
            )
            for name, command in commands.items()
        }
        for port in ports.values():
            until_answers(port)
        time.sleep(settled_seconds)
        return {name: max(map(_megabytes, _family(one.pid))) for name, one in running.items()}


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def _megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise RuntimeError(f"Process {pid} has ended.")


if __name__ == "__main__":
    main(benchmark)
