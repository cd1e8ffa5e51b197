"""Callers, receptionists, the worker's absences and the carrier's moods as rules: whole calls through the real door,
the real worker and a real database."""

import random
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callcenter.domain.calls import LegState
from tests.faults.storm_people import BUTTONS, KEYS, OTHER_THINGS, People
from tests.faults.storm_truths import Truths
from tests.faults.storm_weather import FATES, FAULTS, Fate, Weather
from tests.faults.storm_world import StormWorld, storm
from tests.services.fresh_engine import FreshEngine

PICK = st.integers(0, 5)
THEN = st.sampled_from((0.1, 0.5, 1.0, 2.5, 6.0, 12.0))
"""How many seconds go by before somebody does the next thing."""
OPERATIONS = (
    *("ring", "dequeue", "dequeue", "end_call", "ask_next_step", "call", "conference", "participants", "hold"),
    *("start_recording", "pause_recording", "stop_recording", "recordings_of"),
)
FARES_ILL: tuple[Fate | float, ...] = ((), (), (0.05, 0.05), (3,), (8, 0.1), (70,), 3.0, 15.0, 60.0)
"""The next notification arrives after these spans, or not at all; or no worker runs for so many seconds."""


class StormMachine(RuleBasedStateMachine):
    """Three receptionists at two clinics, and up to four callers at a time."""

    def __init__(self, fresh_engine: FreshEngine, tally: Counter[str]) -> None:
        super().__init__()
        self._fresh_engine, self._tally = fresh_engine, tally
        self._open = ExitStack()
        self._is_open = False

    @initialize(
        kind=st.sampled_from(sorted(FATES)),
        trouble=st.sampled_from((0.0, 0.0, 0.1, 0.3)),
        seed=st.integers(0, 9999),
        lively=st.booleans(),
    )
    def weather(self, kind: str, trouble: float, seed: int, lively: bool) -> None:
        """A fresh world; in half of them life goes on without the rules."""
        engine = self._open.enter_context(self._fresh_engine())
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        weather = Weather(kind, trouble, random.Random(seed))
        self.world: StormWorld = self._open.enter_context(storm(engine, folder, weather))
        self.people = People(self.world, self._tally)
        self.truths = Truths(self.world)
        self._is_open = True
        self._tally["examples"] += 1
        self.people.dials(lake=False, silent=False)
        self.world.passes(9)
        if lively:
            self.people.live(random.Random(seed))

    # people

    @rule(lake=st.sampled_from((False, False, True)), silent=st.booleans(), then=THEN)
    def somebody_dials(self, lake: bool, silent: bool, then: float) -> None:
        self.people.dials(lake=lake, silent=silent)
        self.world.passes(then)

    @precondition(lambda self: self.world.callers())
    @rule(pick=PICK, then=THEN)
    def a_caller_hangs_up(self, pick: int, then: float) -> None:
        self.people.hangs_up(pick)
        self.world.passes(then)

    @precondition(lambda self: self.world.callers())
    @rule(pick=PICK, key=st.sampled_from(KEYS), then=THEN)
    def a_caller_presses_a_key(self, pick: int, key: str, then: float) -> None:
        self.people.presses(pick, key)
        self.world.passes(then)

    @precondition(lambda self: self.world.softphones(LegState.RINGING))
    @rule(pick=PICK, then=THEN)
    def a_softphone_is_answered(self, pick: int, then: float) -> None:
        self.people.answers(pick)
        self.world.passes(then)

    @precondition(lambda self: self.world.softphones(LegState.RINGING))
    @rule(pick=PICK, then=THEN)
    def a_softphone_declines(self, pick: int, then: float) -> None:
        self.people.declines(pick)
        self.world.passes(then)

    @precondition(lambda self: self.world.softphones(LegState.IN_PROGRESS))
    @rule(pick=PICK, then=THEN)
    def a_softphone_is_lost(self, pick: int, then: float) -> None:
        self.people.loses_line(pick)
        self.world.passes(then)

    @precondition(lambda self: self.world.softphones(LegState.IN_PROGRESS))
    @rule(pick=PICK, what=st.sampled_from(sorted(BUTTONS)), then=THEN)
    def a_button_is_pressed(self, pick: int, what: str, then: float) -> None:
        self.people.presses_button(pick, what)
        self.world.passes(then)

    @rule(pick=PICK, what=st.sampled_from(OTHER_THINGS), then=THEN)
    def a_receptionist_does_something_else(self, pick: int, what: str, then: float) -> None:
        self.people.does_something_else(pick, what)
        self.world.passes(then)

    # the carrier, the worker and time

    @rule(ill=st.one_of(st.sampled_from(FARES_ILL), st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(FAULTS))))
    def the_next_thing_fares_ill(self, ill: Fate | float | tuple[str, str]) -> None:
        if isinstance(ill, float):
            self.world.worker_goes_away(ill)
        elif ill and isinstance(ill[0], str):
            self.world.weather.ordered_faults[ill[0]].append(str(ill[1]))
        else:
            self.world.weather.ordered_fates.append(ill)

    @rule(back=st.integers(0, 200), then=THEN)
    def an_old_request_comes_again(self, back: int, then: float) -> None:
        self.world.replay(self.world.captured[-1 - back % len(self.world.captured)])
        self._tally["replays"] += 1
        self.world.passes(then)

    @rule(seconds=st.sampled_from((3.0, 6.0, 20.0, 70.0)), copied=st.booleans())
    def time_passes(self, seconds: float, copied: bool) -> None:
        self.world.passes(seconds)
        if copied:
            self.world.copies()

    @invariant()
    def all_is_well(self) -> None:
        if self._is_open:
            self._tally["steps"] += 1
            self.truths.at_any_moment()

    def teardown(self) -> None:
        """If all went well so far: the callers leave, the weather clears up, and everything must come to rest."""
        try:
            stopped_by = sys.exc_info()[0]
            if stopped_by is not None:
                self._tally[f"stopped by {stopped_by.__name__}"] += 1
            elif self._is_open:
                self.people.alive = False
                self.truths.come_to_rest()
                self._tally["requests"] += len(self.world.captured)
                self._tally["survived"] += 1
        finally:
            self._open.close()
