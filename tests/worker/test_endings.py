"""Moving on, hanging up, and finding out what became of calls that have gone silent."""

from datetime import timedelta

from sqlalchemy import func, select

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState, EndedBy, LegState, Outcome
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.domain.receptionists import Activity, Presence
from callcenter.domain.steps import SayAndHangUp
from callcenter.models import Call, CallLeg, CarrierCommand, CarrierEvent, Recording, ReplayedCall
from callcenter.services import call_actions, receptionists
from callcenter.worker.execute import MOST_FAILURES, execute
from tests.carrier_world import World
from tests.factories import create_opening_band
from tests.worker.desk import (
    commands_of,
    legs,
    lost,
    over,
    receptionist,
    recordings,
    ringing,
    softphones,
    talking,
    unavailable,
    waiting,
)


def hang_up(world: World) -> None:
    with transaction(world.engine) as session:
        call_actions.request_hang_up(session, world.call().id, now=clock.now())


def everybody(world: World, presence: Presence) -> None:
    with transaction(world.engine) as session:
        for who in (world.cast.rosie, world.cast.robin):
            receptionists.set_presence(session, who.user_id, presence, None, now=clock.now())


def test_a_hang_up_ends_everybodys_leg(world: World) -> None:
    caller, softphone = talking(world)
    hang_up(world)
    world.works()
    assert (caller.up, softphone.up) == (False, False)
    assert world.call().ended_by == EndedBy.RECEPTIONIST


def test_a_hang_up_whose_answers_are_all_lost_still_ends_the_call_once(world: World) -> None:
    talking(world)
    world.fate = lost
    world.carrier.lose_answer("end_call", unavailable(), unavailable())
    hang_up(world)
    world.quietens()
    assert (world.call().state, world.call().ended_by) == (CallState.ENDED, EndedBy.RECEPTIONIST)


def test_hanging_up_a_caller_who_has_just_left_settles_the_call(world: World) -> None:
    caller, _ = talking(world)
    world.fate = lost
    world.carrier.end_leg(caller)
    hang_up(world)
    world.quietens()
    assert world.call().outcome == Outcome.ANSWERED


def test_a_caller_who_waited_too_long_is_taken_out_of_the_queue_to_leave_a_message(world: World) -> None:
    everybody(world, Presence.ON_BREAK)
    caller = waiting(world)
    world.passes(world.voice.max_wait_seconds + 2, beat=10)
    assert world.call().state == CallState.LEAVING_MESSAGE
    assert caller.queue_sid is None
    assert [row.state for row in recordings(world)] == ["recording"]


def test_an_overflow_survives_a_carrier_that_is_away(world: World) -> None:
    everybody(world, Presence.ON_BREAK)
    caller = waiting(world)
    world.carrier.refuse("dequeue", unavailable(), unavailable())
    world.carrier.waiting_goes_on = lambda: None  # type: ignore[method-assign] # a long piece of music
    world.passes(world.voice.max_wait_seconds + 60, beat=10)
    assert caller.queue_sid is None
    assert len(world.carrier.recordings) == 1


def test_a_lost_softphone_brings_the_caller_back_though_the_carrier_is_away_for_a_while(world: World) -> None:
    caller, softphone = talking(world)
    world.carrier.refuse("ask_next_step", unavailable(), unavailable())
    world.carrier.end_leg(softphone)
    world.passes(12)
    assert caller.queue_sid or caller.conference
    world.carrier.pick_up(world.softphone())
    world.passes(8)
    assert (world.call().state, world.call().turn) == (CallState.CONNECTED, 2)


def test_a_call_that_ended_without_a_word_is_found_out(world: World) -> None:
    caller, _ = talking(world)
    world.fate = lost
    ended_at = clock.now()
    world.carrier.end_leg(caller)
    world.quietens()
    call = world.call()
    assert (call.state, call.outcome) == (CallState.ENDED, Outcome.ANSWERED)
    assert call.ended_at is not None
    assert abs(call.ended_at - ended_at) < timedelta(seconds=1), "when it ended, not when we asked"


def test_after_the_end_no_leg_is_left_open_in_our_rows_or_at_the_carrier(world: World) -> None:
    caller, softphone = talking(world)
    world.fate = lost
    softphone.conference = None  # the conference's end does not reach her leg
    world.carrier.end_leg(caller)
    world.quietens()
    assert not softphone.up
    assert [(leg.state, leg.ended_at is None) for leg in legs(world)] == [(LegState.COMPLETED, False)]


def test_a_leg_that_the_carrier_never_made_is_closed_with_its_call(world: World) -> None:
    world.carrier.refuse("ring", *(unavailable(maybe_done=False) for _ in range(9)))
    caller = waiting(world)
    world.passes(3)
    world.carrier.end_leg(caller)
    world.quietens()
    assert [(leg.state, leg.ended_at is None) for leg in legs(world)] == [(LegState.CANCELLED, False)]


def test_sweeping_goes_on_when_the_carrier_is_back(world: World) -> None:
    caller, softphone = talking(world)
    softphone.conference = None
    world.carrier.end_leg(caller)
    world.carrier.refuse("end_call", unavailable(), unavailable())
    world.quietens()
    assert not softphone.up


def test_a_live_call_that_is_asked_about_stays_as_it_is(world: World) -> None:
    talking(world)
    world.passes(700, beat=100)
    assert (world.call().state, world.call().turn) == (CallState.CONNECTED, 1)


def test_a_caller_who_left_while_the_carrier_still_shows_the_leg_is_not_a_lost_softphone(world: World) -> None:
    caller, softphone = talking(world)
    world.fate = lost
    world.carrier.end_leg(caller)
    caller.state, caller.ended_at = LegState.IN_PROGRESS, None  # its view of calls lags behind
    world.passes(301, beat=301)
    assert world.call().turn == 1
    caller.state, caller.ended_at = LegState.COMPLETED, clock.now()
    world.quietens()
    assert (world.call().state, world.call().turn) == (CallState.ENDED, 1)
    assert not softphone.up


def test_a_replayed_request_is_removed_with_all_that_hangs_on_it_and_known_again(world: World) -> None:
    sid = "CA" + "5" * 32
    world.incoming(sid)
    world.passes(100, beat=50)
    with reading(world.engine) as session:
        for table in (Call, CallLeg, CarrierEvent, CarrierCommand, Recording):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        assert sid not in str([row.sid_hash for row in session.scalars(select(ReplayedCall))])
    step, _ = world.incoming(sid)
    assert isinstance(step, SayAndHangUp)
    with reading(world.engine) as session:
        assert session.scalar(select(func.count()).select_from(Call)) == 0


def test_a_request_replayed_out_of_hours_is_removed_too(world: World) -> None:
    with transaction(world.engine) as session:
        create_opening_band(session, session.merge(world.cast.hill.clinic), 3, 480, 1080)
    world.incoming("CA" + "6" * 32)
    world.passes(700, beat=100)
    with reading(world.engine) as session:
        assert session.scalar(select(func.count()).select_from(Call)) == 0


def test_a_caller_who_hung_up_in_the_greeting_is_no_replay(world: World) -> None:
    leg = world.carrier.add_leg("clinic")
    world.incoming(leg.sid)
    world.passes(3)
    world.fate = lost
    world.carrier.end_leg(leg)
    world.quietens()
    assert world.call().outcome == Outcome.SHORT_ABANDONED


def test_a_wrap_up_ends_when_its_time_is_over(world: World) -> None:
    caller, _ = talking(world)
    world.carrier.end_leg(caller)
    world.works()
    assert receptionist(world, world.cast.rosie.user_id).activity == Activity.WRAPPING_UP
    world.passes(world.voice.wrap_up_seconds + 1, beat=300)
    assert receptionist(world, world.cast.rosie.user_id).activity == Activity.IDLE


def test_a_command_is_given_up_after_many_tries_and_blocks_nothing(world: World) -> None:
    caller, _ = talking(world)
    world.carrier.refuse("end_call", *(unavailable() for _ in range(MOST_FAILURES)))
    hang_up(world)
    command = commands_of(world, CommandKind.HANG_UP)[0]
    for _ in range(MOST_FAILURES):
        with transaction(world.engine) as session:
            session.get_one(CarrierCommand, command.id).next_attempt_at = clock.now()
        assert execute(world.engine, world.carrier, world.voice, command.id)
    assert commands_of(world, CommandKind.HANG_UP)[0].state == CommandState.FAILED
    world.passes(10)
    assert not caller.up, "the sweeper takes over"


def test_a_command_in_the_hands_of_a_dead_worker_is_free_again_after_its_lease(world: World) -> None:
    talking(world)
    hang_up(world)
    world.carrier.refuse("end_call", KeyboardInterrupt())  # type: ignore[arg-type]
    command = commands_of(world, CommandKind.HANG_UP)[0]
    try:
        execute(world.engine, world.carrier, world.voice, command.id)
    except KeyboardInterrupt:
        assert not execute(world.engine, world.carrier, world.voice, command.id), "somebody else has it"
    world.passes(32, beat=16)
    assert commands_of(world, CommandKind.HANG_UP)[0].state == CommandState.DONE


def test_a_caller_who_is_gone_is_not_moved(world: World) -> None:
    caller, softphone = talking(world)
    world.carrier.refuse("ask_next_step", over())
    world.fate = lambda notice: (0,) if notice.address is not None else ()
    world.carrier.end_leg(softphone)
    world.carrier.end_leg(caller)
    world.quietens()
    assert world.call().outcome == Outcome.ANSWERED
    assert receptionist(world, world.cast.rosie.user_id).activity == Activity.WRAPPING_UP


def test_a_ringing_softphone_is_cancelled_when_the_caller_leaves(world: World) -> None:
    caller, softphone = ringing(world)
    world.carrier.end_leg(caller)
    world.works()
    assert softphone.state == LegState.CANCELLED
    assert receptionist(world, world.cast.rosie.user_id).presence == Presence.AVAILABLE
    assert len(softphones(world)) == 1
