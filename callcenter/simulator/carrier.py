"""Everything the pretend carrier knows. Rules live in the modules around it."""

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from callcenter.simulator.faults import Faults
from callcenter.simulator.journal import Journal
from callcenter.simulator.media import Samples
from callcenter.simulator.model import Conference, Leg, Queue, Recording, new_sid
from callcenter.simulator.outbound import Outbound
from callcenter.simulator.settings import SimulatorSettings
from callcenter.simulator.speech import Speaker
from callcenter.simulator.timing import Clock, utc_now

_KEPT_ENDED_LEGS = 3000


@dataclass
class Number:
    """One of our telephone numbers, as IncomingPhoneNumbers shows it."""

    phone_number: str
    friendly_name: str = ""
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    voice_fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    sid: str = field(default_factory=lambda: new_sid("PN"))
    created_at: datetime = field(default_factory=utc_now)


NUMBER_SETTINGS = frozenset(f.name for f in fields(Number)) - {"phone_number", "sid", "created_at"}


@dataclass
class Behaviour:
    """How a simulated softphone or telephone reacts to ringing; spans in carrier seconds, None = never."""

    registered: bool = True
    answer_after_seconds: float | None = 1.0
    action: str = "answer"
    say: str = ""
    hang_up_after_seconds: float | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)


class Carrier:
    """State of one simulated account, changed only on the event loop."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.clock = Clock(settings.speed)
        self.journal = Journal()
        self.faults = Faults()
        self.outbound = Outbound(settings.auth_token, self.journal, self.faults)
        self.speaker = Speaker()
        self.numbers: dict[str, Number] = {}
        self.clients: dict[str, Behaviour] = {}
        self.phones: dict[str, Behaviour] = {}
        self.legs: dict[str, Leg] = {}
        self.queues: dict[str, Queue] = {}
        self.conferences: dict[str, Conference] = {}
        self.recordings: dict[str, Recording] = {}
        self.next_call_slot = 0.0
        self.played: dict[str, tuple[float, Samples]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="simulator-")
        for phone_number, described in settings.numbers.items():
            self.set_number(phone_number, dict(described))

    @property
    def folder(self) -> Path:
        """Where recordings are kept until the simulator ends."""
        return Path(self._folder.name)

    def set_number(self, phone_number: str, described: dict[str, Any]) -> Number:
        """Create or change a number; empty or None clears a URL. Raises ValueError for names that do not exist."""
        unknown = set(described) - NUMBER_SETTINGS
        if unknown:
            raise ValueError(f"unknown number settings: {', '.join(sorted(unknown))}")
        number = self.numbers.setdefault(phone_number, Number(phone_number, friendly_name=phone_number))
        for name, value in described.items():
            setattr(number, name, value or "")
        return number

    def add(self, leg: Leg) -> Leg:
        """Take in a new leg; the oldest ended ones are forgotten beyond a bound."""
        self.legs[leg.sid] = leg
        if len(self.legs) > _KEPT_ENDED_LEGS:
            for sid in [sid for sid, old in self.legs.items() if not old.live][: len(self.legs) - _KEPT_ENDED_LEGS]:
                del self.legs[sid]
        return leg

    def spawn(
        self, work: Coroutine[Any, Any, Any], leg: Leg | None = None, expected: type[Exception] | None = None
    ) -> asyncio.Task[Any]:
        """Run something beside; with a leg, it ends when the leg ends.

        A crash becomes an alert, never silence, except for `expected` errors, which the waiting side handles.
        """
        task = asyncio.get_running_loop().create_task(work)
        owners = [self._tasks] + ([leg.tasks] if leg else [])
        for owner in owners:
            owner.add(task)

        def done(finished: asyncio.Task[Any]) -> None:
            for owner in owners:
                owner.discard(finished)
            error = None if finished.cancelled() else finished.exception()
            if error and not (expected and isinstance(error, expected)):
                self.crashed(error, leg)

        task.add_done_callback(done)
        return task

    def crashed(self, error: BaseException, leg: Leg | None) -> None:
        """The simulator itself failed: say so where people look."""
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        place = f" at {Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
        self.journal.alert(12400, f"simulator failed: {error!r}{place}", call_sid=leg.sid if leg else None)

    def queue_named(self, name: str) -> Queue | None:
        """The queue with this friendly name."""
        return next((queue for queue in self.queues.values() if queue.friendly_name == name), None)

    def conference_named(self, name: str) -> Conference | None:
        """The conference with this name that has not ended."""
        return next((c for c in self.conferences.values() if c.friendly_name == name and c.status != "completed"), None)

    def recordings_of(self, leg: Leg) -> list[Recording]:
        """All recordings of a leg, oldest first."""
        return [recording for recording in self.recordings.values() if recording.leg is leg]

    def forget_all(self) -> None:
        """Drop every call without a word to anybody, and all that came of them; numbers stay."""
        current = asyncio.current_task()
        for task in [task for task in self._tasks if task is not current]:
            task.cancel()
        for recording in self.recordings.values():
            if recording.file:
                recording.file.unlink(missing_ok=True)
        for kept in (self.legs, self.queues, self.conferences, self.recordings, self.clients, self.phones):
            kept.clear()
        self.faults.rules.clear()
        self.journal.clear()
        self.next_call_slot = 0.0

    async def stop(self) -> None:
        """Cancel everything that runs and delete what was recorded."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.outbound.close()
        self._folder.cleanup()
