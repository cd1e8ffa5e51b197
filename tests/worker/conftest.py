"""A clinic with a truthful carrier, on either database, and a clock that the tests turn."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.carrier_world import World, clock_at_now


@pytest.fixture
def world(engine: Engine) -> Iterator[World]:
    """Nothing has happened yet; every notification comes at once unless ``world.fate`` says otherwise."""
    with clock_at_now():
        yield World(engine)
