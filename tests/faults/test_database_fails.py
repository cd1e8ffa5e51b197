"""The database goes away, freezes, is slow, full of others, or silent just after a commit (F1–F4).

Whoever is on the line is answered in less than two seconds, nothing is half written, and all goes on by itself.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, QueuePool, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from callcenter import config, db
from callcenter.clock import now
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, CallLeg, CarrierEvent, Clinic
from callcenter.storage.local import LocalRecordingStore
from callcenter.web.app import create_app
from callcenter.worker.loop import Worker
from tests.factories import NOW, create_clinic, create_receptionist
from tests.fakes import wav
from tests.faults.database_line import Line, line_to
from tests.faults.waiting import quickest, until
from tests.retention.world import World
from tests.services.ingest_desk import Desk
from tests.webhooks.door import NUMBER, Carrier, verbs
from tests.webhooks.test_database_away import HERE, NOTIFICATIONS

pytestmark = pytest.mark.in_time

TROUBLES: dict[str, Callable[[Line], None]] = {
    "refused": Line.cut,
    "frozen": Line.freeze,
    "slow": lambda line: setattr(line, "delay_seconds", 2.0),
}


@pytest.fixture
def line(postgresql_url: str) -> Iterator[Line]:
    """The line to a database, in order."""
    with line_to(postgresql_url) as line:
        yield line


@pytest.fixture
def door(line: Line, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Carrier]:
    """A door at the far end of the line, with a clinic."""
    monkeypatch.setattr(db, "ANSWER_SECONDS", 3.0)
    engine = create_engine_for(line.url)
    with transaction(engine) as session:
        clinic = create_clinic(session, number=NUMBER, name="Oak Lane", fallback_number="+441632960999")
        create_receptionist(session, clinic, heartbeat_at=now())
    carrier = Carrier.to_new_door(engine, tmp_path)
    yield carrier
    line.drop()
    carrier.door.close()
    engine.dispose()


@pytest.fixture
def direct(postgresql_url: str) -> Iterator[Engine]:
    """The same database, past the line."""
    engine = create_engine_for(postgresql_url)
    yield engine
    engine.dispose()


def _repair(line: Line, trouble: str) -> None:
    if trouble == "refused":
        line.mend()
    line.delay_seconds = 0.0
    line.thaw()


def _sids(count: int) -> Iterator[str]:
    return iter([f"CA{number:032x}" for number in range(count)])


@pytest.mark.postgresql
@pytest.mark.parametrize("trouble", TROUBLES)
def test_callers_are_answered_and_served_again_when_it_is_over(
    door: Carrier, line: Line, direct: Engine, trouble: str
) -> None:
    assert "Enqueue" in verbs(door.rings())
    TROUBLES[trouble](line)
    sids = _sids(2)
    answers: list[Any] = []
    assert quickest(2, lambda: answers.append(door.rings(sid=next(sids)))) < 2
    assert {tuple(verbs(answer)) for answer in answers} == {("Say", "Say", "Dial", "Hangup")}
    assert quickest(1, lambda: answers.append(door.post(HERE + "wait", To=NUMBER))) < 2
    assert all(b"Record" not in answer.data for answer in answers)
    path, fields = next(iter(NOTIFICATIONS.items()))
    assert door.post(path, fields).status_code == 503
    ready = door.app.test_client().get("/readyz")
    assert (ready.status_code, (ready.json or {})["status"]) == (200, "degraded")

    _repair(line, trouble)
    fresh = iter(range(100, 10_000))
    until("callers are served", lambda: "Enqueue" in verbs(door.rings(sid=f"CA{next(fresh):032x}")))
    with reading(direct) as session:
        given_up = select(func.count()).select_from(Call).where(Call.carrier_call_sid.in_(list(_sids(2))))
        assert session.scalar(given_up) == 0, "what was given up on was not written"


@pytest.mark.postgresql
def test_a_database_that_was_replaced_without_a_word_is_found(door: Carrier, line: Line) -> None:
    line.freeze()
    with ThreadPoolExecutor(12) as many:  # more than the door has threads for the database
        answers = list(many.map(lambda sid: Carrier(door.app).rings(sid=sid), _sids(12)))
    assert all("Dial" in verbs(answer) for answer in answers)
    line.abandon()
    fresh = iter(range(100, 10_000))
    until("callers are served", lambda: "Enqueue" in verbs(door.rings(sid=f"CA{next(fresh):032x}")))


def test_a_pool_that_others_have_emptied_keeps_no_caller_waiting(
    engine: Engine, tmp_path: Path, settings: config.Settings
) -> None:
    with transaction(engine) as session:
        create_clinic(session, number=NUMBER, name="Oak Lane", fallback_number="+441632960999")
    door = Carrier.to_new_door(engine, tmp_path)
    web = create_app(settings, engine, LocalRecordingStore(tmp_path / "recordings"))
    answers: list[list[str]] = []
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(engine.connect())
        assert quickest(2, lambda: answers.append(verbs(door.rings()))) < 2
        assert "Dial" in answers[-1]
        assert door.post("/webhooks/voice/status", CallStatus="completed").status_code == 503
        assert web.test_client().get("/readyz").status_code == 503
    until("callers are served", lambda: "Enqueue" in verbs(door.rings()))
    until("the web is ready", lambda: web.test_client().get("/readyz").status_code == 200)
    door.door.close()


@pytest.mark.postgresql
def test_two_transactions_that_wait_for_each_other_are_parted_and_the_caller_is_answered(
    door: Carrier, direct: Engine
) -> None:
    with transaction(direct) as session:
        first, second = (create_clinic(session).id for _ in range(2))
    both_have_one, results = threading.Barrier(2), []

    def lock(session: Session, clinic_id: str) -> None:
        session.get_one(Clinic, clinic_id, with_for_update=True, populate_existing=True)

    def other() -> None:
        try:
            with transaction(direct) as session:
                lock(session, second)
                both_have_one.wait(30)
                lock(session, first)
        except OperationalError:
            results.append("parted")

    def work(session: Session) -> str:
        lock(session, first)
        if not both_have_one.broken and both_have_one.n_waiting:
            both_have_one.wait(30)
        lock(session, second)
        return "done"

    thread = threading.Thread(target=other)
    thread.start()
    until("the other has its lock", lambda: both_have_one.n_waiting)
    try:
        results.append(door.door.transact(work))
    except Exception as error:
        results.append(type(error).__name__)
    thread.join(60)
    assert not thread.is_alive()
    assert set(results) & {"done", "DatabaseAway"}
    assert "Enqueue" in verbs(door.rings())


@pytest.mark.postgresql
@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_commit_whose_answer_is_lost_makes_one_call_and_the_right_answer(
    door: Carrier, line: Line, direct: Engine, lost: str
) -> None:
    line.lose_commits = [lost]
    assert "Enqueue" in verbs(door.rings())
    assert line.lose_commits == []
    with reading(direct) as session:
        call = session.scalars(select(Call)).one()
        assert [session.scalar(select(func.count()).select_from(table)) for table in (CallLeg, CarrierEvent)] == [1, 1]
    line.lose_commits = [lost]
    ended = {"CallStatus": "completed", "CallDuration": "3", "Timestamp": format_datetime(now())}
    assert door.post("/webhooks/voice/status", ended).status_code == 204
    with reading(direct) as session:
        assert session.get_one(Call, call.id).ended_at is not None


@pytest.mark.postgresql
@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("which", range(3))
def test_a_lost_commit_while_copying_ends_stored_once(line: Line, lost: str, which: int) -> None:
    engine = create_engine_for(line.url)
    desk = Desk(engine)
    recording_id = desk.recording(wav(1.0), duration_seconds=1)
    line.lose_commits = [*["none"] * which, lost]
    for tries in range(4):
        with suppress(OperationalError):
            desk.run_to_quiet(NOW + tries * timedelta(minutes=20))
    assert line.lose_commits == []
    row = desk.row(recording_id)
    assert (row.state, row.carrier_copy_deleted_at is not None) == (RecordingState.STORED, True)
    assert (len(desk.s3.names()), desk.fake.media) == (1, {})
    engine.dispose()


@pytest.mark.postgresql
@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("which", range(3))
def test_a_lost_commit_while_purging_ends_with_one_entry(line: Line, lost: str, which: int) -> None:
    engine = create_engine_for(line.url)
    world = World(engine)
    recording_id = world.recording(versions=2)
    line.lose_commits = [*["none"] * which, lost]
    for _ in range(4):
        with suppress(OperationalError):
            world.sweep()
        world.now += timedelta(minutes=10)
    assert line.lose_commits == []
    assert world.row(recording_id).state == RecordingState.PURGED
    assert (world.s3.names(), world.carrier.media, len(world.ledger())) == ([], {}, 1)
    engine.dispose()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the pool drops broken connections
@pytest.mark.postgresql
@pytest.mark.parametrize("trouble", ["refused", "frozen", "replaced"])
def test_the_worker_waits_and_goes_on_by_itself(
    line: Line, direct: Engine, tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "ANSWER_SECONDS", 3.0)
    desk, engine = Desk(direct), create_engine_for(line.url, pool_size=16)
    worker = Worker(config.load({}, directory=tmp_path), engine, desk.fake.carrier(), desk.store)
    thread = threading.Thread(target=worker.run)
    thread.start()
    in_a_year = now() + timedelta(days=365)
    before = desk.recording(wav(1.0), duration_seconds=1, expires_at=in_a_year)
    until("it works", lambda: desk.row(before).state == RecordingState.STORED)
    (line.cut if trouble == "refused" else line.freeze)()
    after = desk.recording(wav(1.0), duration_seconds=1, expires_at=in_a_year)
    threading.Event().wait(1.0)
    assert desk.row(after).state == RecordingState.COPYING
    {"refused": line.mend, "frozen": line.thaw, "replaced": line.abandon}[trouble]()
    until("it works again", lambda: desk.row(after).state == RecordingState.STORED)
    worker.stop()
    line.drop()
    for one in (thread, *(one for one in threading.enumerate() if one.name.startswith("copy-"))):
        one.join(60)
        assert not one.is_alive()
    engine.dispose()


@pytest.mark.postgresql
@pytest.mark.parametrize("trouble", ["refused", "frozen"])
def test_health_turns_red_with_the_reason_and_green_again(
    line: Line, settings: config.Settings, tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "ANSWER_SECONDS", 5.0)
    engine = create_engine_for(line.url)
    web = create_app(settings, engine, LocalRecordingStore(tmp_path / "recordings")).test_client()
    assert web.get("/readyz").status_code == 200
    TROUBLES[trouble](line)
    assert quickest(1, lambda: web.get("/readyz")) < 30
    assert web.get("/readyz").status_code == 503
    health = web.get("/api/v1/health").json or {}
    assert (health["status"], health["checks"]["database"]["status"]) == ("failing", "failing")
    assert "does not answer" in health["checks"]["database"]["reason"]
    assert web.get("/healthz").status_code == 200
    _repair(line, trouble)
    until("it is ready", lambda: web.get("/readyz").status_code == 200)
    until("every look has ended", lambda: isinstance(engine.pool, QueuePool) and not engine.pool.checkedout())
    engine.dispose()
