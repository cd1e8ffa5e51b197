"""The world of retention tests."""

import pytest
from sqlalchemy import Engine

from tests.retention.world import World


@pytest.fixture
def world(engine: Engine) -> World:
    """A database of each kind with a strict bucket and a carrier."""
    return World(engine)
