"""The real processes with the simulator in the carrier's place: ``serve`` (door, web, worker, retention) on a database
of either kind, people who are signed in, and a caller's telephone."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import OperationalError

from callcenter import clock
from callcenter.carrier.urls import DoorUrls
from callcenter.config import SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.calls import CallState
from callcenter.domain.receptionists import Presence, Role
from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.models import Call, Receptionist, Recording, User
from callcenter.services.access import create_api_key
from tests.cast import Cast, create_cast
from tests.e2e.processes import below, command_line, listens
from tests.e2e.story import story_of
from tests.factories import create_receptionist
from tests.ports import free_port

SPEED = 4.0
"""The simulator is this much faster than life; our own timers are short, and the door has time on a busy machine."""
VOICE = {
    "calls_per_second": 50,
    "ring_seconds": 8,
    "max_wait_seconds": 10,
    "wrap_up_seconds": 1,
    "short_abandon_seconds": 1,
    "answer_within_seconds": 8,
}
ANSWERS = {"registered": True, "action": "answer", "answer_after_seconds": 2}


@dataclass
class Rig:
    """One installation under test."""

    directory: Path
    database_url: str
    engine: Engine
    cast: Cast
    key: str
    speed: float = SPEED
    port: int = field(default_factory=free_port)
    simulator_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    breaks_last: bool = False

    @property
    def store(self) -> Path:
        """The directory of the recordings."""
        return self.directory / "var" / "recordings"

    @property
    def web(self) -> str:
        """Address of door and web."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def control(self) -> str:
        """Address of the simulator's control API."""
        return f"http://127.0.0.1:{self.simulator_port}/simulator"

    def environ(self) -> dict[str, str]:
        """What the processes get to know."""
        ours = {
            "PORT": str(self.port),
            "DATABASE_URL": self.database_url,
            "CALLCENTER_STATE_DIR": str(self.directory / "var"),
            "RECORDINGS_URL": f"file://{self.store}",
            "CALLCENTER_CONFIG": str(self.directory / "twilio_config.yaml"),
            "TWILIO_API_BASE_URL": f"http://127.0.0.1:{self.simulator_port}",
            "TWILIO_ACCOUNT_SID": SIMULATOR_ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": SIMULATOR_AUTH_TOKEN,
        }
        return dict(os.environ) | ours

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a process; its output goes to a file of its name."""
        with (self.directory / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=self.environ(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.processes[name]

    def start_serve(self) -> None:
        """Start everything of ours and wait until it answers."""
        self.start("serve", "callcenter.cli", "serve")
        self.until("serve answers", lambda: requests.get(f"{self.web}/readyz", timeout=2).ok, seconds=90)

    def kill_serve(self) -> None:
        """kill -9 of the parent; the children must go with it."""
        family = below(self.processes["serve"].pid)
        assert len(family) >= 4, "http with its server, worker, retention"
        self.processes["serve"].kill()
        self.processes["serve"].wait()
        self.until("the children are gone", lambda: not any(map(command_line, family)), seconds=30)
        assert not listens(self.port)

    def child(self, command: str) -> int | None:
        """The process that ``serve`` runs for a command of its own (http, worker, retention), while there is one."""
        family = below(self.processes["serve"].pid)
        return min((pid for pid, line in family.items() if line.split()[3:4] == [command]), default=None)

    def kill_child(self, command: str) -> None:
        """kill -9 of one process of ours; ``serve`` starts another."""
        if (pid := self.child(command)) is not None:
            os.kill(pid, signal.SIGKILL)

    def start_simulator(self) -> None:
        """Start the carrier and point the clinics' numbers at our door."""
        self.start(
            "simulator",
            "callcenter.simulator",
            *("--port", str(self.simulator_port), "--speed", str(self.speed), "--calls-per-second", "50"),
        )
        self.until("the simulator answers", lambda: requests.get(f"{self.control}/state", timeout=2).ok, seconds=90)
        urls = DoorUrls(self.web, "ie1")
        addresses = {
            "voice_url": urls.incoming(),
            "voice_fallback_url": urls.fallback(),
            "status_callback": urls.status(),
        }
        self.put("numbers", {self.cast.hill.number: addresses, self.cast.lake.number: addresses})

    def stop(self) -> None:
        """End every process."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()

    def put(self, what: str, body: Any, method: str = "PUT") -> Any:
        """Change something at the simulator."""
        answer = requests.request(method, f"{self.control}/{what}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def faults(self, *rules: dict[str, Any]) -> None:
        """The trouble that is in force from now on."""
        self.put("faults", {"rules": list(rules)})

    def softphone(self, receptionist: Receptionist, **behaviour: Any) -> None:
        """How a receptionist's softphone reacts."""
        with reading(self.engine) as session:
            identity = session.get_one(User, receptionist.user_id).identity
        self.put(f"clients/{identity}", ANSWERS | behaviour)

    def dial(self, scenario: str | None = None, **inline: Any) -> str:
        """A caller rings the hill clinic; answers the leg's SID."""
        body = {"to": self.cast.hill.number, **({"scenario": scenario} if scenario else {}), **inline}
        return str(self.put("calls", body, "POST")["sid"])

    def phone(self, sid: str) -> dict[str, Any]:
        """What the caller's telephone knows of a call."""
        found: dict[str, Any] = requests.get(f"{self.control}/calls/{sid}", timeout=10).json()
        return found

    def api(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        """A request to our JSON API with the supervisor's key."""
        return requests.request(
            method,
            f"{self.web}/api/v1{path}",
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=10,
        )

    def call(self, sid: str) -> Call | None:
        """Our row of a call."""
        with reading(self.engine) as session:
            return session.scalars(select(Call).where(Call.carrier_call_sid == sid)).one_or_none()

    def recordings(self, sid: str) -> list[Recording]:
        """Our recordings of a call."""
        with reading(self.engine) as session:
            query = select(Recording).join(Call, Call.id == Recording.call_id).where(Call.carrier_call_sid == sid)
            return list(session.scalars(query.order_by(Recording.started_at)))

    def stored_objects(self) -> list[str]:
        """The keys of what is in the store; a put that was broken off is no object."""
        return sorted(file.name for file in self.store.rglob("*") if file.is_file() and not file.name.startswith("."))

    def until_state(self, sid: str, state: CallState, *, turn: int = 1, seconds: float = 40) -> Call:
        """Wait for a state of a call."""

        def reached() -> Call | None:
            call = self.call(sid)
            return call if call is not None and call.state == state and call.turn >= turn else None

        found: Call = self.until(f"the call is {state}", reached, seconds=seconds, sid=sid)
        return found

    def until_recorded(self, sid: str) -> None:
        """Wait until the call's recording runs."""
        self.until("it records", lambda: self.recordings(sid)[0].state == RecordingState.RECORDING)

    def until_settled(self, sid: str, *, seconds: float = 60) -> Call:
        """Wait until a call has ended and its recordings need nothing more."""
        call = self.until_state(sid, CallState.ENDED, seconds=seconds)

        def settled() -> bool:
            return all(
                recording.state not in (*LIVE_RECORDING_STATES, RecordingState.COPYING)
                and (not recording.carrier_copy_due or recording.carrier_copy_deleted_at is not None)
                for recording in self.recordings(sid)
            )

        self.until("the recordings are settled", settled, seconds=seconds)
        return self.call(sid) or call

    def until(self, what: str, look: Callable[[], Any], *, seconds: float = 30, sid: str | None = None) -> Any:
        """The first true answer of ``look``; a failing test says what did not happen and what the logs say."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                found = look()
            except requests.ConnectionError:
                found = None
            if found:
                return found
            time.sleep(0.1)
        story = story_of(self.control, sid, self.call(sid)) if sid else ""
        raise AssertionError(f"Within {seconds} s it did not come to pass that {what}.\n{self._logs()}\n{story}")

    def _logs(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.directory.glob("*.log")))


@contextmanager
def installation(
    directory: Path,
    database_url: str,
    *,
    extra_receptionists: int = 0,
    speed: float = SPEED,
    kind: Callable[..., Rig] = Rig,
    **voice: Any,
) -> Iterator[Rig]:
    """Processes on a migrated database, with rosie and robin at work; everything ends with the block."""
    (directory / "twilio_config.yaml").write_text(yaml.safe_dump(VOICE | voice))
    engine = create_engine_for(database_url)
    with transaction(engine) as session:
        cast = create_cast(session)
        for _ in range(extra_receptionists):
            create_receptionist(session, cast.hill.clinic)
        key = create_api_key(
            session, name="tests", role=Role.SUPERVISOR, clinics=[cast.hill.clinic], user=None, now=clock.now()
        )
    rig = kind(directory, database_url, engine, cast, key.secret, speed)
    at_home = threading.Event()
    softphones = threading.Thread(target=_beat, args=(rig, at_home), daemon=True)
    softphones.start()
    try:
        rig.start_simulator()
        rig.start_serve()
        with reading(engine) as session:
            for receptionist in session.scalars(select(Receptionist)):
                rig.softphone(receptionist)
        yield rig
    finally:
        rig.stop()
        at_home.set()
        softphones.join(10)
        engine.dispose()


def _beat(rig: Rig, at_home: threading.Event) -> None:
    """Every softphone shows signs of life, and whoever was set on a break comes back unless ``breaks_last``."""
    while not at_home.is_set():
        came_back = update(Receptionist).where(Receptionist.presence_reason.in_(("missed_offer", "unreachable")))
        with suppress(OperationalError), transaction(rig.engine) as session:  # a test may take the database away
            session.execute(update(Receptionist).values(heartbeat_at=clock.now()))
            if not rig.breaks_last:
                session.execute(came_back.values(presence=Presence.AVAILABLE, presence_reason=None))
        at_home.wait(3)
