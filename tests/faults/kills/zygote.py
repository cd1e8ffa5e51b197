"""Our commands as processes of their own, without the second it takes to import them.

``python -m tests.faults.kills.zygote`` imports the product once and forks for every command it is told on its standard
input: each child gets an environment, runs the real command line, and can be killed like any other process.
``Zygote`` is the other end, for tests.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from callcenter.cli.supervisor import PR_SET_PDEATHSIG

PRELOADED = (
    *("boto3", "twilio.rest", "callcenter.cli", "callcenter.cli.serve", "callcenter.worker.loop", "callcenter.wiring"),
    *("callcenter.storage.s3", "callcenter.storage.local", "callcenter.carrier.twilio_client", "callcenter.web.app"),
    *("webhooks.app", "webhooks.cli", "retention.cli", "retention.scheduler", "gunicorn.app.base", "alembic.command"),
    *("psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite"),
)
LOOK_SECONDS = 0.02


class Zygote:
    """Starts commands; everything ends with ``close``."""

    def __init__(self) -> None:
        self._process = Popen([sys.executable, "-m", __name__], stdin=PIPE, stdout=PIPE, text=True)
        self._turn = threading.Lock()

    def start(self, *arguments: str, environ: Mapping[str, str], log: Path) -> int:
        """Run a command of ours; answers its process id. Its output is appended to ``log``."""
        return int(self._ask(arguments=arguments, environ=dict(environ), log=str(log))["pid"])

    def status(self, pid: int) -> int | None:
        """The exit code of a command, negative for the signal that ended it; None while it runs."""
        answer: int | None = self._ask(status_of=pid)["status"]
        return answer

    def wait(self, pid: int, *, seconds: float = 60) -> int:
        """The exit code of a command that is about to end."""
        until = time.monotonic() + seconds
        while (status := self.status(pid)) is None:
            assert time.monotonic() < until, f"The command has not ended within {seconds} s."
            time.sleep(LOOK_SECONDS)
        return status

    def stop(self, pid: int) -> None:
        """Ask a command to end, and wait for it."""
        if self.status(pid) is None:
            os.kill(pid, signal.SIGTERM)
            self.wait(pid)

    def close(self) -> None:
        """End the zygote and what it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _serve() -> None:
    from importlib import import_module

    for name in PRELOADED:
        import_module(name)
    client = import_module("twilio.rest").Client("AC", "nobody")
    _ = client.calls, client.queues, client.conferences, client.recordings  # it imports itself piece by piece
    started: dict[int, int | None] = {}
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any]
        if "arguments" in question:
            pid = os.fork()
            if pid == 0:
                _become(**question)
            started[pid] = None
            answer = {"pid": pid}
        else:
            pid = question["status_of"]
            if started[pid] is None:
                ended, how = os.waitpid(pid, os.WNOHANG)
                started[pid] = os.waitstatus_to_exitcode(how) if ended else None
            answer = {"status": started[pid]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in [pid for pid, status in started.items() if status is None]:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _become(arguments: list[str], environ: dict[str, str], log: str) -> None:
    """Be the command, in a group of its own, which is easily ended as a whole."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # nothing stays when the tests are broken off
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(Path(log).parent)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.argv = ["callcenter", *arguments]
    from callcenter.cli import main

    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)
    finally:
        os._exit(70)


if __name__ == "__main__":
    _serve()
