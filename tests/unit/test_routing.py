"""Who is rung, who may leave a message, and what is said of the wait."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.receptionists import HEARTBEAT_LAPSES_AFTER_SECONDS, Activity, Presence
from callcenter.domain.routing import (
    KNOWN_CALLS_FOR_ESTIMATE,
    Candidate,
    WaitFacts,
    estimate_wait_minutes,
    longest_idle_first,
    reoffer_cutoff,
    ringable,
    should_overflow,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        receptionist_id=st.uuids().map(lambda uuid: uuid.hex),
        presence=st.sampled_from(Presence),
        activity=st.sampled_from(Activity),
        heartbeat_at=st.none() | st.integers(0, 60).map(lambda ago: NOW - timedelta(seconds=ago)),
        idle_since_at=st.integers(0, 5).map(lambda ago: NOW - timedelta(minutes=ago)),
    ),
    max_size=8,
    unique_by=lambda candidate: candidate.receptionist_id,
)


def candidate(name: str, *, idle_minutes: int = 5, **values: object) -> Candidate:
    known: dict[str, object] = {
        "presence": Presence.AVAILABLE,
        "activity": Activity.IDLE,
        "heartbeat_at": NOW,
        "idle_since_at": NOW - timedelta(minutes=idle_minutes),
    }
    return Candidate(name, **known | values)  # type: ignore[arg-type]


@given(CANDIDATES, st.data())
def test_only_those_who_can_be_rung_are_and_the_longest_idle_first(
    candidates: list[Candidate], data: st.DataObject
) -> None:
    names = [one.receptionist_id for one in candidates]
    excluded = frozenset(data.draw(st.sets(st.sampled_from(names)))) if names else frozenset()
    order = longest_idle_first(candidates, NOW, preferred_id=None, excluded_ids=excluded)
    known = {one.receptionist_id: one for one in candidates}
    assert set(order) == {name for name in names if ringable(known[name], NOW)} - excluded
    idle_since = [known[name].idle_since_at for name in order]
    assert idle_since == sorted(idle_since)


def test_who_lost_the_call_comes_before_who_is_idle_longest() -> None:
    candidates = [candidate("a", idle_minutes=9), candidate("b", idle_minutes=1)]
    assert longest_idle_first(candidates, NOW, preferred_id="b", excluded_ids=frozenset()) == ["b", "a"]


def test_a_softphone_without_a_sign_of_life_is_not_rung() -> None:
    alive = candidate("a", heartbeat_at=NOW - timedelta(seconds=HEARTBEAT_LAPSES_AFTER_SECONDS))
    dead = candidate("b", heartbeat_at=NOW - timedelta(seconds=HEARTBEAT_LAPSES_AFTER_SECONDS + 1))
    assert (ringable(alive, NOW), ringable(dead, NOW)) == (True, False)


def test_who_declined_half_a_minute_ago_may_be_asked_again() -> None:
    assert reoffer_cutoff(NOW) == NOW - timedelta(seconds=30)


@pytest.mark.parametrize("known", range(KNOWN_CALLS_FOR_ESTIMATE))
def test_nothing_is_said_of_the_wait_while_fewer_than_ten_calls_are_known(known: int) -> None:
    assert estimate_wait_minutes([180.0] * known, ahead=3, at_work=2) is None


def test_nothing_is_said_of_the_wait_while_nobody_works() -> None:
    assert estimate_wait_minutes([180.0] * 10, ahead=3, at_work=0) is None


@pytest.mark.parametrize(("ahead", "at_work", "minutes"), [(0, 1, 2), (0, 4, 1), (1, 1, 5), (3, 2, 6), (10, 3, 11)])
def test_the_estimate_counts_the_callers_ahead_and_the_people_at_work(ahead: int, at_work: int, minutes: int) -> None:
    assert estimate_wait_minutes([180.0] * 10, ahead=ahead, at_work=at_work) == minutes


def overflows(*candidates: Candidate, waited: int, heard: bool = True, being_offered: bool = False) -> bool:
    """Whether a caller with a limit of two minutes may leave a message after waiting so long."""
    facts = WaitFacts(heard, being_offered, NOW + timedelta(seconds=120 - waited), candidates)
    return should_overflow(facts, NOW)


def test_with_nobody_signed_in_a_message_may_be_left_after_the_first_prompt() -> None:
    gone = candidate("a", presence=Presence.SIGNED_OUT)
    silent = candidate("b", heartbeat_at=None)
    assert not overflows(gone, silent, waited=5, heard=False)
    assert overflows(gone, silent, waited=5)


def test_with_everybody_busy_a_caller_waits_for_the_limit() -> None:
    busy = candidate("a", activity=Activity.TALKING)
    assert not overflows(busy, waited=119)
    assert overflows(busy, waited=120)


def test_while_somebody_is_wrapping_up_a_caller_waits_on() -> None:
    busy, wrapping = candidate("a", activity=Activity.TALKING), candidate("b", activity=Activity.WRAPPING_UP)
    assert not overflows(busy, wrapping, waited=500)
    assert overflows(busy, candidate("b", activity=Activity.WRAPPING_UP, presence=Presence.ON_BREAK), waited=120)


def test_nobody_gives_up_on_a_caller_for_whom_somebody_is_being_rung() -> None:
    assert not overflows(candidate("a", activity=Activity.RINGING), waited=150, being_offered=True)


def test_receptionists_who_keep_declining_keep_no_caller_for_ever() -> None:
    assert overflows(candidate("a", activity=Activity.RINGING), waited=180, being_offered=True)
