"""Ringing receptionists and bringing the caller to whoever answered, with a carrier that fails at the worst moment."""

import pytest

from callcenter import clock
from callcenter.domain.calls import CallState, EndedBy, LegState, OfferReason, OfferState, Outcome
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.domain.receptionists import Activity, Presence
from callcenter.errors import CarrierRefused
from callcenter.services.queueing import ANSWER_GRACE_SECONDS
from tests.carrier_world import World
from tests.worker.desk import (
    commands_of,
    hears_long_music,
    legs,
    lost,
    offers,
    over,
    receptionist,
    ringing,
    run_once,
    softphones,
    unavailable,
    waiting,
)


def test_an_offer_rings_one_softphone(world: World) -> None:
    waiting(world)
    world.works()
    assert len(softphones(world)) == 1
    assert softphones(world)[0].to.startswith(f"client:{world.cast.rosie.user.identity}?")


def test_a_ring_that_was_refused_for_now_is_tried_again_after_what_the_carrier_asked_for(world: World) -> None:
    world.carrier.refuse("ring", unavailable(retry_after_seconds=3, maybe_done=False))
    waiting(world)
    world.works()
    command = commands_of(world, CommandKind.RING)[0]
    assert command.state == CommandState.PENDING
    assert (command.next_attempt_at - clock.now()).total_seconds() == pytest.approx(3, abs=1)
    assert softphones(world) == []
    world.passes(4)
    assert len(softphones(world)) == 1


@pytest.mark.parametrize("notified", [True, False])
def test_a_ring_whose_answer_was_lost_is_looked_up_and_not_repeated(world: World, notified: bool) -> None:
    if not notified:
        world.fate = lost
    world.carrier.lose_answer("ring", unavailable())
    waiting(world)
    world.works()
    world.passes(3)
    assert [leg.sid for leg in softphones(world)] == [legs(world)[0].carrier_call_sid]
    world.carrier.pick_up(softphones(world)[0])
    world.works()
    assert offers(world)[0].state == OfferState.ACCEPTED


def test_a_worker_that_dies_between_ringing_and_writing_it_down_leaves_one_leg(world: World) -> None:
    world.fate = lost
    world.carrier.lose_answer("ring", KeyboardInterrupt())  # type: ignore[arg-type]
    waiting(world)
    with pytest.raises(KeyboardInterrupt):
        world.works()
    world.works()
    assert len(softphones(world)) == 1, "its lease is not over yet"
    assert legs(world)[0].carrier_call_sid is None
    # When the lease is over the offer is too, and so is, by the carrier's own ring time, the leg that nobody knew of.
    world.passes(40, beat=5)
    assert len({leg.offer_id for leg in softphones(world)}) == len(softphones(world)), "never two legs for one offer"


def test_a_final_refusal_to_ring_closes_the_offer_and_blames_nobody(world: World) -> None:
    world.carrier.refuse("ring", CarrierRefused("no", status=400))
    waiting(world)
    world.works()
    first = offers(world)[0]
    assert (first.state, first.reason) == (OfferState.FAILED, OfferReason.CARRIER_ERROR)
    assert receptionist(world, first.receptionist_id).presence == Presence.AVAILABLE
    assert offers(world)[1].receptionist_id != first.receptionist_id


def test_an_offer_that_was_withdrawn_before_the_ring_rings_nobody(world: World) -> None:
    caller = waiting(world)
    world.carrier.refuse("ring", unavailable(retry_after_seconds=2))
    world.works()
    world.carrier.end_leg(caller)
    world.passes(5)
    assert softphones(world) == []


def test_nobody_answers_so_the_leg_is_dropped_and_the_next_one_rung(world: World) -> None:
    _, first = ringing(world)
    world.passes(world.voice.ring_seconds + ANSWER_GRACE_SECONDS + 1)
    assert first.state == LegState.CANCELLED
    assert (offers(world)[0].state, offers(world)[0].reason) == (OfferState.MISSED, OfferReason.NO_ANSWER)
    assert world.carrier.rings_at(world.cast.robin.user.identity)
    assert receptionist(world, world.cast.rosie.user_id).presence_reason == "missed_offer"


def test_a_softphone_that_was_rung_late_and_ended_at_once_is_unreachable_not_missed(world: World) -> None:
    world.carrier.refuse("ring", unavailable(retry_after_seconds=4))
    waiting(world)
    world.works()
    world.passes(5)
    world.carrier.end_leg(softphones(world)[0], LegState.NO_ANSWER)
    world.works()
    assert offers(world)[0].reason == OfferReason.UNREACHABLE


def test_a_decline_that_is_reported_after_the_ring_time_was_no_missed_offer(world: World) -> None:
    _, softphone = ringing(world)
    world.fate = lost
    world.passes(3)
    world.carrier.end_leg(softphone, LegState.BUSY)
    world.passes(world.voice.ring_seconds)
    assert (offers(world)[0].state, offers(world)[0].reason) == (OfferState.DECLINED, OfferReason.REJECTED)
    assert receptionist(world, world.cast.rosie.user_id).presence == Presence.AVAILABLE


def test_the_caller_is_brought_to_the_receptionist(world: World) -> None:
    caller, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    world.works()
    assert world.call().state == CallState.CONNECTED
    assert caller.conference is softphone.conference is not None


def test_a_caller_who_was_gone_when_she_answered_ends_the_call_without_wrap_up(world: World) -> None:
    world.fate = lost
    caller, softphone = ringing(world)
    caller.queue_sid = None  # the caller hangs up and nothing tells us
    world.carrier.end_leg(caller)
    world.carrier.pick_up(softphone)
    world.passes(8)
    call, offer = world.call(), offers(world)[0]
    assert (call.state, call.outcome, call.ended_by) == (CallState.ENDED, Outcome.SHORT_ABANDONED, EndedBy.CALLER)
    assert (offer.state, offer.reason) == (OfferState.WITHDRAWN, OfferReason.CALLER_GONE)
    assert receptionist(world, offer.receptionist_id).activity == Activity.IDLE
    assert not softphone.up


def test_a_dequeue_that_fails_once_is_tried_again(world: World) -> None:
    world.carrier.refuse("dequeue", unavailable(maybe_done=False))
    _, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    world.passes(3)
    assert (world.call().state, world.call().turn) == (CallState.CONNECTED, 1)


def test_a_dequeue_whose_answer_was_lost_is_not_done_twice(world: World) -> None:
    world.carrier.lose_answer("dequeue", unavailable())
    _, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    world.passes(8)
    assert (world.call().state, world.call().turn) == (CallState.CONNECTED, 1)
    assert "ask_next_step" not in world.carrier.requests


def test_a_dequeue_that_fails_twice_puts_the_caller_at_the_front_for_the_next_turn(world: World) -> None:
    world.carrier.refuse("dequeue", unavailable(), unavailable())
    _, softphone = ringing(world)
    since = world.call().waiting_since_at
    hears_long_music(world)
    world.carrier.pick_up(softphone)
    world.passes(4)
    assert (world.call().turn, world.call().waiting_since_at) == (2, since)
    assert (offers(world)[0].state, offers(world)[0].reason) == (OfferState.FAILED, OfferReason.CARRIER_ERROR)
    assert not softphone.up
    world.carrier.pick_up(world.softphone())
    world.passes(8)
    assert world.call().state == CallState.CONNECTED


def test_a_caller_whom_no_dequeue_reaches_comes_with_the_next_round_of_music(world: World) -> None:
    world.carrier.refuse("dequeue", *(unavailable() for _ in range(9)))
    _, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    world.passes(4)
    assert (world.call().state, world.call().turn) == (CallState.CONNECTED, 1)


def test_a_join_that_nobody_reported_is_made_up_for(world: World) -> None:
    _, softphone = ringing(world)
    world.fate = lost
    world.carrier.pick_up(softphone)
    world.passes(8)
    assert world.call().state == CallState.CONNECTED


def test_a_caller_whose_leg_is_up_but_elsewhere_is_offered_again(world: World) -> None:
    world.carrier.refuse("dequeue", over())
    world.carrier.refuse("ask_next_step", over())
    _, softphone = ringing(world)
    hears_long_music(world)
    world.carrier.pick_up(softphone)
    world.passes(8)
    assert world.call().turn == 2
    assert not softphone.up, "she does not wait in an empty conference"


def test_a_join_that_comes_while_it_is_asked_about_is_not_broken(world: World) -> None:
    _, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    run_once(world, CommandKind.CONNECT)
    world.passes(9)
    assert world.call().state == CallState.CONNECTED
    assert softphone.up
