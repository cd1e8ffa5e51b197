"""The demo finds its people again at every start, and has something to show retention on."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, delete, func, select

from callcenter import config
from callcenter.cli.demo_data import CLINICS, PEOPLE, seed
from callcenter.cli.demo_recording import seed_expired_recording
from callcenter.config import Settings
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.receptionists import Role
from callcenter.models import ApiKey, ApiKeyClinic, Booking, Clinic, Recording, User
from callcenter.services.access import actor_for_key
from callcenter.storage.local import LocalRecordingStore
from tests.factories import NOW


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """SQLite is enough: the services that make the rows are tested on both, and hashing passwords takes its time."""
    engine = create_engine_for(sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Settings:
    environ = {"DATABASE_URL": sqlite_url, "CALLCENTER_STATE_DIR": str(tmp_path / "state")}
    return config.load(environ, directory=tmp_path)


def test_the_first_start_makes_clinics_people_and_a_week_of_bookings(engine: Engine, settings: Settings) -> None:
    accounts = seed(engine, settings, NOW)
    with reading(engine) as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (Clinic, User, Booking)]
    assert counts[:2] == [len(CLINICS), len(PEOPLE)]
    assert (counts[2] or 0) > 50
    assert len(accounts.of_role(Role.RECEPTIONIST)) == 3


def test_everybody_can_sign_in_and_use_her_key(engine: Engine, settings: Settings) -> None:
    for person in seed(engine, settings, NOW).people:
        with reading(engine) as session:
            actor = actor_for_key(session, person.api_key)
            password_hash = session.get_one(User, person.user_id).password_hash
        assert actor is not None
        assert actor.role == person.role
        assert PasswordHasher().verify(password_hash, person.password)


def test_a_second_start_changes_nothing(engine: Engine, settings: Settings) -> None:
    first = seed(engine, settings, NOW)
    tables = (Clinic, User, Booking, ApiKey)
    with reading(engine) as session:
        before = [session.scalar(select(func.count()).select_from(table)) for table in tables]
    assert seed(engine, settings, NOW) == first
    with reading(engine) as session:
        assert [session.scalar(select(func.count()).select_from(table)) for table in tables] == before


def test_the_accounts_are_readable_by_their_owner_only(engine: Engine, settings: Settings) -> None:
    seed(engine, settings, NOW)
    file = settings.state_dir / "demo-accounts.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(json.loads(file.read_text())["people"]) == len(PEOPLE)


@pytest.mark.parametrize("damage", [None, "", '{"people": [{"email": 1}]}'])
def test_lost_accounts_are_made_anew(engine: Engine, settings: Settings, damage: str | None) -> None:
    seed(engine, settings, NOW)
    file = settings.state_dir / "demo-accounts.json"
    file.unlink() if damage is None else file.write_text(damage)
    person = seed(engine, settings, NOW).people[0]
    with reading(engine) as session:
        assert actor_for_key(session, person.api_key) is not None
        assert PasswordHasher().verify(session.get_one(User, person.user_id).password_hash, person.password)


def test_a_new_database_gets_the_same_passwords(engine: Engine, settings: Settings) -> None:
    first = seed(engine, settings, NOW)
    with transaction(engine) as session:
        session.execute(delete(ApiKeyClinic))
        session.execute(delete(ApiKey))
    second = seed(engine, settings, NOW)
    assert [person.password for person in second.people] == [person.password for person in first.people]
    assert second.people[0].api_key != first.people[0].api_key


def test_the_expired_recording_is_whole_and_past_its_time(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    seed(engine, settings, NOW)
    store = LocalRecordingStore(tmp_path / "recordings")
    recording_id = seed_expired_recording(engine, store, NOW)
    with reading(engine) as session:
        row = session.get_one(Recording, recording_id)
        stored = store.stat(row.store_key)
        assert (stored.size_bytes, stored.sha256) == (row.size_bytes, row.sha256)
        assert row.expires_at < NOW
