"""Every command does its work, answers in JSON when asked, and says who did it."""

from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter.db import reading, transaction
from callcenter.domain.receptionists import Role
from callcenter.models import AccessEntry, Clinic, JobHeartbeat, Receptionist, Recording, User
from callcenter.services.access import actor_for_key
from tests.cli.conftest import Cli
from tests.factories import NOW, create_answered_call, create_caller, create_recording

PASSWORD = "violet-anchor-teapot-97\n"


def add_clinic(cli: Cli, **changes: str) -> Any:
    """A clinic through the command line."""
    values = {"slug": "moor", "name": "Moor Clinic", "number": "01632 960033", "timezone": "Europe/London"} | changes
    return cli("clinic", "add", *(f"--{name}={value}" for name, value in values.items()), "--json")


def test_a_clinic_that_was_added_is_listed_and_shown(cli: Cli) -> None:
    added = add_clinic(cli, **{"retention-days": "90", "fallback-number": "+441632960099"}).json
    assert added["numbers"] == ["+441632960033"]
    assert cli("clinic", "list", "--json").json == {"items": [added], "next": None}
    assert cli("clinic", "show", "moor", "--json").json == added
    assert added["hours"] is None


def test_hours_are_set_day_by_day(cli: Cli) -> None:
    add_clinic(cli)
    cli("hours", "set", "--clinic", "moor", "--day", "mon", "--open", "13:00-24:00", "--open", "08:00-12:00")
    shown = cli("clinic", "show", "moor", "--json").json["hours"]
    assert (shown["mon"], shown["tue"]) == (["08:00-12:00", "13:00-24:00"], [])


def test_hours_that_are_set_again_replace_the_old_ones(cli: Cli) -> None:
    add_clinic(cli)
    cli("hours", "set", "--clinic", "moor", "--day", "mon", "--open", "08:00-12:00")
    answer = cli("hours", "set", "--clinic", "moor", "--day", "mon", "--json")
    assert answer.json["hours"]["mon"] == []


@pytest.mark.parametrize(("kind", "options"), [("practitioner", []), ("service", ["--minutes", "20"])])
def test_what_a_clinic_offers_is_added_and_listed(cli: Cli, kind: str, options: list[str]) -> None:
    add_clinic(cli)
    added = cli(kind, "add", "--clinic", "moor", "--name", "Dr Who", *options, "--json").json
    assert cli(kind, "list", "--clinic", "moor", "--json").json["items"] == [added]


def test_a_receptionist_gets_an_identity_a_second_factor_and_her_working_state(cli: Cli, database: Engine) -> None:
    command = ("user", "add", "--email", "Nell@Example.org", "--name", "Nell", "--role", "receptionist")
    added = cli(*command, "--clinic", "hill", "--clinic", "lake", "--json", stdin=PASSWORD).json
    assert added["identity"].startswith("receptionist_")
    assert added["second_factor_uri"].startswith("otpauth://totp/")
    assert added["clinics"] == ["hill", "lake"]
    with reading(database) as session:
        user = session.get_one(User, added["id"])
        assert (user.email, user.password_hash[:9]) == ("nell@example.org", "$argon2id")
        assert session.get(Receptionist, user.id) is not None


def test_a_key_is_shown_once_works_and_can_be_revoked(cli: Cli, database: Engine) -> None:
    made = cli("api-key", "create", "--name", "report", "--role", "clinic_manager", "--clinic", "hill", "--json").json
    with reading(database) as session:
        actor = actor_for_key(session, made["key"])
        assert actor is not None
        assert actor.role == Role.CLINIC_MANAGER
    [listed] = cli("api-key", "list", "--json").json["items"]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert cli("api-key", "revoke", made["id"]).code == 0
    with reading(database) as session:
        assert actor_for_key(session, made["key"]) is None


def test_a_receptionists_key_reaches_her_clinics(cli: Cli, database: Engine) -> None:
    command = ("api-key", "create", "--name", "softphone", "--role", "receptionist", "--user", "robin@example.org")
    assert cli(*command, "--json").json["clinics"] == ["hill"]


def test_callers_are_listed_page_by_page(cli: Cli, database: Engine) -> None:
    with transaction(database) as session:
        hill = session.scalars(select(Clinic).where(Clinic.slug == "hill")).one()
        names = [create_caller(session, hill).name for _ in range(3)]
    first = cli("caller", "list", "--clinic", "hill", "--limit", "2", "--json").json
    second = cli("caller", "list", "--clinic", "hill", "--limit", "2", "--cursor", first["next"], "--json").json
    assert sorted(item["name"] for item in first["items"] + second["items"]) == sorted(names)
    assert second["next"] is None
    assert cli("caller", "list", "--clinic", "lake", "--json").json["items"] == []


@pytest.fixture
def recording(database: Engine) -> Recording:
    with transaction(database) as session:
        hill = session.scalars(select(Clinic).where(Clinic.slug == "hill")).one()
        return create_recording(session, create_answered_call(session, hill))


def test_a_call_is_listed_and_shown(cli: Cli, recording: Recording) -> None:
    [listed] = cli("calls", "list", "--clinic", "hill", "--json").json["items"]
    shown = cli("calls", "show", recording.call_id, "--json").json
    assert shown == listed
    assert (shown["from"]["number"], shown["recordings"][0]["id"]) == ("+447700900123", recording.id)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--unlinked"], 1), (["--linked"], 0), (["--outcome", "answered"], 1), (["--outcome", "abandoned"], 0),
        (["--from", NOW.isoformat()], 1), (["--to", NOW.isoformat()], 0), (["--clinic", "lake"], 0),
    ],
)  # fmt: skip
def test_calls_are_chosen(cli: Cli, recording: Recording, options: list[str], found: int) -> None:
    assert len(cli("calls", "list", *options, "--json").json["items"]) == found


def test_a_recording_is_listed_and_shown(cli: Cli, recording: Recording) -> None:
    [listed] = cli("recordings", "list", "--call", recording.call_id, "--json").json["items"]
    assert cli("recordings", "show", recording.id, "--json").json == listed
    assert listed["state"] == "stored"


def test_jobs_show_when_they_last_ran(cli: Cli, database: Engine) -> None:
    with transaction(database) as session:
        session.add(JobHeartbeat(name="sweep", interval_seconds=3600, last_success_at=NOW))
    [job] = cli("jobs", "--json").json["items"]
    assert (job["name"], job["last_success_at"], job["late"]) == ("sweep", "2026-03-02T09:00:00Z", True)


def test_upgrading_the_database_can_be_repeated(cli: Cli) -> None:
    assert [cli("db", "upgrade").code for _ in range(2)] == [0, 0]


def test_the_check_names_what_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_API_BASE_URL", "http://127.0.0.1:9")
    answer = cli("check", "--json")
    verdicts = {name: one["status"] for name, one in answer.json["checks"].items()}
    assert (answer.code, verdicts) == (
        1, {"configuration": "warning", "database": "ok", "bucket": "ok", "twilio": "failed"},
    )  # fmt: skip


def test_the_check_of_unusable_settings_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "none")
    answer = cli("check")
    assert answer.code == 1
    assert answer.out.startswith("configuration: failed: Configuration cannot be used: PORT")


def test_what_the_command_line_does_is_in_the_access_log(cli: Cli, database: Engine, recording: Recording) -> None:
    cli("practitioner", "add", "--clinic", "hill", "--name", "Dr Log")
    cli("calls", "show", recording.call_id)
    cli("caller", "list", "--clinic", "hill")
    with reading(database) as session:
        entries = session.execute(select(AccessEntry.actor_id, AccessEntry.action).order_by(AccessEntry.at)).all()
    assert set(map(tuple, entries)) == {
        ("command-line", action) for action in ("practitioner.added", "call.viewed", "callers.listed")
    }


def test_each_clinic_reads_in_its_own_log_that_its_calls_and_recordings_were_listed(
    cli: Cli, database: Engine, recording: Recording
) -> None:
    with transaction(database) as session:
        lake = session.scalars(select(Clinic).where(Clinic.slug == "lake")).one()
        create_recording(session, create_answered_call(session, lake))
    cli("calls", "list")
    cli("recordings", "list")
    cli("calls", "list", "--clinic", "hill")
    cli("recordings", "list", "--call", recording.call_id)
    with reading(database) as session:
        found = session.execute(select(AccessEntry.action, Clinic.slug).outerjoin(Clinic)).all()
    assert sorted(map(tuple, found)) == [
        *[("calls.listed", "hill")] * 2, ("calls.listed", "lake"),
        *[("recordings.listed", "hill")] * 2, ("recordings.listed", "lake"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        ("clinic", "list"), ("clinic", "show", "hill"), ("practitioner", "list", "--clinic", "hill"),
        ("service", "list", "--clinic", "hill"), ("caller", "list", "--clinic", "hill"), ("api-key", "list"),
        ("calls", "list"), ("recordings", "list"), ("jobs",),
    ],
)  # fmt: skip
def test_without_json_people_can_read_the_answer(cli: Cli, database: Engine, command: tuple[str, ...]) -> None:
    answer = cli(*command)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.strip()
    assert not answer.out.startswith("{")
