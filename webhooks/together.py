"""Requests that wait at the same moment share one transaction: one set of statements, one wait for the disk
(docs/performance.md has the figures). Who comes while it runs shares the next one; who comes alone does not wait for
company."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST = 50
"""Requests in one transaction: enough for a storm, and little lost when it has to be done again."""
GATHERING_SECONDS = 0.002
"""After a group, so that the next one is a group too: answered callers and new ones are on their way just then."""


@dataclass(eq=False)
class _Asking(Generic[Item, Answer]):
    item: Item
    answer: Future[Answer] = field(default_factory=Future)
    too_late: threading.Event = field(default_factory=threading.Event)


class _Turn:
    """One thread's leave to work; given to another when it is stuck."""


class Together(Generic[Item, Answer]):
    """Answers items in groups. ``work`` gets the items and a question, whether one of them has been given up on
    meanwhile (then nothing may be committed), and answers in their order. A group that fails is done again one by one,
    so that an item spoils nothing but its own answer."""

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        work: Callable[[Sequence[Item], Callable[[], bool]], Sequence[Answer]],
        *,
        at_once: int,
    ) -> None:
        self._threads, self._work, self._at_once = threads, work, at_once
        self._guard = threading.Lock()
        self._waiting: deque[_Asking[Item, Answer]] = deque()
        self._turns: set[_Turn] = set()

    def ask(self, item: Item, *, within_seconds: float) -> Answer:
        """The answer for one item. Raises what ``work`` raised for it, and TimeoutError when it takes too long; then
        it is not committed later."""
        asking: _Asking[Item, Answer] = _Asking(item)
        with self._guard:
            self._waiting.append(asking)
            if len(self._turns) < self._at_once:
                self._begin()
        try:
            return asking.answer.result(timeout=within_seconds)
        except TimeoutError:
            asking.too_late.set()
            with self._guard:
                self._turns.clear()  # whoever works now is stuck: others begin with those who come next
                if self._waiting:
                    self._begin()
            raise

    def _begin(self) -> None:
        turn = _Turn()
        self._turns.add(turn)
        self._threads.submit(self._work_off, turn)

    def _work_off(self, turn: _Turn) -> None:
        while group := self._next_group(turn):
            self._answer(group)
            if len(group) > 1:
                time.sleep(GATHERING_SECONDS)

    def _next_group(self, turn: _Turn) -> list[_Asking[Item, Answer]]:
        with self._guard:
            group: list[_Asking[Item, Answer]] = []
            while self._waiting and len(group) < MOST and turn in self._turns:
                asking = self._waiting.popleft()
                if not asking.too_late.is_set():
                    group.append(asking)
            if not group:
                self._turns.discard(turn)
            return group

    def _answer(self, group: list[_Asking[Item, Answer]]) -> None:
        try:
            self._settle(group)
        except Exception as error:
            if len(group) == 1:
                group[0].answer.set_exception(error)
                return
            for asking in group:
                if not asking.too_late.is_set():
                    self._answer([asking])

    def _settle(self, group: list[_Asking[Item, Answer]]) -> None:
        def too_late() -> bool:
            return any(asking.too_late.is_set() for asking in group)

        answers = self._work([asking.item for asking in group], too_late)
        for asking, answer in zip(group, answers, strict=True):
            asking.answer.set_result(answer)
