"""Without the database callers are still answered, fast and honestly; notifications are sent again later (F1, F2)."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from callcenter.clock import monotonic_seconds
from callcenter.db import create_engine_for, reading, transaction
from callcenter.models import Call, Clinic
from tests.factories import create_clinic
from tests.webhooks.door import NUMBER, Carrier, only, said, twiml, verbs
from webhooks.door import DatabaseAway
from webhooks.snapshot import FILE_NAME

pytestmark = pytest.mark.in_time

FALLBACK = "+441632960999"
QUIET_NUMBER = "+441632960002"
CALL = "a" * 32
NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:9/nothing"
HERE = f"/webhooks/voice/calls/{CALL}/1/"
NOTIFICATIONS = {
    "/webhooks/voice/status": {"CallStatus": "completed"},
    f"/webhooks/status/offers/{CALL}": {"CallStatus": "ringing"},
    f"/webhooks/status/conferences/{CALL}/1": {
        "ConferenceSid": "CF" + "1" * 32,
        "StatusCallbackEvent": "participant-join",
    },
    f"/webhooks/recording/{CALL}": {"RecordingSid": "RE" + "1" * 32, "RecordingStatus": "completed"},
}
Breaking = Callable[[ExitStack, Engine, str, Path], Engine]


def _locked(stack: ExitStack, engine: Engine, url: str, folder: Path) -> Engine:
    """Somebody else holds what we need and does not let go."""
    connection = stack.enter_context(_until_the_end(stack, url).connect())
    if engine.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE calls, offers, recordings, clinics IN ACCESS EXCLUSIVE MODE"))
    else:
        connection.begin()
    return engine


def _closed(stack: ExitStack, engine: Engine, url: str, folder: Path) -> Engine:
    """Nobody listens there; SQLite's counterpart is a file that cannot be opened."""
    if engine.dialect.name == "postgresql":
        return _until_the_end(stack, NOWHERE)
    (folder / "a-directory.db").mkdir(exist_ok=True)
    return _until_the_end(stack, f"sqlite:///{folder / 'a-directory.db'}")


def _until_the_end(stack: ExitStack, url: str) -> Engine:
    engine = create_engine_for(url)
    stack.callback(engine.dispose)
    return engine


@contextmanager
def broken(carrier: Carrier, how: Breaking, url: str, folder: Path) -> Iterator[None]:
    """The door's database is away for the length of the block."""
    whole = carrier.door.engine
    with ExitStack() as stack:
        carrier.door.engine = how(stack, whole, url, folder)
        try:
            yield
        finally:
            carrier.door.engine = whole


@pytest.fixture
def known(carrier: Carrier, engine: Engine) -> Carrier:
    """A door that knows two clinics; one of them has no fallback number."""
    with transaction(engine) as session:
        create_clinic(session, number=QUIET_NUMBER, name="Quiet Street")
    carrier.door.snapshot.refresh(engine)
    return carrier


@pytest.fixture
def away(known: Carrier, database_url: str, tmp_path: Path) -> Iterator[Carrier]:
    """A door whose database is gone."""
    with broken(known, _closed, database_url, tmp_path):
        yield known


@pytest.fixture
def stuck(known: Carrier, database_url: str, tmp_path: Path) -> Iterator[Carrier]:
    """A door whose database is there and does not get on."""
    with broken(known, _locked, database_url, tmp_path):
        yield known


@pytest.fixture(params=[_closed, _locked])
def either(request: pytest.FixtureRequest, known: Carrier, database_url: str, tmp_path: Path) -> Iterator[Carrier]:
    """Once this, once that."""
    with broken(known, request.param, database_url, tmp_path):
        yield known


def test_a_new_caller_is_greeted_and_forwarded_in_less_than_two_seconds(either: Carrier) -> None:
    started = monotonic_seconds()
    answer = either.rings()
    assert monotonic_seconds() - started < 2
    assert verbs(answer) == ["Say", "Say", "Dial", "Hangup"]
    assert "Oak Lane" in said(answer)
    assert only(twiml(answer), "Number").text == FALLBACK
    assert only(twiml(answer), "Dial").attrib["callerId"] == NUMBER


def test_nothing_is_recorded_and_everything_is_answered_while_the_database_is_away(away: Carrier) -> None:
    apology = away.rings(To=QUIET_NUMBER)
    assert "Quiet Street" in said(apology)
    assert verbs(apology)[-1] == "Hangup"
    for path, ends in {
        HERE + "next": "Redirect",
        HERE + "again": "Hangup",
        HERE + "queued": "Redirect",
        HERE + "wait": "Redirect",
        HERE + "key": "Redirect",
        HERE + "consent": "Hangup",
        HERE + "message": "Hangup",
        f"/webhooks/voice/offers/{CALL}/answer": "Hangup",
        f"/webhooks/voice/offers/{CALL}/next": "Hangup",
        "/webhooks/voice/fallback": "Hangup",
    }.items():
        answer = away.post(path, To=NUMBER, CallStatus="in-progress")
        assert verbs(answer)[-1] == ends, path
        assert b"Record" not in answer.data


def test_a_first_failure_is_tried_again_and_a_second_one_forwards_the_caller(away: Carrier) -> None:
    again = only(twiml(away.post(HERE + "next", To=NUMBER)), "Redirect").text or ""
    assert only(twiml(away.post(again, To=NUMBER)), "Number").text == FALLBACK


def test_a_waiting_caller_hears_music_and_is_let_go_when_it_takes_too_long(away: Carrier) -> None:
    assert verbs(away.post(HERE + "wait", QueueTime="10", To=NUMBER)) == ["Play", "Redirect"]
    assert verbs(away.post(HERE + "wait", QueueTime="9999", To=NUMBER)) == ["Leave"]


def test_notifications_are_asked_for_again(away: Carrier) -> None:
    for path, fields in NOTIFICATIONS.items():
        answer = away.post(path, fields)
        assert (answer.status_code, answer.data) == (503, b""), path


def test_a_notification_does_not_wait_for_a_database_that_is_stuck(stuck: Carrier) -> None:
    started = monotonic_seconds()
    assert stuck.post("/webhooks/voice/status", CallStatus="completed").status_code == 503
    assert monotonic_seconds() - started < 2


def test_the_gate_is_as_closed_as_ever(away: Carrier) -> None:
    assert away.raw("/webhooks/voice/incoming", "CallSid=x", None).status_code == 403


def test_the_door_stays_ready_with_its_snapshot(away: Carrier) -> None:
    answer = away.app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert (answer.json or {})["status"] == "degraded"


def test_callers_are_served_as_usual_as_soon_as_the_database_is_back(
    carrier: Carrier, database_url: str, tmp_path: Path
) -> None:
    with broken(carrier, _closed, database_url, tmp_path):
        assert "Dial" in verbs(carrier.rings())
    assert "Enqueue" in verbs(carrier.rings())


def test_many_callers_at_once_are_all_answered_in_time_without_the_database(either: Carrier) -> None:
    seconds: list[float] = []

    def one(number: int) -> None:
        started = monotonic_seconds()
        twiml(Carrier(either.app).rings(sid=f"CA{number:032x}"))
        seconds.append(monotonic_seconds() - started)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seconds) == 20
    assert max(seconds) < 3  # 2 s and what 20 threads cost on a small machine


def test_the_fallback_answers_without_ever_asking_the_database(carrier: Carrier, tmp_path: Path) -> None:
    carrier.door.snapshot.refresh(carrier.door.engine)
    carrier.door.close()  # no thread is left that could ask
    ringing = carrier.post("/webhooks/voice/fallback", To=NUMBER, CallStatus="ringing", ErrorCode="11200")
    talking = carrier.post("/webhooks/voice/fallback", To=NUMBER, CallStatus="in-progress")
    assert (verbs(ringing), verbs(talking)) == (["Say", "Say", "Dial", "Hangup"], ["Say", "Dial", "Hangup"])
    assert verbs(carrier.post("/webhooks/voice/fallback", To="+441632000000")) == ["Say", "Hangup"]


def test_a_door_that_starts_without_a_database_uses_the_snapshot_of_the_last_one(
    carrier: Carrier, tmp_path: Path
) -> None:
    gone = create_engine_for(NOWHERE)
    next_door = Carrier.to_new_door(gone, tmp_path)
    assert only(twiml(next_door.rings()), "Number").text == FALLBACK
    next_door.door.close()


def test_the_snapshot_follows_the_clinics_and_holds_nothing_about_callers(
    carrier: Carrier, engine: Engine, tmp_path: Path
) -> None:
    carrier.rings(From="+447700900456")
    with transaction(engine) as session:
        session.query(Clinic).update({"greeting": "Oak Lane, good morning.", "fallback_number": None})
    carrier.door.snapshot.refresh(engine)
    content = (tmp_path / FILE_NAME).read_text()
    assert json.loads(content) == {
        "numbers": {NUMBER: {"greeting": "Oak Lane, good morning.", "fallback_number": None}}
    }
    assert not list(tmp_path.glob("*.part"))


def test_a_fallback_number_that_would_ring_here_again_is_not_used(carrier: Carrier, engine: Engine) -> None:
    with transaction(engine) as session:
        session.query(Clinic).update({"fallback_number": NUMBER})
    carrier.door.snapshot.refresh(engine)
    answer = carrier.post("/webhooks/voice/fallback", To=NUMBER, CallStatus="in-progress")
    assert verbs(answer) == ["Say", "Hangup"]


def test_the_snapshot_is_for_nobody_else_on_the_machine(engine: Engine, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Carrier.to_new_door(engine, tmp_path / "state").door.close()
    finally:
        os.umask(before)
    modes = [(tmp_path / "state" / name).stat().st_mode & 0o777 for name in ("", FILE_NAME)]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"numbers": 3}', '{"numbers": {"+44": {"odd": 1}}}', "\x00"])
def test_a_damaged_snapshot_is_as_good_as_none(engine: Engine, tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    carrier = Carrier.to_new_door(create_engine_for(NOWHERE), tmp_path)
    assert verbs(carrier.rings()) == ["Say", "Hangup"]
    assert carrier.app.test_client().get("/readyz").status_code == 503
    carrier.door.close()


def test_the_snapshot_is_taken_again_by_itself(carrier: Carrier, engine: Engine) -> None:
    woken = threading.Event()
    carrier.door.refresher._refresh = woken.set
    carrier.app.test_client().get("/healthz")
    carrier.door.refresher.wake()
    assert woken.wait(5)


def test_what_came_too_late_is_not_written(known: Carrier, engine: Engine, database_url: str, tmp_path: Path) -> None:
    with broken(known, _locked, database_url, tmp_path):
        assert "Dial" in verbs(known.rings())
    known.door.close()  # waits for the transaction that was given up on
    with reading(engine) as session:
        assert session.scalars(select(Call)).all() == []


def test_a_transaction_that_collides_with_another_is_tried_once_more(carrier: Carrier) -> None:
    attempts: list[int] = []

    def collides(times: int) -> Callable[[Session], str]:
        def work(session: Session) -> str:
            attempts.append(1)
            if len(attempts) <= times:
                raise OperationalError("a statement", None, Exception("deadlock"))
            return "done"

        return work

    assert carrier.door.transact(collides(1)) == "done"
    assert len(attempts) == 2
    attempts.clear()
    with pytest.raises(DatabaseAway):
        carrier.door.transact(collides(9))
    assert len(attempts) == 2
