"""Waiting for something to come to pass, on machines that may be slow."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(what: str, look: Callable[[], Found], *, seconds: float = 60) -> Found:
    """The first true answer of ``look``."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"Within {seconds} s it did not come to pass that {what}."
        time.sleep(0.05)
    return found


def quickest(times: int, act: Callable[[], object]) -> float:
    """Seconds that the quickest of some tries took: what the service needs, without what a busy machine adds."""
    seconds = []
    for _ in range(times):
        started = time.monotonic()
        act()
        seconds.append(time.monotonic() - started)
    return min(seconds)
