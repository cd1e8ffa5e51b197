"""A worker that has died is known to be dead at once; one that lives keeps what it has under way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain.commands import CommandKind
from callcenter.models import Call
from callcenter.services import commands
from callcenter.worker.lifeline import Lifeline
from tests.carrier_world import World
from tests.worker.desk import commands_of, waiting

HOLD_ON = """
import sys, time
from pathlib import Path
from callcenter.worker.lifeline import Lifeline
line = Lifeline(Path(sys.argv[1]), "other")
print("ready", flush=True)
time.sleep(600)
"""


def test_a_worker_is_dead_from_the_moment_it_is_killed_and_not_before(tmp_path: Path) -> None:
    own = Lifeline(tmp_path, "own")
    other = subprocess.Popen([sys.executable, "-c", HOLD_ON, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        assert own.dead() == []
        os.kill(other.pid, signal.SIGSTOP)
        assert own.dead() == [], "who stands still may go on"
    finally:
        other.kill()
        other.communicate(timeout=60)
    assert own.dead() == ["other"]
    own.forget("other")
    assert own.dead() == []


def test_a_worker_that_ends_in_peace_leaves_nothing(tmp_path: Path) -> None:
    Lifeline(tmp_path, "other").close()
    assert Lifeline(tmp_path, "own").dead() == []
    assert [file.name for file in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize(("released", "claimed"), [("dead", True), ("somebody else", False)])
def test_what_a_dead_worker_had_under_way_is_taken_over_without_waiting_for_its_lease(
    world: World, released: str, claimed: bool
) -> None:
    waiting(world)
    with transaction(world.engine) as session:
        call = session.get_one(Call, world.call().id)
        command = commands.tell(session, CommandKind.VERIFY_CALL, call, call.id, now=clock.now())
    with transaction(world.engine) as session:
        assert commands.claim(session, [command.id], now=clock.now(), holder="dead")
        assert not commands.claim(session, [command.id], now=clock.now(), holder="next")
    with transaction(world.engine) as session:
        commands.release(session, released)
        assert bool(commands.claim(session, [command.id], now=clock.now(), holder="next")) is claimed
    with reading(world.engine) as session:
        assert commands_of(world, CommandKind.VERIFY_CALL)[-1].attempts == 1 + claimed
