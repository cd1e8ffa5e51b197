"""Callers share an interpreter with whoever looks at pages under ``serve``: the pages take turns."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from callcenter.serving import TURN_SECONDS, WEB_AT_WORK, by_path

REQUESTS = 6


class Pages:
    """A web application whose requests last until they are let go; knows how many are at work."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.at_work = self.most = 0
        self._guard = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._guard:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.let_go.wait(60)
        with self._guard:
            self.at_work -= 1
        return [b"page"]


def door(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return [b"caller"]


def ask(app: Any, path: str) -> bytes:
    return b"".join(app({"PATH_INFO": path}, lambda *_: None))


def test_few_pages_are_worked_on_at_a_time_and_callers_are_answered_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callcenter.serving.TURN_SECONDS", 60.0)
    pages = Pages()
    app = by_path(door, pages)
    with ThreadPoolExecutor(REQUESTS) as people:
        asked = [people.submit(ask, app, "/calls") for _ in range(REQUESTS)]
        try:
            until(lambda: pages.at_work == WEB_AT_WORK)
            assert ask(app, "/webhooks/voice/incoming") == b"caller"
        finally:
            pages.let_go.set()
        assert [one.result(60) for one in asked] == [b"page"] * REQUESTS
    assert pages.most == WEB_AT_WORK


def test_pages_that_hang_keep_the_others_waiting_for_a_moment_only() -> None:
    pages = Pages()
    app = by_path(door, pages)
    with ThreadPoolExecutor(REQUESTS) as people:
        began = time.monotonic()
        asked = [people.submit(ask, app, "/calls") for _ in range(REQUESTS)]
        try:
            until(lambda: pages.at_work == REQUESTS)
            assert time.monotonic() - began >= TURN_SECONDS
        finally:
            pages.let_go.set()
        assert [one.result(60) for one in asked] == [b"page"] * REQUESTS


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.005)
