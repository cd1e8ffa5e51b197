"""Who is rung for whom, and that nobody is rung twice, however many workers try at once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter.config import VoiceSettings
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.calls import CallState, LegRole, OfferState
from callcenter.domain.receptionists import Activity, Presence
from callcenter.models import Call, CallLeg, CarrierCommand, Clinic, Offer, Receptionist, new_id
from callcenter.services import queueing, receptionists
from callcenter.services.call_rows import locked
from tests.factories import NOW, create_call, create_clinic, create_offer, create_receptionist

VOICE = VoiceSettings(calls_per_second=100)
WORKERS = 3


@pytest.fixture
def engines(database_url: str) -> Iterator[list[Engine]]:
    """As many connections to one database as there are workers, each with an engine of its own."""
    engines = [create_engine_for(database_url) for _ in range(WORKERS)]
    yield engines
    for engine in engines:
        engine.dispose()


def queue_up(engine: Engine, clinic: Clinic, number: int) -> list[str]:
    """Callers who have been waiting, the first one longest."""
    with transaction(engine) as session:
        return [
            create_call(
                session,
                clinic,
                state=CallState.QUEUED,
                queued_at=NOW,
                waiting_since_at=NOW + timedelta(seconds=n),
                overflow_after_at=NOW + timedelta(seconds=120),
            ).id
            for n in range(number)
        ]


def staff(engine: Engine, *clinics: Clinic, number: int = 1) -> list[str]:
    """Receptionists who may serve these clinics, the first one idle longest."""
    with transaction(engine) as session:
        return [
            create_receptionist(
                session, *clinics, idle_since_at=NOW - timedelta(hours=1) + timedelta(seconds=n)
            ).user_id
            for n in range(number)
        ]


def clinic(engine: Engine) -> Clinic:
    with transaction(engine) as session:
        return create_clinic(session)


def offered(engine: Engine) -> Offer | None:
    """One dispatch."""
    with transaction(engine) as session:
        return queueing.dispatch(session, voice=VOICE, now=NOW)


def all_at_once(works: list[Callable[[], object]]) -> list[object]:
    """Run them at the same moment; what each answers."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        gate.wait(10)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def dispatch_until_nothing_is_left(engine: Engine) -> int:
    made = 0
    while True:
        try:
            if offered(engine) is None:
                return made
            made += 1
        except queueing.InOtherHands:
            time.sleep(0.01)


@pytest.mark.parametrize(("waiting", "at_work"), [(9, 4), (3, 6), (1, 3)])
def test_many_dispatchers_never_give_anybody_two(engines: list[Engine], waiting: int, at_work: int) -> None:
    hill = clinic(engines[0])
    calls, people = queue_up(engines[0], hill, waiting), staff(engines[0], hill, number=at_work)
    all_at_once([lambda engine=engine: dispatch_until_nothing_is_left(engine) for engine in engines])  # type: ignore[misc]
    with reading(engines[0]) as session:
        offers = list(session.scalars(select(Offer)))
        rows = {row.user_id: row for row in session.scalars(select(Receptionist))}
    assert len(offers) == min(waiting, at_work)
    assert max(Counter(offer.call_id for offer in offers).values()) == 1
    assert max(Counter(offer.receptionist_id for offer in offers).values()) == 1
    assert {offer.call_id for offer in offers} == set(calls[:at_work]), "who has waited longest"
    assert {offer.receptionist_id for offer in offers} == set(people[:waiting]), "who has been idle longest"
    for offer in offers:
        row = rows[offer.receptionist_id]
        assert (row.activity, row.current_call_id, row.current_offer_id) == (Activity.RINGING, offer.call_id, offer.id)


@pytest.mark.parametrize(("at_work", "offered_to_later_ones"), [(1, 0), (2, 1), (3, 2)])
def test_an_earlier_caller_whom_somebody_is_just_at_keeps_a_receptionist(
    postgresql_url: str, at_work: int, offered_to_later_ones: int
) -> None:
    """On SQLite nobody can be at a call meanwhile, there is one writer."""
    engine = create_engine_for(postgresql_url)
    hill = clinic(engine)
    first, *later = queue_up(engine, hill, 3)
    staff(engine, hill, number=at_work)
    with transaction(engine) as somebody:
        locked(somebody, first)
        with suppress(queueing.InOtherHands):
            while offered(engine) is not None:
                pass
    with reading(engine) as session:
        assert set(session.scalars(select(Offer.call_id))) == set(later[:offered_to_later_ones])
    made = offered(engine)
    assert made is not None
    assert made.call_id == first
    engine.dispose()


def test_dispatchers_and_people_who_come_and_go_never_leave_anybody_held(engines: list[Engine]) -> None:
    hill = clinic(engines[0])
    queue_up(engines[0], hill, 4)
    people = staff(engines[0], hill, number=4)

    def come_and_go() -> None:
        for user_id in people:
            with transaction(engines[2]) as session:
                receptionists.set_presence(session, user_id, Presence.ON_BREAK, "tea", now=NOW)

    all_at_once([lambda: dispatch_until_nothing_is_left(engines[0]), come_and_go])
    with reading(engines[0]) as session:
        open_for = set(session.scalars(select(Offer.receptionist_id)))
        for row in session.scalars(select(Receptionist)):
            assert (row.user_id in open_for) == (row.activity == Activity.RINGING) == (row.current_call_id is not None)


def test_of_many_acceptors_exactly_one_wins(engines: list[Engine]) -> None:
    hill = clinic(engines[0])
    (call_id,) = queue_up(engines[0], hill, 1)
    staff(engines[0], hill)
    offer = offered(engines[0])
    assert offer is not None

    def accept(engine: Engine) -> bool:
        with transaction(engine) as session:
            return queueing.accept_offer(session, offer.id, carrier_call_sid=f"CA{new_id()}", now=NOW)

    answers = all_at_once([lambda engine=engine: accept(engine) for engine in engines])  # type: ignore[misc]
    assert sorted(map(bool, answers)) == [False, False, True]
    with reading(engines[0]) as session:
        assert session.get_one(Call, call_id).accepted_offer_id == offer.id
        surplus = session.scalars(select(CarrierCommand.subject_id).where(CarrierCommand.kind == "drop_leg")).all()
        legs = session.scalars(select(CallLeg).where(CallLeg.role == LegRole.RECEPTIONIST)).all()
    assert len(legs) == 3
    assert len(set(surplus)) == 2, "the other two are hung up"


def test_an_offer_that_is_accepted_as_it_runs_out_ends_one_way(engines: list[Engine]) -> None:
    hill = clinic(engines[0])
    queue_up(engines[0], hill, 1)
    (user_id,) = staff(engines[0], hill)
    offer = offered(engines[0])
    assert offer is not None
    late = offer.ring_until_at

    def accept() -> bool:
        with transaction(engines[0]) as session:
            return queueing.accept_offer(session, offer.id, carrier_call_sid=f"CA{new_id()}", now=late)

    def expire() -> None:
        with transaction(engines[1]) as session:
            queueing.expire_offer(session, offer.id, now=late)

    accepted, _ = all_at_once([accept, expire])
    with reading(engines[0]) as session:
        state = session.get_one(Offer, offer.id).state
        activity = session.get_one(Receptionist, user_id).activity
    assert (state == OfferState.ACCEPTED) == accepted
    assert activity == (Activity.TALKING if accepted else Activity.IDLE)


def test_a_receptionist_is_rung_only_for_clinics_she_may_serve(engine: Engine) -> None:
    hill, lake = clinic(engine), clinic(engine)
    queue_up(engine, lake, 1)
    staff(engine, hill)
    assert offered(engine) is None
    (both,) = staff(engine, hill, lake)
    offer = offered(engine)
    assert offer is not None
    assert offer.receptionist_id == both


def test_the_oldest_call_of_all_clinics_comes_first(engine: Engine) -> None:
    hill, lake = clinic(engine), clinic(engine)
    staff(engine, hill, lake)
    later = queue_up(engine, hill, 2)[1]
    with transaction(engine) as session:
        session.get_one(Call, later).clinic_id = lake.id
    offer = offered(engine)
    assert offer is not None
    assert offer.call_id != later


@pytest.mark.parametrize(
    "values",
    [
        {"presence": Presence.ON_BREAK},
        {"presence": Presence.SIGNED_OUT},
        {"activity": Activity.TALKING},
        {"activity": Activity.WRAPPING_UP},
        {"heartbeat_at": NOW - timedelta(seconds=31)},
        {"heartbeat_at": None},
    ],
)
def test_who_cannot_answer_is_not_rung(engine: Engine, values: dict[str, Any]) -> None:
    hill = clinic(engine)
    queue_up(engine, hill, 1)
    with transaction(engine) as session:
        create_receptionist(session, hill, **values)
    assert offered(engine) is None


def test_who_lost_the_call_is_rung_for_it_before_those_who_are_idle_longer(engine: Engine) -> None:
    hill = clinic(engine)
    (call_id,) = queue_up(engine, hill, 1)
    people = staff(engine, hill, number=3)
    with transaction(engine) as session:
        session.get_one(Call, call_id).preferred_receptionist_id = people[2]
    offer = offered(engine)
    assert offer is not None
    assert offer.receptionist_id == people[2]


def test_who_has_just_declined_is_left_alone_by_this_call_for_half_a_minute(engine: Engine) -> None:
    hill = clinic(engine)
    (call_id,) = queue_up(engine, hill, 1)
    (user_id,) = staff(engine, hill)
    with transaction(engine) as session:
        call, row = session.get_one(Call, call_id), session.get_one(Receptionist, user_id)
        create_offer(session, call, row, state=OfferState.DECLINED, ended_at=NOW - timedelta(seconds=29))
    assert offered(engine) is None
    with transaction(engine) as session:
        assert queueing.dispatch(session, voice=VOICE, now=NOW + timedelta(seconds=1))


def test_rings_are_spread_over_time_as_the_carrier_allows(engine: Engine) -> None:
    hill = clinic(engine)
    queue_up(engine, hill, 3)
    staff(engine, hill, number=3)
    slow = VoiceSettings(calls_per_second=1)
    with transaction(engine) as session:
        while queueing.dispatch(session, voice=slow, now=NOW):
            pass
    with reading(engine) as session:
        moments = sorted(session.scalars(select(CarrierCommand.next_attempt_at).where(CarrierCommand.kind == "ring")))
        ring_times = sorted(session.scalars(select(Offer.ring_until_at)))
    assert [(moment - NOW).total_seconds() for moment in moments] == [0, 1, 2]
    assert ring_times[2] - ring_times[0] == timedelta(seconds=2), "the wait for her turn is not taken off her ring time"
