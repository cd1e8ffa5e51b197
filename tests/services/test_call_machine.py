"""Whatever callers, receptionists and the carrier's notifications do, in whatever order: what must hold after every
step of it, holds."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain.calls import ENDED_LEG_STATES, OPEN_OFFER_STATES, CallState, LegState
from callcenter.domain.receptionists import Activity, Presence
from callcenter.domain.recordings import RecordingKind
from callcenter.domain.steps import AskToRecord, Greet, SayAndHangUp, TakeMessage, Talk
from callcenter.errors import Conflict
from callcenter.models import Call, CallLeg, Offer, Receptionist, Recording
from callcenter.services import call_actions, calls, receptionists, recordings
from tests.carrier_world import Fate, World, clock_at_now
from tests.fake_lines import FakeLeg
from tests.services.fresh_engine import FreshEngine

FATES: dict[str, tuple[Fate, ...]] = {
    "in order": ((0,),),
    "late and repeated": ((0,), (1,), (2.5,), (7,), (0, 3), (1, 1, 20)),
    "some lost": ((0,), (0,), (2,), ()),
}
SENSIBLE: dict[CallState, Any] = {
    CallState.RINGING: Greet,
    CallState.QUEUED: (Greet, Talk),
    CallState.CONNECTED: Talk,
    CallState.LEAVING_MESSAGE: (TakeMessage, AskToRecord, SayAndHangUp),
    CallState.ENDED: SayAndHangUp,
}
PICK = st.integers(0, 5)


class CallMachine(RuleBasedStateMachine):
    """Two receptionists and as many callers as come."""

    def __init__(self, fresh_engine: FreshEngine) -> None:
        super().__init__()
        self._open = ExitStack()
        self._open.enter_context(clock_at_now())
        self.world = World(self._open.enter_context(fresh_engine()))
        self.over: dict[str, str] = {}

    def teardown(self) -> None:
        self._open.close()

    @initialize(fates=st.sampled_from(sorted(FATES)), seed=st.integers(0, 999))
    def how_notifications_fare(self, fates: str, seed: int) -> None:
        chance = random.Random(seed)
        self.world.fate = lambda _notice: chance.choice(FATES[fates])
        self.world.repeat = lambda: fates != "in order" and chance.random() < 0.2

    @rule()
    def somebody_rings(self) -> None:
        if len(self._callers()) < 4:
            self.world.carrier.dial()
            self.world.works()

    @rule(pick=PICK)
    def a_caller_hangs_up(self, pick: int) -> None:
        self._with_one(self._callers(), pick, self.world.carrier.end_leg)

    @rule(pick=PICK)
    def a_caller_presses_nine(self, pick: int) -> None:
        waiting = [leg for leg in self._callers() if leg.queue_sid]
        self._with_one(waiting, pick, lambda leg: self.world.presses(leg, "9"))

    @rule(pick=PICK)
    def a_softphone_is_answered(self, pick: int) -> None:
        self._with_one(self._softphones(LegState.RINGING), pick, self.world.carrier.pick_up)

    @rule(pick=PICK)
    def a_softphone_declines(self, pick: int) -> None:
        ringing = self._softphones(LegState.RINGING)
        self._with_one(ringing, pick, lambda leg: self.world.carrier.end_leg(leg, LegState.BUSY))

    @rule(pick=PICK)
    def a_softphone_is_lost(self, pick: int) -> None:
        self._with_one(self._softphones(LegState.IN_PROGRESS), pick, self.world.carrier.end_leg)

    @rule(pick=PICK, what=st.sampled_from(["hold", "unhold", "refuse", "hang up"]))
    def a_receptionist_presses_a_button(self, pick: int, what: str) -> None:
        buttons: dict[str, Callable[[Session, str], object]] = {
            "hold": lambda session, id_: call_actions.request_hold(session, id_, held=True, now=clock.now()),
            "unhold": lambda session, id_: call_actions.request_hold(session, id_, held=False, now=clock.now()),
            "refuse": lambda session, id_: recordings.refuse(session, id_, "receptionist", now=clock.now()),
            "hang up": lambda session, id_: call_actions.request_hang_up(session, id_, now=clock.now()),
        }
        with transaction(self.world.engine) as session:
            connected = list(session.scalars(select(Call.id).where(Call.state == CallState.CONNECTED)))
            if connected:
                buttons[what](session, connected[pick % len(connected)])
        self.world.works()

    @rule(pick=PICK, presence=st.sampled_from(Presence))
    def a_receptionist_comes_or_goes(self, pick: int, presence: Presence) -> None:
        user_id = (self.world.cast.rosie, self.world.cast.robin)[pick % 2].user_id
        with transaction(self.world.engine) as session:
            receptionists.set_presence(session, user_id, presence, None, now=clock.now())
        self.world.works()

    @rule(pick=PICK)
    def a_receptionist_finishes_her_wrap_up(self, pick: int) -> None:
        user_id = (self.world.cast.rosie, self.world.cast.robin)[pick % 2].user_id
        with transaction(self.world.engine) as session:
            try:
                receptionists.finish_wrap_up(session, user_id, now=clock.now())
            except Conflict:
                return
        self.world.works()

    @rule(seconds=st.sampled_from([1, 2, 6, 20]))
    def time_passes(self, seconds: int) -> None:
        self.world.passes(seconds, beat=max(1, seconds / 4))

    @invariant()
    def nobody_is_on_two_calls_and_no_call_has_two_receptionists(self) -> None:
        rooms = [room for room in self.world.carrier.conferences if not room.ended]
        inside = [[leg.to.partition("?")[0] for leg in room.legs if leg.offer_id] for room in rooms]
        assert all(len(who) <= 1 for who in inside), "two receptionists in one conference"
        with reading(self.world.engine) as session:
            live = {call.id: call for call in session.scalars(select(Call).where(Call.state != CallState.ENDED))}
            offers = [o for o in session.scalars(select(Offer)) if _occupies(o, live.get(o.call_id))]
            rows = list(session.scalars(select(Receptionist)))
        assert len({offer.receptionist_id for offer in offers}) == len(offers), "a receptionist on two calls"
        assert len({offer.call_id for offer in offers}) == len(offers), "a call with two receptionists"
        for row in rows:
            assert (row.activity == Activity.IDLE) == (row.current_call_id is None)
            held = [offer for offer in offers if offer.receptionist_id == row.user_id]
            assert row.activity in (Activity.RINGING, Activity.TALKING) or not held

    @invariant()
    def what_is_over_stays_over(self) -> None:
        with reading(self.world.engine) as session:
            for call in session.scalars(select(Call)):
                assert (call.state == CallState.ENDED) == (call.outcome is not None) == (call.ended_at is not None)
                assert self.over.get(call.id, call.state) == call.state
                if call.state == CallState.ENDED:
                    self.over[call.id] = call.state
            for leg in session.scalars(select(CallLeg)):
                assert (leg.state in ENDED_LEG_STATES) == (leg.ended_at is not None)
                if leg.id in self.over:
                    assert self.over[leg.id] == leg.state
                elif leg.ended_at is not None:
                    self.over[leg.id] = leg.state

    @invariant()
    def a_live_caller_always_gets_a_sensible_next_step(self) -> None:
        for leg in self._callers():
            assert leg.place is not None
            with Session(self.world.engine) as session:  # rolled back: only to see
                call = session.get_one(Call, leg.place.call_id)
                state, turn = call.state, call.turn
                now = clock.now()
                step = calls.next_step(session, call.id, turn, voice=self.world.voice, now=now)
                assert isinstance(step, SENSIBLE[state]), f"{state} answered by {step}"

    @invariant()
    def only_what_may_be_recorded_is(self) -> None:
        with reading(self.world.engine) as session:
            for recording in session.scalars(select(Recording)):
                call = session.get_one(Call, recording.call_id)
                refused_before = call.recording_refused_at and call.recording_refused_at < recording.started_at
                assert not refused_before or call.message_consent_at
                assert recording.kind == RecordingKind.VOICEMAIL or call.queued_at is not None, "before the notice"

    def _callers(self) -> list[FakeLeg]:
        return [leg for leg in self.world.carrier.legs.values() if leg.up and not leg.offer_id]

    def _softphones(self, state: LegState) -> list[FakeLeg]:
        return [leg for leg in self.world.carrier.legs.values() if leg.up and leg.offer_id and leg.state == state]

    def _with_one(self, legs: list[FakeLeg], pick: int, do: Callable[[FakeLeg], Any]) -> None:
        if legs:
            do(legs[pick % len(legs)])
            self.world.works()


def _occupies(offer: Offer, call: Call | None) -> bool:
    """Whether the offer rings, or is the one under which its live call is served."""
    return offer.state in OPEN_OFFER_STATES or (call is not None and call.accepted_offer_id == offer.id)


def test_many_callers_and_receptionists_at_random(fresh_engine: FreshEngine) -> None:
    run_state_machine_as_test(
        lambda: CallMachine(fresh_engine),  # type: ignore[arg-type] # whatever makes one will do
        settings=settings(
            max_examples=8 if fresh_engine.on_sqlite else 3,
            stateful_step_count=25,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
