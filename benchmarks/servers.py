"""Processes under measurement: started with settings of their own, waited for, ended."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

BASE = "https://door.example.org"


@contextmanager
def process(
    arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m …`` for as long as the block; its output goes to a file in ``folder``."""
    with (folder / "processes.log").open("ab") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=os.environ | dict(environ or {}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def until_answers(port: int, path: str = "/healthz", *, seconds: float = 60) -> float:
    """Wait until a server answers 200; returns how long that took. Raises TimeoutError."""
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                if answer.status == 200:
                    return time.perf_counter() - started
        except OSError:
            time.sleep(0.01)
    raise TimeoutError(f"Nobody answered on port {port}.")
