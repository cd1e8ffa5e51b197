"""A worker that has nothing to do is woken by what others commit, and takes what is due together."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from callcenter import clock
from callcenter.db import create_engine_for, reading, transaction, wake_workers
from callcenter.domain.commands import CommandKind
from callcenter.models import Call
from callcenter.services import commands
from callcenter.services.call_rows import locked
from callcenter.worker import wake
from callcenter.worker.execute import take
from callcenter.worker.tick import dispatch_all
from tests.carrier_world import World, clock_at_now
from tests.factories import create_clinic
from tests.worker.desk import offers, talking, waiting

LONG_SECONDS = 20.0


@pytest.fixture
def waker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[wake.Waker]:
    """One that would sleep for very long."""
    monkeypatch.setattr(wake, "POLL_SECONDS", 0.1)
    waker = wake.waker_for(engine)
    waker.wait(threading.Event())  # until here it may still be connecting
    monkeypatch.setattr(wake, "POLL_SECONDS", LONG_SECONDS)
    yield waker
    waker.close()


@pytest.fixture
def on_postgresql(postgresql_url: str) -> Iterator[World]:
    """The world where several can write at once."""
    engine = create_engine_for(postgresql_url)
    with clock_at_now():
        yield World(engine)
    engine.dispose()


def test_work_that_somebody_commits_wakes_the_worker(engine: Engine, waker: wake.Waker) -> None:
    def make_work() -> None:
        time.sleep(0.2)
        with transaction(engine) as session:
            create_clinic(session)
            wake_workers(session)

    with ThreadPoolExecutor(1) as others:
        others.submit(make_work)
        started = time.monotonic()
        waker.wait(threading.Event())
        assert time.monotonic() - started < LONG_SECONDS / 2


def test_what_was_committed_while_the_worker_was_busy_wakes_it_once(engine: Engine, waker: wake.Waker) -> None:
    for _ in range(5):
        with transaction(engine) as session:
            create_clinic(session)
            wake_workers(session)
    started = time.monotonic()
    waker.wait(threading.Event())
    assert time.monotonic() - started < LONG_SECONDS / 2
    wake.POLL_SECONDS = 0.3
    started = time.monotonic()
    waker.wait(threading.Event())
    assert time.monotonic() - started >= 0.2, "there was nothing new"


def test_due_commands_are_taken_together_but_not_two_that_could_cross(world: World) -> None:
    talking(world)
    call_id = world.call().id
    with transaction(world.engine) as session:
        call = session.get_one(Call, call_id)
        commands_told = [
            commands.tell(session, kind, call, subject, now=clock.now())
            for kind, subject in (
                (CommandKind.HANG_UP, call_id),
                (CommandKind.MOVE_ON, "moves the same caller"),
                (CommandKind.VERIFY_CALL, call_id),
                (CommandKind.SYNC_RECORDING, "something else"),
            )
        ]
    told = [command.id for command in commands_told]
    with transaction(world.engine) as session:
        together = commands.claim(session, told, now=clock.now(), holder="one")
        assert [command.id for command in together] == [told[0], told[3]]
        session.rollback()
    assert [command.id for command in take(world.engine, told, holder="one", limit=1)] == [told[0]]
    others = take(world.engine, told, holder="other", limit=1)
    assert [command.id for command in others] == [told[3]], "what must wait keeps nobody else waiting"
    assert take(world.engine, told, holder="other") == [], "the rest waits for the answer to what is under way"


def test_a_call_that_somebody_is_just_at_is_left_alone_and_looked_at_again(on_postgresql: World) -> None:
    """On SQLite nobody can be at it, there is one writer."""
    world = on_postgresql
    waiting(world)
    call_id = world.call().id
    with transaction(world.engine) as session:
        told = commands.tell(session, CommandKind.VERIFY_CALL, session.get_one(Call, call_id), call_id, now=clock.now())
    with transaction(world.engine) as somebody:
        locked(somebody, call_id)
        assert dispatch_all(world.engine, world.voice), "soon again"
        assert take(world.engine, [told.id], holder="one") == []
        with reading(world.engine) as session:
            assert told.id in commands.due_ids(session, now=clock.now(), limit=10)
    assert offers(world) == []
    assert not dispatch_all(world.engine, world.voice)
    assert len(offers(world)) == 1
    assert len(take(world.engine, [told.id], holder="one")) == 1
