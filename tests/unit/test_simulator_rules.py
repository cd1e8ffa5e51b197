"""Rules of queues and conferences, without any HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callcenter.simulator import conferences, queues
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Conference, Fetch, Leg, Participant
from callcenter.simulator.outbound import Overrides
from callcenter.simulator.settings import SimulatorSettings


def with_carrier(test: Callable[[Carrier], Any]) -> None:
    """Run a test on an event loop with a carrier that talks to nobody."""

    async def run() -> None:
        carrier = Carrier(SimulatorSettings(numbers={"+441134960000": {}}))
        test(carrier)
        await carrier.stop()

    asyncio.run(run())


def leg(carrier: Carrier) -> Leg:
    return carrier.add(Leg("inbound", "+447700900123", "+441134960000", carrier.clock.now(), status="in-progress"))


def join(carrier: Carrier, room: Conference, **options: Any) -> Participant:
    who = Participant(leg(carrier), room, **options)
    conferences.enter(carrier, room, who)
    return who


def test_callers_leave_a_queue_in_order_of_arrival() -> None:
    def test(carrier: Carrier) -> None:
        queue = queues.find_or_create(carrier, "q")
        first, second = (queues.join(carrier, queue, leg(carrier)) for _ in range(2))
        assert queues.wait_params(carrier, queue, second)["QueuePosition"] == "2"
        assert queues.dequeue(carrier, queue, "Front", Fetch("https://example.org/")) is first
        assert queues.wait_params(carrier, queue, second)["QueuePosition"] == "1"

    with_carrier(test)


def test_nobody_is_dequeued_twice() -> None:
    def test(carrier: Carrier) -> None:
        queue = queues.find_or_create(carrier, "q")
        member = queues.join(carrier, queue, leg(carrier))
        assert queues.dequeue(carrier, queue, member.leg.sid, Fetch("https://example.org/")) is member
        assert queues.dequeue(carrier, queue, member.leg.sid, Fetch("https://example.org/")) is None
        assert queues.dequeue(carrier, queue, "Front", Fetch("https://example.org/")) is None

    with_carrier(test)


def test_a_conference_needs_two_and_one_who_may_start_it() -> None:
    def test(carrier: Carrier) -> None:
        room = Conference("room")
        join(carrier, room, start_on_enter=False)
        join(carrier, room, start_on_enter=False)
        assert room.status == "init"
        join(carrier, room, start_on_enter=True)
        assert room.status == "in-progress"

    with_carrier(test)


@pytest.mark.parametrize(
    ("options", "kicked", "reason"),
    [
        ({"end_on_exit": True}, False, "participant-with-end-conference-on-exit-left"),
        ({"end_on_exit": True}, True, "participant-with-end-conference-on-exit-kicked"),
    ],
)
def test_who_ends_the_conference_takes_everybody_along(options: dict[str, Any], kicked: bool, reason: str) -> None:
    def test(carrier: Carrier) -> None:
        room = Conference("room")
        other, ender = join(carrier, room), join(carrier, room, **options)
        conferences.leave(carrier, ender, kicked=kicked)
        assert (room.status, room.reason_ended, room.participants) == ("completed", reason, {})
        assert other.gone.is_set()

    with_carrier(test)


def test_a_conference_goes_on_until_the_last_has_left() -> None:
    def test(carrier: Carrier) -> None:
        room = Conference("room")
        first, second = join(carrier, room), join(carrier, room)
        conferences.leave(carrier, first)
        assert room.status == "in-progress"
        conferences.leave(carrier, second)
        assert (room.status, room.reason_ended) == ("completed", "last-participant-left")

    with_carrier(test)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"label": "caller"}, 16025),
        ({"label": "a/b"}, 16026),
        ({"label": "x" * 129}, 16026),
        ({"label": "CA" + "0" * 32}, 16026),
        ({"coached_sid": "CA" + "0" * 32}, 13240),
    ],
)
def test_who_breaks_a_rule_is_not_let_in(options: dict[str, Any], code: int) -> None:
    def test(carrier: Carrier) -> None:
        room = Conference("room")
        join(carrier, room, label="caller")
        with pytest.raises(conferences.EntryRefused) as refused:
            join(carrier, room, **options)
        assert (refused.value.code, len(room.participants)) == (code, 1)

    with_carrier(test)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.org", ""])  # noqa: S104 - must be refused
def test_the_simulator_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        SimulatorSettings(host=host)


def test_overrides_of_a_fragment_are_read_within_their_ranges() -> None:
    limits = Overrides.of("https://example.org/x#ct=2000&rt=10000&rc=9&rp=ct,5xx&tt=99000")
    assert (limits.connect, limits.read, limits.total, limits.retries) == (2, 10, 15, 5)
    assert limits.retry("5xx")
    assert not limits.retry("4xx")


@pytest.mark.parametrize("fragment", ["rp=sometimes", "rc=many"])
def test_senseless_overrides_are_refused(fragment: str) -> None:
    with pytest.raises(ValueError, match=r"retry policy|invalid literal"):
        Overrides.of("https://example.org/x#" + fragment)
