"""A hold placed while the purge runs: it wins, or it is refused; never a hold on nothing (F24)."""

import threading
from datetime import timedelta

import pytest

from callcenter.db import transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import Conflict
from callcenter.services import retention_requests
from tests.factories import NOW
from tests.retention.world import World


def test_of_hold_and_purge_one_wins_wholly(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 2)
    clinic = world.clinic()
    ids = [world.recording(clinic) for _ in range(24)]
    start, held, refused = threading.Barrier(2), set[str](), set[str]()

    def place_all() -> None:
        start.wait()
        for one in reversed(ids):
            try:
                with transaction(world.engine) as session:
                    retention_requests.place_hold(
                        session,
                        recording_id=one,
                        reason="Complaint",
                        review_on=(NOW + timedelta(days=9)).date(),
                        actor_id="x",
                        now=NOW,
                    )
                held.add(one)
            except Conflict:
                refused.add(one)

    placing = threading.Thread(target=place_all)
    placing.start()
    start.wait()
    for _ in range(5):
        world.sweep()
    placing.join()
    world.sweep()

    names = world.s3.names()
    assert held | refused == set(ids)
    assert {one for one in ids if world.row(one).store_key in names} == held
    assert {one for one in ids if world.row(one).state == RecordingState.PURGED} == refused
