"""A door with a clinic behind it, on each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from callcenter.clock import now
from callcenter.db import transaction
from tests.factories import create_clinic, create_receptionist
from tests.webhooks.door import NUMBER, Carrier


@pytest.fixture
def carrier(engine: Engine, tmp_path: Path) -> Iterator[Carrier]:
    """The carrier in front of a door whose database knows the clinic Oak Lane and a receptionist."""
    with transaction(engine) as session:
        clinic = create_clinic(session, number=NUMBER, name="Oak Lane", fallback_number="+441632960999")
        create_receptionist(session, clinic, heartbeat_at=now())
    carrier = Carrier.to_new_door(engine, tmp_path)
    yield carrier
    carrier.door.close()
