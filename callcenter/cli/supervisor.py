"""Keeps child processes running and takes them along when it ends, however it ends."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from callcenter import clock
from callcenter.logs import log
from callcenter.signals import on_stop

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15
RESTART_SECONDS = 1.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Child:
    """A process of ours: ``arguments`` of the ``callcenter`` command, or of ``module`` when that is named."""

    name: str
    arguments: Sequence[str]
    module: str = "callcenter.cli"


class Supervisor:
    """Starts children, restarts one that ends by itself, stops all of them on ``stop``."""

    def __init__(self, children: Sequence[Child], environ: Mapping[str, str], output: IO[bytes] | None = None) -> None:
        self._children = list(children)
        self._environ = dict(environ)
        self._output = output
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._restart_at: dict[str, float] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Start every child that does not run."""
        for child in self._children:
            if child.name not in self._running:
                self._running[child.name] = self._spawn(child)

    def _spawn(self, child: Child) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        return subprocess.Popen(
            [sys.executable, "-m", child.module, *child.arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            preexec_fn=lambda: _end_with_parent(parent),  # noqa: PLW1509 - no threads hold locks this early
        )

    def run(self) -> None:
        """Start, look after the children until SIGTERM or SIGINT, then stop them."""
        self.start()
        self.wait_for_signal()
        self.stop()

    def wait_for_signal(self) -> None:
        """Look after the children until this process is asked to end."""
        on_stop(self._stop.set)
        while not self._stop.is_set():
            self._restart_ended()
            self._stop.wait(LOOK_SECONDS)

    def _restart_ended(self) -> None:
        now = clock.monotonic_seconds()
        for child in self._children:
            process = self._running[child.name]
            if process.poll() is None:
                continue
            due = self._restart_at.setdefault(child.name, now + RESTART_SECONDS)
            if now >= due:
                log("serve").error("process_ended", process=child.name, status=process.returncode)
                del self._restart_at[child.name]
                self._running[child.name] = self._spawn(child)

    def stop(self) -> None:
        """Ask every child to end, and end those that do not."""
        self._stop.set()
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        until = clock.monotonic_seconds() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, until - clock.monotonic_seconds()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_with_parent(parent: int) -> None:
    """In the child: get SIGTERM when the parent dies, even by kill -9 (Linux; elsewhere children notice later)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
