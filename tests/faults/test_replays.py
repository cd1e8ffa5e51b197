"""Signatures have no time in them, so whoever has overheard a request can send it again, for ever (S5, F18, F19, F21).

Every request of two whole calls is sent again after every later state: at once, and after the end a day later too.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, Table, select

from callcenter import clock
from callcenter.carrier import urls
from callcenter.db import transaction
from callcenter.models import Base, Call
from tests.campaigns import LONG
from tests.factories import create_clinic, create_receptionist
from tests.faults.replay_story import FINAL, Story, Tape
from tests.webhooks.door import NUMBER, settings, twiml
from webhooks.app import create_app

pytestmark = pytest.mark.campaign

LOOKED_AT = {"asked_at", "check_at", "wait_rounds", "heartbeat_at", "next_attempt_at"}
"""Columns that say when somebody was last heard of, or when we look next: a repeated question may move them."""
CONTROL = "/webhooks/voice/"


@pytest.fixture
def tape(engine: Engine, tmp_path: Path) -> Iterator[Tape]:
    """A door with a clinic and two receptionists behind it, and somebody who overhears what the carrier says."""
    with transaction(engine) as session:
        clinic = create_clinic(session, number=NUMBER, name="Oak Lane", fallback_number="+441632960999")
        for _ in range(2):
            create_receptionist(session, clinic, heartbeat_at=clock.now() + timedelta(hours=1))
    ours = settings(tmp_path)
    patient = ours.voice.model_copy(update={"max_wait_seconds": 3600})
    tape = Tape(create_app(ours.model_copy(update={"voice": patient}), engine))
    yield tape
    tape.door.close()
    clock.set_offset(0)


def what_is_known(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table, without the columns of LOOKED_AT."""
    with engine.connect() as connection:
        return {table.name: sorted(_cells(connection, table)) for table in Base.metadata.sorted_tables}


def _cells(connection: Connection, table: Table) -> Iterator[str]:
    """``row, column, value`` of every cell, so that a difference says where it is."""
    for row in connection.execute(table.select()).mappings().all():
        name = ":".join(str(row[column.name]) for column in table.primary_key)
        yield from (f"{name} {column} {value}" for column, value in row.items() if column not in LOOKED_AT)


def sent_again(tape: Tape, engine: Engine, state: str, number: int, of: int) -> int:
    """Replay what was overheard so far, every ``of``-th request of it; answers how many were sent."""
    before, sent = what_is_known(engine), 0
    for taken in tape.taken[number % of :: of]:
        answer = tape.replay(taken)
        sent += 1
        if taken[0].startswith(CONTROL) and taken[0] != urls.STATUS:
            twiml(answer)
        else:
            assert (answer.status_code, answer.data) == (204, b""), (state, taken)
        now = what_is_known(engine) if LONG else {}
        assert now in (before, {}), (state, taken, _difference(before, now))
    now = what_is_known(engine)
    assert now == before, (state, _difference(before, now))
    return sent


def _difference(before: dict[str, list[str]], now: dict[str, list[str]]) -> dict[str, set[str]]:
    return {name: set(before[name]) ^ set(now[name]) for name in now if before[name] != now[name]}


@pytest.mark.parametrize("story", ["answered", "message"])
def test_a_request_that_is_sent_again_after_any_later_state_changes_nothing(
    tape: Tape, engine: Engine, story: str, figures: Callable[..., None]
) -> None:
    sent = states = 0
    for states, state in enumerate(getattr(Story(tape, engine), story)(), 1):
        if state == "blanked":
            break
        sent += sent_again(tape, engine, state, states, 1 if LONG or state in ("ended", "purged") else 4)
        if state in FINAL:
            clock.set_offset(timedelta(hours=25).total_seconds())
            sent += sent_again(tape, engine, f"{state}, a day ago", states, 1)
            clock.set_offset(0)
    figures(requests=len(tape.taken), states=states, replays=sent, harmless=sent)


@pytest.mark.parametrize("story", ["answered", "message"])
def test_a_call_that_was_forgotten_does_not_come_back(tape: Tape, engine: Engine, story: str) -> None:
    for _ in getattr(Story(tape, engine), story)():
        pass
    clock.set_offset(timedelta(days=401).total_seconds())
    forgotten = what_is_known(engine)
    for taken in tape.taken:
        answer = tape.replay(taken)
        if taken[0].startswith(CONTROL) and taken[0] != urls.STATUS:
            twiml(answer)
    # Its first request made a call of it again, until the news of its end showed how old it is.
    now = what_is_known(engine)
    changed = _difference(forgotten, now)
    assert set(changed) <= {"replayed_calls", "switches"}, changed
    for taken in tape.taken:
        tape.replay(taken)
    assert what_is_known(engine) == now
    with engine.connect() as connection:
        assert connection.scalars(select(Call.carrier_call_sid)).all() == [None]
