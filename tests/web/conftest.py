"""A web app on a seeded database, an API key for everybody of the cast, and the clock at ten on the factories' day."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from callcenter import clock, config
from callcenter.db import create_engine_for
from callcenter.web.app import create_app
from tests.factories import NOW
from tests.web.world import World, seed

TEN_O_CLOCK = NOW + timedelta(hours=1)

SetClock = Callable[[datetime], None]


@pytest.fixture
def set_clock() -> Iterator[SetClock]:
    """Set this process's clock; it runs on from there."""

    def set_clock(moment: datetime) -> None:
        clock.set_offset((moment - clock.host_now()).total_seconds())

    set_clock(TEN_O_CLOCK)
    yield set_clock
    clock.set_offset(0)


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    """Development settings with their state below the test's own folder."""
    return config.load({"CALLCENTER_METRICS_TOKEN": "metrics-token-of-the-tests"}, directory=tmp_path)


@pytest.fixture
def world(engine: Engine, settings: config.Settings, tmp_path: Path, set_clock: SetClock) -> World:
    """The seeded world, once on each kind of database."""
    return seed(engine, settings, tmp_path / "recordings", create_app)


@pytest.fixture
def small_world(sqlite_url: str, settings: config.Settings, tmp_path: Path, set_clock: SetClock) -> Iterator[World]:
    """The same on SQLite only, for what does not depend on the database."""
    engine = create_engine_for(sqlite_url)
    yield seed(engine, settings, tmp_path / "recordings", create_app)
    engine.dispose()
