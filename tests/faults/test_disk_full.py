"""No room is left on the disk (F15): callers are answered, logs fail quietly, health is red, nothing half is kept.

A limit on the size of files, or on the pages of the database, works for everybody; where a small disk can be mounted
the same is done on a disk that is really full.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from callcenter import config
from callcenter.db import create_engine_for, transaction
from callcenter.models import Clinic
from callcenter.services.health import HealthMonitor
from callcenter.storage.local import LocalRecordingStore
from callcenter.web.app import create_app
from tests.factories import create_clinic
from tests.webhooks.door import NUMBER, Carrier, said, verbs
from webhooks.snapshot import FILE_NAME

pytestmark = pytest.mark.in_time

FALLBACK = "+441632960999"


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process may become longer than it is; writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def full(sqlite_url: str) -> Iterator[tuple[Engine, list[bool]]]:
    """A SQLite database that grows only while the list is empty."""
    engine, is_full = create_engine_for(sqlite_url), list[bool]()

    @event.listens_for(engine, "checkout")
    def limit(connection: object, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={1 if is_full else 1_000_000}")  # type: ignore[attr-defined]

    yield engine, is_full
    engine.dispose()


def _door(engine: Engine, folder: Path) -> Carrier:
    with transaction(engine) as session:
        create_clinic(session, number=NUMBER, name="Oak Lane", fallback_number=FALLBACK)
    return Carrier.to_new_door(engine, folder)


def test_a_database_without_room_is_as_one_that_is_away(full: tuple[Engine, list[bool]], tmp_path: Path) -> None:
    engine, is_full = full
    door = _door(engine, tmp_path)
    is_full.append(True)
    answers = [door.rings(sid=f"CA{number:032x}") for number in range(200)]  # until the free pages are used up
    assert verbs(answers[-1]) == ["Say", "Say", "Dial", "Hangup"]
    assert "Oak Lane" in said(answers[-1])
    assert b"Record" not in answers[-1].data
    assert door.post("/webhooks/voice/status", CallStatus="completed").status_code in (204, 503)
    is_full.clear()
    assert "Enqueue" in verbs(door.rings(sid="CA" + "e" * 32))
    door.door.close()


def test_a_snapshot_that_finds_no_room_leaves_the_old_one_whole(engine: Engine, tmp_path: Path) -> None:
    door = _door(engine, tmp_path / "state")
    before = (tmp_path / "state" / FILE_NAME).read_bytes()
    with transaction(engine) as session:
        session.query(Clinic).update({"greeting": "Good morning."})
    with no_room(), pytest.raises(OSError, match="File too large"):
        door.door.snapshot.refresh(engine)
    assert (tmp_path / "state" / FILE_NAME).read_bytes() == before
    assert list((tmp_path / "state").glob("*.part")) == []
    assert "Good morning." in said(door.post("/webhooks/voice/fallback", To=NUMBER, CallStatus="ringing"))
    door.door.close()


def test_health_says_that_there_is_no_room(sqlite_url: str, settings: config.Settings, tmp_path: Path) -> None:
    engine = create_engine_for(sqlite_url)
    store = LocalRecordingStore(tmp_path / "recordings")
    web = create_app(settings, engine, store).test_client()
    assert (web.get("/api/v1/health").json or {})["checks"]["disk"]["status"] == "ok"
    with no_room():
        check = HealthMonitor(engine, store).report().checks["disk"]
        shown = web.get("/api/v1/health").json or {}
    assert (check.status, "full" in check.reason) == ("failing", True)
    assert (shown["status"], shown["checks"]["disk"]["status"]) == ("failing", "failing")
    engine.dispose()


def test_a_recording_that_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    store = LocalRecordingStore(tmp_path / "recordings")
    with no_room(), pytest.raises(Exception, match="File too large"):
        store.put("a1", [b"audio" * 1000])
    assert store.versions("a1") == 0
    assert store.put("a1", [b"audio"]).size_bytes == 5


LOGGING = """
import resource, sys
from pathlib import Path
from callcenter.db import create_engine_for
from callcenter.logs import configure, log
from tests.faults.test_disk_full import _door
from tests.webhooks.door import verbs
configure()
door = _door(create_engine_for(sys.argv[1]), Path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(4_000):
    log("webhooks").error("failed", code="x" * 200)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024, "what cannot be written is kept"
assert "Enqueue" in verbs(door.rings())
assert door.raw("/webhooks/voice/incoming", "CallSid=x", None).status_code == 403
door.door.close()
print("answered")
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_log_that_cannot_be_written_stops_nobody_and_costs_no_memory(sqlite_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOGGING, sqlite_url, str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, timeout=110, check=False)
    assert done.stdout == b"answered\n"


REALLY_FULL = """
import os, subprocess, sys
from pathlib import Path
folder = Path(sys.argv[1])
mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], capture_output=True)
if mounted.returncode:
    sys.exit(77)
from callcenter.db import create_engine_for
from callcenter.migrating import upgrade
from callcenter.services.health import HealthMonitor
from callcenter.storage.local import LocalRecordingStore
from tests.faults.test_disk_full import _door
from tests.webhooks.door import verbs
engine = create_engine_for(f"sqlite:///{folder}/callcenter.db")
upgrade(engine)
door = _door(engine, folder)
assert "Enqueue" in verbs(door.rings())
snapshot = (folder / "door-snapshot.json").read_bytes()
try:
    with open(folder / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
except OSError:
    pass
for number in range(60):
    answer = door.rings(sid=f"CA{number:032x}")
    assert verbs(answer)[-1] in ("Enqueue", "Hangup", "Redirect"), verbs(answer)
assert verbs(answer) == ["Say", "Say", "Dial", "Hangup"], verbs(answer)
check = HealthMonitor(engine, LocalRecordingStore(folder / "recordings")).report().checks["disk"]
assert (check.status, "full" in check.reason) == ("failing", True), check
assert (folder / "door-snapshot.json").read_bytes() == snapshot
(folder / "filler").unlink()
assert "Enqueue" in verbs(door.rings(sid="CA" + "e" * 32))
door.door.close()
"""


def test_on_a_disk_that_is_really_full_callers_are_answered_and_served_again_when_there_is_room(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "small-disk"
    folder.mkdir()
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", REALLY_FULL, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    if done.returncode in (1, 77) and "AssertionError" not in done.stderr and "Traceback" not in done.stderr:
        pytest.skip("a disk cannot be mounted here")
    assert done.returncode == 0, done.stderr[-3000:]
