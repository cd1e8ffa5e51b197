"""What a normal call costs: statements, commits and requests to the carrier. docs/performance.md has the table; a call
that costs more than it says there fails here, so that nothing creeps up."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from callcenter.db import reading
from callcenter.domain.calls import CallState
from callcenter.models import CarrierCommand
from callcenter.worker.execute import execute
from tests import carrier_world
from tests.carrier_world import World, clock_at_now
from tests.conventions.project import ROOT
from tests.fake_lines import Notice, Place

TABLE = ROOT / "docs" / "performance.md"
ROW = re.compile(r"^\| ([a-z][a-z' ]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


@dataclass
class Cost:
    """How often something happened, and its statements, commits and requests in all."""

    times: int = 0
    statements: int = 0
    commits: int = 0
    requests: int = 0

    def told(self) -> tuple[int, int, int, int]:
        return self.times, self.statements, self.commits, self.requests


@dataclass
class Meter:
    """Counts by what is going on; what belongs to nobody (the worker's looking around) is not counted."""

    costs: defaultdict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))
    now: list[str] = field(default_factory=list)

    def watch(self, engine: Engine) -> None:
        event.listen(engine, "before_cursor_execute", self._statement)
        event.listen(engine, "commit", self._commit)

    def count(self, what: str) -> None:
        if self.now:
            cost = self.costs[self.now[-1]]
            setattr(cost, what, getattr(cost, what) + 1)

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            self.count("statements")

    def _commit(self, _connection: Any) -> None:
        self.count("commits")

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        self.now.append(name)
        self.count("times")
        try:
            yield
        finally:
            self.now.pop()


class MeteredWorld(World):
    """A world whose door and worker are metered."""

    meter: Meter

    def _asks(self, ask: Any, about: str | Place) -> Any:
        with self.meter.of("incoming" if isinstance(about, str) else "the caller's leg asks"):
            return super()._asks(ask, about)

    def answer(self, offer_id: str, sid: str) -> Any:
        with self.meter.of("the receptionist answers"):
            return super().answer(offer_id, sid)

    def deliver(self, notice: Notice) -> None:
        with self.meter.of("notification"):
            super().deliver(notice)


@pytest.fixture
def metered(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[MeteredWorld]:
    """A world with a meter on its database, its carrier and its worker."""
    with clock_at_now():
        world = MeteredWorld(engine)
        world.meter = Meter()
        world.meter.watch(engine)
        request = world.carrier._request

        def metered_execute(engine: Engine, carrier: Any, voice: Any, command_id: str) -> bool:
            with reading(engine) as session:
                kind = session.scalar(select(CarrierCommand.kind).where(CarrierCommand.id == command_id))
            with world.meter.of(f"command {str(kind).replace('_', ' ')}"):
                return execute(engine, carrier, voice, command_id)

        def metered_request(operation: str) -> Any:
            world.meter.count("requests")
            return request(operation)

        monkeypatch.setattr(carrier_world, "execute", metered_execute)
        monkeypatch.setattr(world.carrier, "_request", metered_request)
        yield world


def test_a_normal_call_costs_no_more_than_the_documentation_says(metered: MeteredWorld) -> None:
    caller = metered.carrier.dial()
    softphone = metered.softphone()
    metered.carrier.pick_up(softphone)
    metered.works()  # the worker is woken at once, not at the caller's next round in the queue
    metered.passes(20)
    metered.carrier.end_leg(caller)
    metered.quietens()
    assert metered.call().state == CallState.ENDED
    documented = {name: tuple(map(int, numbers)) for name, *numbers in ROW.findall(TABLE.read_text())}
    found = {name: cost.told() for name, cost in metered.meter.costs.items()}
    assert found.keys() == documented.keys(), found
    dearer = {
        name: told
        for name, told in found.items()
        if any(cost > limit for cost, limit in zip(told, documented[name], strict=True))
    }
    assert dearer == {}, found
