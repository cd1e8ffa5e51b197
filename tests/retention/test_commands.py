"""The commands of retention: what they print, and their exit codes (design §6.3)."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter import clock, wiring
from callcenter.cli import run
from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import AccessEntry, Recording
from callcenter.storage.local import LocalRecordingStore
from callcenter.storage.s3 import S3RecordingStore
from retention import scheduler
from tests.factories import create_answered_call, create_clinic, create_recording
from tests.fakes import FakeS3

Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def store(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> LocalRecordingStore:
    """The store that the commands use too."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("RECORDINGS_URL", f"file://{tmp_path / 'recordings'}")
    monkeypatch.setenv("CALLCENTER_STATE_DIR", str(tmp_path))
    return LocalRecordingStore(tmp_path / "recordings")


@pytest.fixture
def command(store: LocalRecordingStore, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command with --json; answers exit code, what it printed, and stderr."""

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run([*arguments, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    return call


@pytest.fixture
def recording(engine: Engine, store: LocalRecordingStore) -> str:
    """An expired recording with its bytes."""
    return _recording(engine, store)


def _recording(engine: Engine, store: LocalRecordingStore, count: int = 1) -> str:
    now = clock.now()
    with transaction(engine) as session:
        call = create_answered_call(session, create_clinic(session))
        rows = [
            create_recording(
                session, call, expires_at=now - timedelta(hours=1), carrier_call_sid=None, carrier_copy_deleted_at=now
            )
            for _ in range(count)
        ]
    for row in rows:
        store.put(row.store_key, [b"audio"])
    return rows[-1].id


def _row(engine: Engine, recording_id: str) -> Recording:
    with reading(engine) as session:
        return session.get_one(Recording, recording_id)


def test_what_is_due_is_listed(command: Command, recording: str) -> None:
    code, rows, _ = command("retention", "due")
    assert (code, [row["recording_id"] for row in rows]) == (0, [recording])


def test_a_sweep_deletes_and_exits_with_0(command: Command, engine: Engine, recording: str) -> None:
    code, counts, _ = command("retention", "sweep")
    assert (code, counts["deleted"]) == (0, 1)
    assert _row(engine, recording).state == RecordingState.PURGED


def test_a_dry_run_deletes_nothing(command: Command, engine: Engine, recording: str) -> None:
    code, counts, _ = command("retention", "sweep", "--dry-run")
    assert (code, counts["due"], counts["deleted"]) == (0, 1, 0)
    assert _row(engine, recording).state == RecordingState.STORED


def test_a_sweep_that_failed_exits_with_1(
    command: Command, store: LocalRecordingStore, engine: Engine, recording: str
) -> None:
    with transaction(engine) as session:
        session.get_one(Recording, recording).store_key = "../outside"
    code, counts, _ = command("retention", "sweep")
    assert (code, counts["failed"]) == (1, 1)


def test_a_braked_sweep_exits_with_3_until_it_is_confirmed(
    command: Command, engine: Engine, store: LocalRecordingStore
) -> None:
    _recording(engine, store, count=51)
    code, counts, _ = command("retention", "sweep")
    assert (code, counts["deleted"], counts["braked"]) == (3, 0, 51)
    code, counts, progress = command("retention", "sweep", "--confirm")
    assert (code, counts["deleted"], progress) == (0, 51, "")
    with reading(engine) as session:
        assert session.scalars(select(AccessEntry.action)).all() == ["retention.brake_lifted"]


def test_a_hold_keeps_a_recording_until_it_is_released(command: Command, engine: Engine, recording: str) -> None:
    review = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"
    code, hold, _ = command("hold", "place", "--recording", recording, "--reason", "Complaint", "--review", review)
    assert (code, hold["review_on"]) == (0, review)
    assert command("retention", "sweep")[1]["held"] == 1
    assert [one["id"] for one in command("hold", "list")[1]] == [hold["id"]]
    assert command("hold", "release", hold["id"], "--reason", "Closed")[0] == 0
    assert command("retention", "sweep")[1]["deleted"] == 1


def test_reading_the_reasons_of_holds_is_logged_once_for_each_clinic(
    command: Command, engine: Engine, store: LocalRecordingStore
) -> None:
    review = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"
    for recording_id in (_recording(engine, store), _recording(engine, store)):
        for _ in range(2):
            command("hold", "place", "--recording", recording_id, "--reason", "Complaint", "--review", review)
    shown = command("hold", "list")[1]
    with reading(engine) as session:
        entries = session.scalars(select(AccessEntry).where(AccessEntry.action == "hold.listed")).all()
    assert len(shown) == 4
    assert {entry.clinic_id for entry in entries} == {hold["clinic_id"] for hold in shown}
    assert (len(entries), {entry.actor_id for entry in entries}) == (2, {"command-line"})


def test_a_sweep_blanks_calls_too_and_a_brake_on_them_exits_with_3(
    command: Command, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.domain.retention.BRAKE_COUNT", 2)
    with transaction(engine) as session:
        clinic = create_clinic(session)
        for _ in range(3):
            create_answered_call(session, clinic, expires_at=clock.now() - timedelta(hours=1))
    code, counts, _ = command("retention", "sweep")
    assert (code, counts["calls"]["done"], counts["calls"]["braked"]) == (3, 0, 3)
    code, counts, _ = command("retention", "sweep", "--confirm")
    assert (code, counts["calls"]["done"]) == (0, 3)


def test_in_production_the_process_does_not_start_with_a_store_where_recordings_may_not_be(
    store: LocalRecordingStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = FakeS3()
    settings = wiring.load_settings().model_copy(update={"environment": "production"})
    abroad = S3RecordingStore("recordings", client=s3.client(), allowed_regions=("eu-south-1",))
    monkeypatch.setattr(wiring, "load_settings", lambda: settings)
    monkeypatch.setattr(wiring, "_bucket", lambda _: abroad)
    monkeypatch.setattr(scheduler, "run", lambda *_: pytest.fail("It started."))
    assert run(["retention", "run"]) == 2
    error = capsys.readouterr().err
    assert "may not be stored" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("hold", "place", "--recording", "none", "--reason", "x", "--review", "2099-01-01"),
        ("hold", "place", "--recording", "none", "--reason", "x", "--review", "soon"),
        ("hold", "place", "--recording", "none", "--reason", "x"),
        ("hold", "release", "none", "--reason", "x"),
        ("hold", "release"),
        ("retention", "sweep", "--force"),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_sentence_and_exit_code_2(command: Command, arguments: tuple[str, ...]) -> None:
    code, printed, error = command(*arguments)
    assert (code, printed, len(error.strip().splitlines())) == (2, None, 1)


@pytest.mark.parametrize("arguments", [("retention", "due"), ("retention", "sweep"), ("hold", "list")])
def test_people_read_sentences(
    arguments: tuple[str, ...], store: LocalRecordingStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(list(arguments)) == 0
    assert "{" not in capsys.readouterr().out
