"""Requests that wait at the same moment are answered together, and none of them pays for another."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from webhooks.together import Together

LONG = 60.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def test_who_comes_while_others_are_served_shares_the_next_turn(threads: ThreadPoolExecutor) -> None:
    groups: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def work(items: Sequence[int], _too_late: Callable[[], bool]) -> Sequence[int]:
        groups.append(list(items))
        begun.set()
        assert go_on.wait(LONG)
        return [item * 2 for item in items]

    together = Together(threads, work, at_once=1)
    with ThreadPoolExecutor(4) as askers:
        first = askers.submit(together.ask, 1, within_seconds=LONG)
        assert begun.wait(LONG)
        others = [askers.submit(together.ask, item, within_seconds=LONG) for item in (2, 3, 4)]
        while len(together._waiting) < 3:
            pass
        go_on.set()
        assert [one.result(LONG) for one in (first, *others)] == [2, 4, 6, 8]
    assert [sorted(group) for group in groups] == [[1], [2, 3, 4]]


def test_one_that_fails_spoils_nothing_but_its_own_answer(threads: ThreadPoolExecutor) -> None:
    def work(items: Sequence[int], _too_late: Callable[[], bool]) -> Sequence[int]:
        if 13 in items:
            raise ValueError("unlucky")
        return list(items)

    together = Together(threads, work, at_once=1)
    with ThreadPoolExecutor(8) as askers:
        asked = {item: askers.submit(together.ask, item, within_seconds=LONG) for item in (11, 12, 13, 14, 15)}
        assert [asked[item].result(LONG) for item in (11, 12, 14, 15)] == [11, 12, 14, 15]
        with pytest.raises(ValueError, match="unlucky"):
            asked[13].result(LONG)


def test_a_stuck_turn_keeps_nobody_waiting_who_comes_after_it_was_given_up(threads: ThreadPoolExecutor) -> None:
    let_go, told = threading.Event(), []

    def work(items: Sequence[str], too_late: Callable[[], bool]) -> Sequence[str]:
        if "stuck" in items:
            assert let_go.wait(LONG)
            told.append(too_late())
        return list(items)

    together = Together(threads, work, at_once=1)
    with pytest.raises(TimeoutError):
        together.ask("stuck", within_seconds=0.1)
    assert together.ask("next", within_seconds=LONG) == "next"
    let_go.set()
    threads.shutdown()
    assert told == [True], "what was given up on is told so before it would be committed"
