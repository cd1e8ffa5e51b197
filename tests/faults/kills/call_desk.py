"""An installation whose worker and door are killed while calls go through: the simulator, the door and the web, and a
worker that is started again whenever it has died."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from sqlalchemy import or_, select, update

from callcenter import clock
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.calls import CallState
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.domain.receptionists import Presence
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, CallLeg, CarrierCommand, Offer, Receptionist, Recording
from tests.cast import create_cast
from tests.e2e.rig import VOICE, Rig
from tests.faults.invariants import Evidence, broken
from tests.faults.kills.ears import Ears, manager_key
from tests.faults.kills.zygote import Zygote

SPEED = 10.0
CANARY = "+447700900987"
RINGS_LONG = {"ring_seconds": 60}
"""In seconds of the simulator: nobody is to miss an offer because this machine is busy."""
STAY = [{"wait_for": "connected", "timeout": 600}]
SECONDS = 90
"""Patience: nothing here takes so long, whatever else the machine does."""


@dataclass
class CallDesk:
    """``armed`` are the points at which worker and door die, ``name`` or ``name:nth``."""

    rig: Rig
    zygote: Zygote
    ears: Ears
    armed: tuple[str, ...] = ()
    worker: int | None = None
    http: int | None = None
    kills: Counter[str] = field(default_factory=Counter)
    wanted_gone: set[str] = field(default_factory=set)

    @property
    def markers(self) -> Path:
        """Where whoever died has left a file."""
        return self.rig.directory / "var" / "crash-points"

    def start(self, command: str) -> int:
        """Start a process of ours with the points armed."""
        armed = {"CALLCENTER_CRASH_POINT": ",".join(self.armed)} if self.armed else {}
        log = self.rig.directory / f"{command}.log"
        return self.zygote.start(command, environ=self.rig.environ() | armed, log=log)

    def arm(self, *points: str) -> None:
        """Start everything anew, with these points armed; what ran before is killed too."""
        self.stop_worker()
        self.armed = points
        if self.http is not None:
            os.killpg(self.http, signal.SIGKILL)
            self.zygote.wait(self.http)
        self.http = self.start("http")
        self.rig.until(
            "the door answers", lambda: requests.get(f"{self.rig.web}/readyz", timeout=5).ok, seconds=SECONDS
        )
        self.worker = self.start("worker")

    def stop_worker(self) -> None:
        """kill -9, and nobody starts another."""
        if self.worker is not None:
            os.kill(self.worker, signal.SIGKILL)
            self.zygote.wait(self.worker)
            self.worker = None

    def look_after(self) -> None:
        """Start another worker when one has died, which it may only do at an armed point."""
        if self.worker is None or (status := self.zygote.status(self.worker)) is None:
            return
        marked = [point for point in self.armed if self._killed(point) == self.worker]
        assert (status, len(marked)) == (-signal.SIGKILL, 1), f"The worker ended with {status} at {marked}."
        self.worker = self.start("worker")

    def _marker(self, point: str) -> Path:
        return self.markers / point.partition(":")[0]

    def _killed(self, point: str) -> int | None:
        marker = self._marker(point)
        return int(marker.read_text() or 0) if marker.exists() else None

    def somebody_died(self) -> bool:
        """Whether one of the points has been deadly."""
        return any(self._killed(point) is not None for point in self.armed)

    def count_the_dead(self) -> set[str]:
        """The points that were deadly, each to a process that is not there any more."""
        deadly = {point: pid for point in self.armed if (pid := self._killed(point)) is not None}
        for point, pid in deadly.items():
            assert not Path(f"/proc/{pid}/exe").exists(), f"{pid} should have died at {point}"
            self.kills[point] += 1
            self._marker(point).unlink()
        return set(deadly)

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        """The first true answer of ``look``, while workers die and are started again."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.look_after()
            try:
                if found := look():
                    return found
            except requests.RequestException:
                pass
            time.sleep(0.05)
        state = requests.get(f"{self.rig.control}/state", timeout=10).text[-3000:]
        raise AssertionError(f"Within {SECONDS} s it did not come to pass that {what}.\n{state}\n{self.rig._logs()}")

    # what people do

    def dial(self, *steps: dict[str, Any]) -> str:
        """A caller rings the hill clinic; the leg's SID."""
        return self.rig.dial(steps=[*STAY, *steps], **{"from": CANARY})

    def is_in(self, sid: str, state: CallState, turn: int = 1) -> Call:
        """Wait for a state of a call."""

        def reached() -> Call | None:
            call = self.rig.call(sid)
            return call if call is not None and call.state == state and call.turn >= turn else None

        found: Call = self.until(f"the call is {state}", reached)
        return found

    def connected(self, *steps: dict[str, Any]) -> tuple[str, Call]:
        """A caller who talks to a receptionist, and is recorded."""
        sid = self.dial(*steps)
        call = self.is_in(sid, CallState.CONNECTED)
        self.until("it is recorded", lambda: self.recording(sid).state == RecordingState.RECORDING)
        return sid, call

    def does(self, work: Callable[..., object], *arguments: Any, **named: Any) -> None:
        """A receptionist's button: a service in a transaction of its own."""
        with transaction(self.rig.engine) as session:
            work(session, *arguments, now=clock.now(), **named)

    def change(self, call: Call, **values: Any) -> None:
        """Change columns of a call's row."""
        with transaction(self.rig.engine) as session:
            session.execute(update(Call).where(Call.id == call.id).values(**values))

    def hangs_up(self, sid: str) -> None:
        """A party puts the telephone down."""
        requests.post(f"{self.rig.control}/calls/{sid}/hang_up", timeout=10)

    def nobody_is_free(self) -> None:
        """All receptionists are at lunch."""
        self._presence(Presence.ON_BREAK, "lunch")

    def everybody_is_free(self) -> None:
        """And back."""
        self._presence(Presence.AVAILABLE, None)

    def _presence(self, presence: Presence, reason: str | None) -> None:
        with transaction(self.rig.engine) as session:
            session.execute(update(Receptionist).values(presence=presence, presence_reason=reason))

    def her_leg(self, call: Call) -> str:
        """The SID of the receptionist's leg."""
        with reading(self.rig.engine) as session:
            legs = select(CallLeg.carrier_call_sid).where(CallLeg.offer_id == call.accepted_offer_id)
            return str(session.scalars(legs).one())

    def offers(self, sid: str) -> list[Offer]:
        """The offers of a call."""
        with reading(self.rig.engine) as session:
            query = select(Offer).join(Call, Call.id == Offer.call_id).where(Call.carrier_call_sid == sid)
            return list(session.scalars(query.order_by(Offer.created_at)))

    def recording(self, sid: str) -> Recording:
        """The last recording of a call."""
        return self.rig.recordings(sid)[-1]

    # how it ends

    def comes_to_rest(self) -> None:
        """Every call has ended and nothing is left to do, whoever dies meanwhile; or it is said what is."""
        self.rig.faults()
        try:
            self.until("nothing is left to do", self._is_at_rest)
        except AssertionError as problem:
            raise AssertionError(f"{self.broken(soon=True)}\n{problem}") from None

    def _is_at_rest(self) -> bool:
        with transaction(self.rig.engine) as session:
            patient = update(CarrierCommand).where(CarrierCommand.kind == CommandKind.CHECK_RECORDING)
            session.execute(patient.values(next_attempt_at=clock.now()))  # it would wait for a minute, and for three
            waiting = select(CarrierCommand.id).where(CarrierCommand.state == CommandState.PENDING)
            pending = session.scalar(waiting.limit(1))
        left = self.broken(soon=True)
        if left and all(sentence.endswith("for good") for sentence in left):  # what retention is there for
            with reading(self.rig.engine) as session:
                # Refused, or a card number may be in it: a pause that was not confirmed in time (P39).
                wanted = or_(Recording.state == RecordingState.REFUSED, Recording.purge_wanted)
                self.wanted_gone.update(session.scalars(select(Recording.id).where(wanted)))
            log = self.rig.directory / "retention.log"
            self.zygote.wait(self.zygote.start("retention", "sweep", environ=self.rig.environ(), log=log))
        return not left and pending is None

    def broken(self, *, soon: bool = False) -> list[str]:
        """The invariants that do not hold; ``soon``: before everybody has had time to listen."""
        legs = requests.get(f"{self.rig.control}/calls", timeout=10).json()["calls"]
        left = [leg["sid"] for leg in legs if leg["live"]]
        evidence = Evidence(
            self.rig.engine,
            clock.now(),
            self._stored(),
            {one["sid"] for leg in legs for one in leg["recordings"] if one["status"] != "deleted"},
            calls=[leg["sid"] for leg in legs if leg["direction"] == "inbound"],
            listen=None if soon else self.ears.hear,
            wanted_gone=self.wanted_gone,
            canaries=[CANARY, CANARY.removeprefix("+")],
            texts=[file for file in self.rig.directory.glob("*.log") if file.name != "simulator.log"],
        )
        return [*broken(evidence), *(f"I9 leg {sid} is still up" for sid in left)]

    def _stored(self) -> Counter[str]:
        files = [file for file in self.rig.store.rglob("*") if file.is_file()]
        return Counter(file.name.split(".")[1] if file.name.startswith(".") else file.name for file in files)


@contextmanager
def call_desk(directory: Path, database_url: str, zygote: Zygote) -> Iterator[CallDesk]:
    """An installation on a migrated database, with rosie and robin at work."""
    (directory / "twilio_config.yaml").write_text(yaml.safe_dump(VOICE | RINGS_LONG))
    engine = create_engine_for(database_url)
    with transaction(engine) as session:
        cast = create_cast(session)
    key = manager_key(engine, cast.hill.clinic)
    rig = Rig(directory, database_url, engine, cast, key, SPEED)
    desk = CallDesk(rig, zygote, Ears(engine, cast.hill.clinic, cast.lake.clinic, rig.web))
    over = threading.Event()
    softphones = threading.Thread(target=_beat, args=(desk, over), daemon=True)
    softphones.start()
    try:
        desk.rig.start_simulator()
        yield desk
    finally:
        desk.stop_worker()
        if desk.http is not None:
            zygote.stop(desk.http)
        desk.rig.stop()
        over.set()
        softphones.join(10)
        engine.dispose()


def _beat(desk: CallDesk, over: threading.Event) -> None:
    """Softphones show signs of life, and whoever missed an offer comes back at once."""
    while not over.is_set():
        missed = update(Receptionist).where(Receptionist.presence_reason.in_(("missed_offer", "unreachable")))
        with transaction(desk.rig.engine) as session:
            session.execute(update(Receptionist).values(heartbeat_at=clock.now()))
            session.execute(missed.values(presence=Presence.AVAILABLE, presence_reason=None))
        over.wait(2)
