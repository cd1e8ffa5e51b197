"""A clinic, its receptionists, the worker and a truthful carrier in one room, with a clock that the test turns.

What the legs ask reaches the real services at once; what the carrier notifies is delivered late, repeatedly or never,
as ``fate`` decides; the worker's commands and sweepers run on every beat.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine, select

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState
from callcenter.domain.commands import CommandState
from callcenter.domain.events import ConferenceEvent, IncomingCall, LegReport
from callcenter.domain.steps import Step
from callcenter.models import Call, CarrierCommand, Receptionist, new_id
from callcenter.services import calls, carrier_reports, commands
from callcenter.worker.execute import execute
from callcenter.worker.tick import tick
from tests.cast import Cast, create_cast
from tests.factories import NOW
from tests.fake_carrier import FakeCarrier
from tests.fake_lines import FakeLeg, Notice, Place

VOICE = VoiceSettings(calls_per_second=100, wrap_up_seconds=900)
"""A wrap-up that outlasts every story, so that it can be seen at the end."""

Fate = tuple[float, ...]
"""After how many seconds a notification arrives, once per copy; nothing: it is lost."""

QUIET_STEPS = (1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 60, 61, 61, 61, 61, 61, 61)


@contextmanager
def clock_at_now() -> Iterator[None]:
    """The product's clock says NOW; set right again afterwards."""
    clock.set_offset((NOW - clock.host_now()).total_seconds())
    try:
        yield
    finally:
        clock.set_offset(0)


@dataclass
class World:
    """Everything together; ``repeat`` says whether a control request is sent twice."""

    engine: Engine
    voice: VoiceSettings = VOICE
    fate: Callable[[Notice], Fate] = lambda _notice: (0,)
    repeat: Callable[[], bool] = lambda: False
    cast: Cast = field(init=False)
    carrier: FakeCarrier = field(init=False)
    on_the_way: list[tuple[float, Notice]] = field(default_factory=list)
    elapsed: float = 0.0

    def __post_init__(self) -> None:
        self.carrier = FakeCarrier(self)
        with transaction(self.engine) as session:
            self.cast = create_cast(session)
            self.carrier.number = self.cast.hill.number
            self.cast.rosie.idle_since_at = NOW.replace(hour=7)
            self.cast.robin.idle_since_at = NOW.replace(hour=8)

    # time

    def passes(self, seconds: float, *, beat: float = 1.0) -> None:
        """Let time pass in beats; softphones stay alive, callers in a queue go on waiting, the worker works."""
        until = self.elapsed + seconds
        while self.elapsed < until:
            step = min(beat, until - self.elapsed)
            self.elapsed += step
            clock.set_offset(clock.offset().total_seconds() + step)
            with transaction(self.engine) as session:
                for receptionist in session.scalars(select(Receptionist)):
                    receptionist.heartbeat_at = clock.now()
            self.carrier.waiting_goes_on()
            self.works()

    def works(self) -> None:
        """Deliver what arrives by now and do all that is due, until there is nothing more."""
        while True:
            busy = self._deliver()
            tick(self.engine, self.voice)
            with reading(self.engine) as session:
                due = commands.due_ids(session, now=clock.now(), limit=20)
            for command_id in due:
                execute(self.engine, self.carrier, self.voice, command_id)
            if not busy and not due and not self.carrier.notices:
                return

    def quietens(self) -> None:
        """Let everything come to rest: no live call, nothing to be told, nothing on the way."""
        for step in QUIET_STEPS:
            if self._is_quiet():
                return
            self.passes(step, beat=step)
        assert self._is_quiet(), "Something goes on for ever."

    def _is_quiet(self) -> bool:
        with reading(self.engine) as session:
            live = session.scalar(select(Call.id).where(Call.state != CallState.ENDED))
            pending = session.scalar(select(CarrierCommand.id).where(CarrierCommand.state == CommandState.PENDING))
        return not (live or pending or self.on_the_way or self.carrier.notices)

    # notifications

    def _deliver(self) -> bool:
        new, self.carrier.notices = self.carrier.notices, []
        self.on_the_way += [(self.elapsed + delay, notice) for notice in new for delay in self.fate(notice)]
        arriving = sorted((one for one in self.on_the_way if one[0] <= self.elapsed), key=lambda one: one[0])
        self.on_the_way = [one for one in self.on_the_way if one[0] > self.elapsed]
        for _, notice in arriving:
            self.deliver(notice)
        return bool(arriving)

    def deliver(self, notice: Notice) -> None:
        """One notification reaches the door."""
        event, address = notice.event, notice.address
        with transaction(self.engine) as session:
            common = {"voice": self.voice, "now": clock.now()}
            if isinstance(event, ConferenceEvent):
                assert isinstance(address, Place)
                carrier_reports.conference_reported(session, address.call_id, address.turn, event, **common)  # type: ignore[arg-type]
            elif isinstance(event, LegReport):
                if address is None:
                    carrier_reports.caller_leg_reported(session, event, **common)  # type: ignore[arg-type]
                else:
                    carrier_reports.offer_leg_reported(session, str(address), event, **common)  # type: ignore[arg-type]
            else:
                carrier_reports.recording_reported(session, str(address), event, **common)  # type: ignore[arg-type]

    # the people

    def softphone(self, receptionist: Receptionist | None = None) -> FakeLeg:
        """The leg that rings at her (default: anybody's) softphone; lets up to five minutes pass until one does."""
        identities = [r.user.identity for r in ([receptionist] if receptionist else [self.cast.rosie, self.cast.robin])]
        for _ in range(150):
            for identity in identities:
                leg = self.carrier.rings_at(identity)
                if leg is not None:
                    return leg
            self.passes(2, beat=2)
        raise AssertionError("No softphone rings.")

    def call(self) -> Call:
        """The only call there is."""
        with reading(self.engine) as session:
            return session.scalars(select(Call)).one()

    # tests.fake_lines.Door

    def incoming(self, sid: str) -> tuple[Step, Place]:
        incoming = IncomingCall(sid, "+447700900123", self.cast.hill.number)
        return self._asks(lambda session: calls.receive_call(session, incoming, voice=self.voice, now=clock.now()), sid)

    def next_step(self, place: Place) -> tuple[Step, Place]:
        return self._asks(
            lambda session: calls.next_step(session, place.call_id, place.turn, voice=self.voice, now=clock.now()),
            place,
        )

    def wait(self, place: Place, queue_sid: str) -> tuple[Step, Place]:
        return self._asks(
            lambda session: calls.wait_step(
                session,
                place.call_id,
                place.turn,
                carrier_queue_sid=queue_sid,
                voice=self.voice,
                now=clock.now(),
            ),
            place,
        )

    def out_of_queue(self, place: Place, *, hung_up: bool) -> tuple[Step, Place]:
        if not hung_up:
            return self.next_step(place)
        return self._asks(lambda session: calls.left_line(session, place.call_id, now=clock.now()), place)

    def message(self, place: Place, seconds: int) -> tuple[Step, Place]:
        return self._asks(
            lambda session: calls.message_recorded(
                session, place.call_id, place.turn, recording_seconds=seconds, voice=self.voice, now=clock.now()
            ),
            place,
        )

    def presses(self, leg: FakeLeg, digits: str) -> Step:
        """A waiting caller presses a key."""
        place = leg.place or Place("", 1)
        step, _ = self._asks(
            lambda session: calls.key_pressed(
                session, place.call_id, place.turn, digits, voice=self.voice, now=clock.now()
            ),
            place,
        )
        return step

    def answer(self, offer_id: str, sid: str) -> Step:
        step: Step | None = None
        for _ in range(1 + self.repeat()):
            with transaction(self.engine) as session:
                step = calls.receptionist_step(
                    session, offer_id, carrier_call_sid=sid, voice=self.voice, now=clock.now()
                )
        assert step is not None
        return step

    def _asks(self, ask: Callable[..., Step], about: str | Place) -> tuple[Step, Place]:
        """The last answer counts, when a request is repeated because the first one came too late."""
        answers = []
        for _ in range(1 + self.repeat()):
            with transaction(self.engine) as session:
                step = ask(session)
                column, value = (Call.carrier_call_sid, about) if isinstance(about, str) else (Call.id, about.call_id)
                call = session.scalar(select(Call).where(column == value))
                answers.append((step, Place(call.id, call.turn) if call else Place(new_id(), 1)))
        return answers[-1]
