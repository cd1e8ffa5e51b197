"""What attacks on the parts need."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from callcenter import config
from tests.retention.world import World


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    """Development settings with their state below the test's own folder."""
    return config.load({}, directory=tmp_path)


@pytest.fixture
def world(engine: Engine) -> World:
    """A database of each kind with a strict bucket and a carrier."""
    return World(engine)
