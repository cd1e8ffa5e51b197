"""Time that only passes when a test says so, and a list of what happens when."""

import heapq
import itertools
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from callcenter import clock
from callcenter.services import ingest
from tests.factories import NOW

LOOK_SECONDS = 1e-6
"""Every look at the clock takes a moment, so that no two things happen at the same time."""


class Agenda:
    """What happens after how many seconds. Something that happens may let time pass itself: a request that waits for
    its answer while the world goes on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Do this so many seconds from now."""
        heapq.heappush(self._heap, (self.seconds + seconds, next(self._numbers), do))

    def passes(self, seconds: float) -> None:
        """Let time pass, and all happen that is due meanwhile."""
        until = self.seconds + seconds
        while self._heap and self._heap[0][0] <= until:
            at, _, do = heapq.heappop(self._heap)
            self.seconds = max(self.seconds, at)
            do()
        self.seconds = max(self.seconds, until)

    def now(self) -> datetime:
        """The moment as the product sees it."""
        self.seconds += LOOK_SECONDS
        return NOW + timedelta(seconds=self.seconds)

    @contextmanager
    def is_the_clock(self) -> Iterator[None]:
        """The product's clock is this agenda's for as long as the block runs, and its random ids come in the same order
        each time: an example that fails must fail again."""
        ids = random.Random(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clock, "host_now", self.now)
            patch.setattr(ingest, "monotonic_seconds", lambda: self.seconds)
            patch.setattr(secrets, "token_hex", lambda size: ids.randbytes(size).hex())
            yield
