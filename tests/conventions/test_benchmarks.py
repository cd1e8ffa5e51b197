"""Every benchmark can be run as a command. Nothing is judged here: a test machine is no place to measure speed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.judging import Report
from tests.conventions.project import ROOT

pytestmark = pytest.mark.xdist_group("benchmarks")
AT_ONCE = 3
Run = subprocess.CompletedProcess[bytes]


def test_every_module_with_a_measurement_is_run_by_make_bench() -> None:
    runnable = {file.stem for file in (ROOT / "benchmarks").glob("*.py") if "main(benchmark)" in file.read_text()}
    assert runnable == set(NAMES)


@pytest.fixture(scope="module")
def tiny_runs() -> Iterator[dict[str, Future[Run]]]:
    """All of them, a few at a time: most of their time they wait for processes to start and to end."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {name: threads.submit(_tiny_run, name) for name in NAMES}


def _tiny_run(name: str) -> Run:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--tiny"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=240, check=False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_prints_json(tiny_runs: dict[str, Future[Run]], name: str) -> None:
    run = tiny_runs[name].result()
    assert run.returncode == 0, run.stderr.decode()[-3000:]
    told = json.loads(run.stdout)
    assert told["benchmark"] == name
    assert all({"goal", "value", "met", "judged"} <= goal.keys() for goal in told["goals"])
    assert told["goals"]


def test_a_missed_ratio_fails_and_a_missed_time_does_not() -> None:
    report = Report("any")
    report.at_most("p99 in ms", 500, 50, judged=False)
    assert report.passed
    report.at_least("against the floor", 0.7, 0.8)
    assert not report.passed
