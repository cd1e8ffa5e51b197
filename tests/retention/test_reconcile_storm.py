"""After any storm of lost requests and notifications the log equals the carrier's list of calls, to the call (P34)."""

import random
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter import clock
from callcenter.db import reading
from callcenter.domain.calls import CallState, LegState, Outcome
from callcenter.domain.recordings import LIVE_RECORDING_STATES
from callcenter.errors import NotFound
from callcenter.models import Call, Recording
from callcenter.storage.s3 import S3RecordingStore
from retention.reconcile.report import Report
from retention.reconcile.run import reconcile
from retention.reconcile.work import Wishes
from tests.campaigns import runs
from tests.carrier_world import VOICE, World, clock_at_now
from tests.fake_lines import FakeLeg, Notice
from tests.fakes import FakeS3

CALLS = 4
LOST_ON_THE_WAY = 0.5


class Deaf(World):
    """A world whose door does not know every call."""

    def deliver(self, notice: Notice) -> None:
        """As the door does: what is about something unknown is no error (F21)."""
        with suppress(NotFound):
            super().deliver(notice)


def compared(world: World) -> Report:
    """One run of the quick comparison, at the world's time."""
    store = S3RecordingStore("recordings", client=FakeS3().client())
    named: dict[str, Any] = {"voice": VOICE, "wishes": Wishes(repair=True), "now": clock.now()}
    return reconcile(world.engine, store, world.carrier, everything=False, **named)


def storm(world: World, chance: random.Random) -> int:
    """Calls of which anything may be lost, the first request too; answers how many never reached us."""
    lost = 0
    world.fate = lambda _notice: () if chance.random() < LOST_ON_THE_WAY else (chance.uniform(0, 4),)
    for _ in range(CALLS):
        if chance.random() < 0.4:
            lost += 1
            leg = world.carrier.add_leg(world.carrier.number)
        else:
            leg = world.carrier.dial()
        world.passes(chance.choice((1, 4, 9)), beat=3)
        _somebody_answers(world, chance)
        world.passes(chance.choice((1, 6, 20)), beat=4)
        _ends(world, leg, chance)
    return lost


def _somebody_answers(world: World, chance: random.Random) -> None:
    ringing = [leg for leg in world.carrier.legs.values() if leg.offer_id and leg.state == LegState.RINGING and leg.up]
    if ringing and chance.random() < 0.7:
        world.carrier.pick_up(ringing[0])


def _ends(world: World, leg: FakeLeg, chance: random.Random) -> None:
    world.carrier.end_leg(leg, LegState.FAILED if chance.random() < 0.1 else LegState.COMPLETED)


def log_of(world: World) -> list[Call]:
    with reading(world.engine) as session:
        return list(session.scalars(select(Call)))


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_after_a_storm_the_log_equals_the_carriers_list_to_the_call(engine: Engine, figures: Any) -> None:
    repeats, calls, never_reached_us = runs(2, 60), 0, 0
    with clock_at_now():
        world = Deaf(engine)
        for number in range(repeats):
            never_reached_us += storm(world, random.Random(number))
            world.fate = lambda _notice: ()  # what has not come by now never comes
            world.passes(200, beat=20)
            compared(world)
            world.quietens()
            there = list(world.carrier.inbound_calls(clock.now() - timedelta(days=1), clock.now()))
            log = log_of(world)
            assert sorted(call.carrier_call_sid or "" for call in log) == sorted(c.carrier_call_sid for c in there)
            assert {call.state for call in log} == {CallState.ENDED}
            assert all(call.outcome is not None for call in log)
            calls = len(there)
        with reading(engine) as session:
            live = session.scalars(select(Recording.id).where(Recording.state.in_(LIVE_RECORDING_STATES))).all()
        assert live == []
        again = compared(world)
        assert (again.found.total(), again.failed) == (0, 0)
    figures(storms=repeats, calls=calls, never_reached_us=never_reached_us, in_the_log_once=calls)


def test_a_call_whose_first_request_was_lost_while_another_was_answered_is_told_apart(engine: Engine) -> None:
    with clock_at_now():
        world = Deaf(engine)
        lost = world.carrier.add_leg(world.carrier.number)
        served = world.carrier.dial()
        world.carrier.pick_up(world.softphone())
        world.passes(30, beat=5)
        for leg in (lost, served):
            world.carrier.end_leg(leg)
        world.quietens()
        compared(world)
        outcomes = {call.carrier_call_sid: call.outcome for call in log_of(world)}
        assert outcomes == {lost.sid: Outcome.FAILED, served.sid: Outcome.ANSWERED}
