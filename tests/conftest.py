"""What every test gets: a bare environment, no network beyond this machine, and databases.

- ``engine``: an engine on a fresh, migrated database; the test runs once on SQLite and once on PostgreSQL
- ``session``: a session on it, for services (which take one and never commit); rolled back at the end
- ``database_url``: the same database as an address, for tests that start processes
- ``sqlite_url``, ``postgresql_url``: one of the two, for what only that one does
- ``figures``: what an attack came to (tests/campaigns.py), printed at the end of a long run
"""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from structlog.stdlib import ProcessorFormatter

from callcenter.db import create_engine_for
from tests import network
from tests.campaigns import LONG
from tests.databases import PostgresTemplate, SQLiteTemplate

OURS = ("CALLCENTER_", "TWILIO_", "AWS_")
OUR_NAMES = {"PUBLIC_BASE_URL", "WEB_BASE_URL", "PORT", "SIMULATOR_PORT", "DATABASE_URL", "RECORDINGS_URL"}


def pytest_configure() -> None:
    """Nothing of the developer's shell or home steers a test, and no test leaves this machine."""
    for name in [name for name in os.environ if name.startswith(OURS) or name in OUR_NAMES]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    network.stay_on_this_machine()
    # The time of one example says nothing on a machine that others use too.
    hypothesis.settings.register_profile("callcenter", deadline=None, print_blob=True)
    hypothesis.settings.load_profile("callcenter")


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """A test that sets logging up, as commands do, leaves none of it to the tests after it."""
    yield
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if not isinstance(one.formatter, ProcessorFormatter)]
    for name in ("callcenter", "gunicorn.error"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def patient_door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A door in a test's own process waits for the database as long as a busy machine needs; how it gives up in time is
    for the tests marked ``in_time``."""
    if "in_time" not in request.keywords:
        monkeypatch.setattr("webhooks.door.Door.answer_within_seconds", 60.0)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Tell what an attack came to, such as ``figures(runs=200, survived=200)``."""
    return lambda **values: record_property("figures", values)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SQLiteTemplate:
    """The migrated SQLite file that every test gets a copy of."""
    return SQLiteTemplate(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[PostgresTemplate]:
    """One PostgreSQL server per test process, with the migrated database that every test gets a copy of."""
    try:
        template = PostgresTemplate()
    except Exception as problem:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"PostgreSQL does not start here: {problem}")
    yield template
    template.stop()


@pytest.fixture
def sqlite_url(sqlite_template: SQLiteTemplate, tmp_path: Path) -> str:
    """Address of a fresh SQLite database."""
    return sqlite_template.copy_to(tmp_path / "callcenter.db")


@pytest.fixture
def postgresql_url(postgres_template: PostgresTemplate) -> Iterator[str]:
    """Address of a fresh PostgreSQL database; dropped at the end, whoever is still connected."""
    with postgres_template.copy() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Address of a fresh database, once of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database, once of each kind."""
    engine = create_engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A writing session. It holds SQLite's only writing turn: a test uses either this or ``transaction(engine)``."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the time of each part of the suite (a part is a folder below tests/)."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: Counter[str] = Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            part = "/".join(report.nodeid.split("/")[:2])
            seconds[part] += report.duration
            tests[part] += report.when == "call"
    if LONG:
        _print_figures(terminalreporter)
    terminalreporter.section("time of each part, summed over its tests")
    for part in sorted(seconds):
        terminalreporter.write_line(f"{part:<34} {tests[part]:5} tests {seconds[part]:7.1f} s")


def _print_figures(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the attacks came to, one line for each test that told."""
    reports = [one for some in terminalreporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    told = [
        (one.nodeid, value)
        for one in reports
        for name, value in one.user_properties
        if name == "figures" and isinstance(value, dict)
    ]
    if told:
        terminalreporter.section("what the attacks came to")
    for nodeid, values in sorted(dict(told).items()):
        terminalreporter.write_line(f"{nodeid}: " + ", ".join(f"{name} {value}" for name, value in values.items()))
