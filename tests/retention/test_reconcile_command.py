"""``callcenter reconcile``: what it prints, and its exit codes."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter import clock, wiring
from callcenter.cli import run
from callcenter.errors import CarrierUnavailable
from callcenter.storage.local import LocalRecordingStore
from tests.retention.reconciling import DAY, HOUR, Desk

Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def desk(engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """What the command works with too: database, directory, carrier."""
    desk = Desk(engine)
    desk.store = LocalRecordingStore(tmp_path / "recordings")  # type: ignore[assignment] # as RECORDINGS_URL says
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("RECORDINGS_URL", f"file://{tmp_path / 'recordings'}")
    monkeypatch.setenv("CALLCENTER_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(wiring, "carrier", lambda _: desk.carrier.carrier())
    return desk


@pytest.fixture
def command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run it with --json; answers exit code, what it printed, and stderr."""

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run(["reconcile", *arguments, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    return call


def orphan(desk: Desk) -> Path:
    """An object without a row, two days old."""
    key = "0" * 48
    desk.store.put(key, [b"audio"])
    path = desk.store.root / key  # type: ignore[attr-defined]
    at = (clock.now() - 2 * DAY).timestamp()
    os.utime(path, (at, at))
    return Path(path)


def test_when_everything_agrees_it_exits_with_0(command: Command) -> None:
    code, report, _ = command()
    assert (code, report["found"], report["remaining"], report["complete"]) == (0, {}, 0, True)


def test_what_is_found_is_told_and_repaired_only_on_wish(command: Command, desk: Desk) -> None:
    rang = desk.rang(desk.clinic(), at=clock.now() - HOUR)
    code, report, _ = command()
    assert (code, report["found"], report["repaired"], desk.log()) == (1, {"call_not_in_log": 1}, {}, [])
    assert report["findings"] == [{"kind": "call_not_in_log", "id": rang.carrier_call_sid, "repaired": False}]
    code, report, _ = command("--repair")
    assert (code, report["repaired"], len(desk.log())) == (0, {"call_not_in_log": 1}, 1)
    assert command()[0] == 0


def test_an_object_without_a_row_is_deleted_only_by_name(command: Command, desk: Desk) -> None:
    there = orphan(desk)
    assert (command("--repair")[0], there.exists()) == (1, True)
    assert (command("--repair", "--delete-objects")[0], there.exists()) == (0, False)


def test_deletions_that_are_braked_exit_with_3_until_they_are_confirmed(
    command: Command, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retention.reconcile.work.BRAKE_COUNT", 2)
    for _ in range(3):
        desk.has_recording("CA" + "9" * 32, at=clock.now() - 2 * DAY)
    code, report, _ = command("--repair")
    assert (code, report["braked"], len(desk.carrier.media)) == (3, 3, 3)
    assert (command("--repair", "--confirm")[0], desk.carrier.media) == (0, {})


def test_a_failure_exits_with_1(command: Command, desk: Desk) -> None:
    desk.carrier.errors["inbound_calls"] = [CarrierUnavailable("Away.")]
    code, report, _ = command("--repair")
    assert (code, report["failures"]) == (1, {"carrier_unavailable": 1})


def test_it_looks_as_far_back_as_asked(command: Command, desk: Desk) -> None:
    desk.rang(desk.clinic(), at=clock.now() - 9 * DAY)
    assert command()[1]["found"] == {}
    since = f"{clock.now() - 10 * DAY:%Y-%m-%d}"
    assert command("--since", since)[1]["found"] == {"call_not_in_log": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--delete-objects",),
        ("--confirm",),
        ("--since", "soon"),
        ("--since", f"{clock.now() - timedelta(days=40):%Y-%m-%d}"),
        ("--fix",),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_sentence_and_exit_code_2(command: Command, arguments: tuple[str, ...]) -> None:
    code, printed, error = command(*arguments)
    assert (code, printed, len(error.strip().splitlines())) == (2, None, 1)


def test_people_read_sentences_without_numbers(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    rang = desk.rang(desk.clinic(), at=clock.now() - HOUR)
    assert run(["reconcile"]) == 1
    shown = capsys.readouterr().out
    assert "call_not_in_log: 1 found, 0 repaired" in shown
    assert "callcenter reconcile --repair" in shown
    assert (rang.from_number or "")[1:] not in shown
    assert "{" not in shown
    assert run(["reconcile", "--repair"]) == 0
    assert run(["reconcile"]) == 0
    assert "they agree" in capsys.readouterr().out
