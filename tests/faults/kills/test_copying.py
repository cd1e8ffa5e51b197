"""kill -9 at every step of copying a recording: the next worker finishes it, and one version is stored."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.s3.models import S3Backend
from sqlalchemy import or_, select, update

from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Recording
from callcenter.services.copy_claims import carrier_copy_due, copyable
from tests.faults.kills.attacks import COPIED, attacks
from tests.faults.kills.kill_desk import KillDesk, kill_desk, until
from tests.faults.kills.zygote import Zygote

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900), pytest.mark.xdist_group("kills")]

LONG_SECONDS = 90
"""Some 11 MB: two parts of an upload, and a bit."""
CHUNK_IN_SECOND_PART = 100
LANDING: list[Callable[[str], None]] = []
"""What happens, once, in the instant before the next object is complete."""


@pytest.fixture(autouse=True)
def landing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets something happen while the last bytes are on their way."""
    original = S3Backend.put_object

    def put_object(self: S3Backend, bucket: str, key: str, *arguments: Any, **named: Any) -> Any:
        while LANDING:
            LANDING.pop()(key.removeprefix("clinic/"))
        return original(self, bucket, key, *arguments, **named)

    monkeypatch.setattr(S3Backend, "put_object", put_object)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_copy_that_is_killed_anywhere_is_finished_by_the_next_worker(
    database: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    zygote: Zygote,
    s3_address: str,
    figures: Callable[..., None],
) -> None:
    with kill_desk(tmp_path, request.getfixturevalue(f"{database}_url"), zygote, s3_address) as desk:
        for point, nth in attacks(COPIED, database):
            wanted = prepare(desk, point)
            desk.dies(point, CHUNK_IN_SECOND_PART if point == "copy.uploading" else nth, "worker")
            worker = desk.start("worker")
            until(lambda: is_quiet(desk), f"everything is copied after {point}")
            zygote.stop(worker)
            desk.sweep()
            assert (point, nth, desk.broken()) == (point, nth, [])
            for recording in wanted:
                row = desk.row(recording)
                assert (point, row.state, desk.versions(row.store_key)) == (point, RecordingState.STORED, 1)
    figures(kills=desk.kills, recovered=desk.kills)


def prepare(desk: KillDesk, point: str) -> list[str]:
    """Recordings that are to be copied, and what else leads to the point; answers those that must be kept."""
    if point == "copy.uploading":
        return [desk.recording(stored=False, seconds=LONG_SECONDS)]
    if point == "copy.unwanted":
        LANDING.append(lambda key: refuse(desk, key))
        desk.wanted_gone.add(desk.recording(stored=False))
        return []
    if point == "copy.withdrawn":
        LANDING.append(lambda key: purge(desk, key))
        desk.recording(stored=False)
        return []
    wanted = [desk.recording(stored=False) for _ in range(3)]
    if point == "copy.failed":
        desk.carrier.cut.add(str(desk.row(wanted[0]).carrier_recording_sid))
    return wanted


def refuse(desk: KillDesk, key: str) -> None:
    """The receptionist refuses the recording after all."""
    with transaction(desk.engine) as session:
        refused = update(Recording).where(Recording.store_key == key)
        session.execute(refused.values(state=RecordingState.REFUSED, carrier_copy_due=True))


def purge(desk: KillDesk, key: str) -> None:
    """It expires, and the lease of a worker that has stalled runs out: a sweep removes what it finds."""
    with transaction(desk.engine) as session:
        expired = update(Recording).where(Recording.store_key == key)
        session.execute(expired.values(expires_at=desk.now() - timedelta(seconds=1), lease_until_at=None))
    desk.sweep()


def is_quiet(desk: KillDesk) -> bool:
    """Nothing is left to copy, and no copy at the carrier to delete; whether or not somebody is at it."""
    later = desk.now() + timedelta(days=1)
    with reading(desk.engine) as session:
        due = select(Recording.id).where(or_(copyable(later), carrier_copy_due(later)))
        return session.scalar(due.limit(1)) is None
