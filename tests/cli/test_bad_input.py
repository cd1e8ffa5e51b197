"""Wrong, missing, oversized and foreign values: one sentence, exit 2, and nothing has changed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from callcenter.cli import COMMANDS, run
from callcenter.db import create_engine_for, transaction
from tests.cast import create_cast
from tests.cli.conftest import Cli, contents
from tests.databases import SQLiteTemplate

LONG = "x" * 10_000
CARD = "4111 1111 1111 1111"
UNKNOWN = "0" * 32
CLINIC = ("clinic", "add", "--slug", "moor", "--name", "Moor", "--number", "01632960033", "--timezone", "Europe/London")
USER = ("user", "add", "--email", "nell@example.org", "--name", "Nell", "--role", "receptionist", "--clinic", "hill")
KEY = ("api-key", "create", "--name", "k", "--role", "clinic_manager", "--clinic", "hill")
HOURS = ("hours", "set", "--clinic", "hill", "--day", "mon")
PRACTITIONER = ("practitioner", "add", "--clinic", "hill", "--name", "Dr New")
SERVICE = ("service", "add", "--clinic", "hill", "--name", "New", "--minutes", "30")


def changed(command: tuple[str, ...], option: str, value: str | None) -> tuple[str, ...]:
    """The command with an option's value replaced, added, or left out (None)."""
    if option not in command:
        return (*command, option, value or "")
    place = command.index(option)
    return (*command[:place], *((option, value) if value is not None else ()), *command[place + 2 :])


REFUSED = [
    *(changed(CLINIC, "--slug", value) for value in (None, "", "Moor", "-a", "a" * 41, "hill", "a b", "ä", LONG)),
    *(changed(CLINIC, "--name", value) for value in (None, "", " ", "x" * 121, "a\x1bb", CARD, LONG, "\udcff")),
    *(changed(CLINIC, "--number", value) for value in (None, "", "12", "anonymous", "+441632960011", LONG)),
    *(changed(CLINIC, "--timezone", value) for value in (None, "", "London", "../etc/passwd", LONG)),
    *(changed(CLINIC, "--retention-days", value) for value in ("0", "-1", "1.5", "366", "", "ever", "9" * 50)),
    *(changed(CLINIC, "--fallback-number", value) for value in ("", "12", "+441632960033", LONG)),
    ("clinic", "show"), ("clinic", "show", "nowhere"), ("clinic", "show", LONG), ("clinic", "show", "\udcff"),
    ("clinic", "show", "hill", "lake"),
    *(changed(HOURS, "--day", value) for value in (None, "", "someday", LONG)),
    *(changed(HOURS, "--open", value) for value in ("", "8-18", "18:00-08:00", "08:00-25:00", LONG)),
    changed(HOURS, "--clinic", "nowhere"), changed(HOURS, "--clinic", None),
    (*HOURS, "--open", "08:00-12:00", "--open", "11:00-13:00"),
    *(changed(PRACTITIONER, "--name", value) for value in (None, "", "x" * 121, "a\nb", CARD, "Dr Hill")),
    changed(PRACTITIONER, "--clinic", "nowhere"), ("practitioner", "list"), ("practitioner", "list", "--clinic", "no"),
    *(changed(SERVICE, "--minutes", value) for value in (None, "", "0", "-5", "7", "485", "half", "9" * 50)),
    *(changed(SERVICE, "--name", value) for value in (None, "", "x" * 121, "Consultation")),
    changed(SERVICE, "--clinic", "nowhere"), ("service", "list"), ("service", "list", "--clinic", "nowhere"),
    ("caller", "list"), ("caller", "list", "--clinic", "nowhere"),
    ("caller", "list", "--clinic", "hill", "--limit", "0"), ("caller", "list", "--clinic", "hill", "--cursor", "x"),
    *(changed(USER, "--email", value) for value in (None, "", "nell", "rosie@example.org", "ROSIE@example.org", LONG)),
    *(changed(USER, "--name", value) for value in (None, "", "x" * 121, CARD)),
    *(changed(USER, "--role", value) for value in (None, "", "owner", "operator")),
    *(changed(USER, "--clinic", value) for value in (None, "", "nowhere")),
    *(changed(KEY, "--name", value) for value in (None, "", "x" * 121)),
    *(changed(KEY, "--role", value) for value in (None, "", "owner", "operator", "receptionist")),
    *(changed(KEY, "--clinic", value) for value in (None, "", "nowhere")),
    *(changed(KEY, "--user", f"{name}@example.org") for name in ("", "nobody", "rosie", "lake-manager")),
    ("api-key", "create", "--name", "k", "--role", "receptionist", "--user", "robin@example.org", "--clinic", "lake"),
    ("api-key", "revoke"), ("api-key", "revoke", UNKNOWN), ("api-key", "revoke", "x"), ("api-key", "revoke", LONG),
    ("calls", "show"), ("calls", "show", UNKNOWN), ("calls", "show", LONG),
    ("calls", "list", "--clinic", "nowhere"), ("calls", "list", "--limit", "201"), ("calls", "list", "--cursor", "?"),
    ("calls", "list", "--from", "yesterday"), ("calls", "list", "--to", "2026-03-02"),
    ("calls", "list", "--outcome", "x"),
    ("calls", "list", "--from", "0001-01-01T00:00:00+14:00"), ("calls", "list", "--to", "2026-03-02T09:00:00"),
    ("recordings", "show"), ("recordings", "show", UNKNOWN), ("recordings", "list", "--call", UNKNOWN),
    ("recordings", "list", "--limit", "many"), ("jobs", "now"), ("db",), ("db", "downgrade"), ("nonsense",),
    ("clinic",), ("check", "--fast"), ("clinic", "list", "--xml"),
]  # fmt: skip


@pytest.fixture(scope="module")
def database(sqlite_template: SQLiteTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One database for all refusals, with the cast in it: each shows that it left it as it was."""
    engine = create_engine_for(sqlite_template.copy_to(tmp_path_factory.mktemp("cli") / "callcenter.db"))
    with transaction(engine) as session:
        create_cast(session)
    yield engine
    engine.dispose()


@pytest.fixture
def database_url(database: Engine) -> str:
    """Commands run on the database of all refusals."""
    return str(database.url)


def shown(command: tuple[str, ...]) -> str:
    """A command as the name of its test."""
    return " ".join(command).encode("ascii", "replace").decode()[:70]


@pytest.mark.parametrize("command", REFUSED, ids=shown)
def test_a_bad_command_is_refused_in_one_sentence_and_changes_nothing(
    cli: Cli, database: Engine, command: tuple[str, ...]
) -> None:
    before = contents(database)
    answer = cli(*command, stdin="violet-anchor-teapot-97\n")
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1 or answer.err.startswith("Usage:")
    assert len(answer.err) < 2_000
    assert contents(database) == before


@pytest.mark.parametrize(
    "password", ["", "\n", "short", "eleven chrs", "x" * 201, "aaaaaaaaaaaaa", "password1234", "Password12345!",
                 "nell@example.org", "123456789012", "nell" * 3, "\x00" * 12]
)  # fmt: skip
def test_a_weak_password_is_refused(cli: Cli, database: Engine, password: str) -> None:
    before = contents(database)
    answer = cli(*USER, stdin=password)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert password.strip("\n\x00") == "" or password not in answer.err
    assert contents(database) == before


def test_a_database_that_was_never_set_up_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    answer = cli("clinic", "list")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "callcenter db upgrade" in answer.err


def test_settings_that_cannot_be_used_are_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCENTER_COLOUR", "blue")
    answer = cli("clinic", "list")
    assert answer.code == 2
    assert "CALLCENTER_COLOUR is not a setting" in answer.err


def test_help_imports_nothing_heavy() -> None:
    program = """
import sys
from callcenter.cli import run
assert run(["--help"]) == 0
heavy = {"sqlalchemy", "pydantic", "flask", "boto3", "twilio", "phonenumbers", "yaml", "webhooks", "retention"}
sys.exit(", ".join(heavy & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_help_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert name in capsys.readouterr().out
