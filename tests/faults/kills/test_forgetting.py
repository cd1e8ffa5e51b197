"""kill -9 at every step of forgetting and of copying: whoever comes after finishes it, once, and never too early."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from callcenter.domain.recordings import RecordingState
from retention.journal import Journal, Kind
from tests.faults.kills.attacks import SWEPT, attacks
from tests.faults.kills.kill_desk import KillDesk, kill_desk
from tests.faults.kills.zygote import Zygote

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900), pytest.mark.xdist_group("kills")]

SWEEP = ("retention", "sweep", "--json", "--confirm")


def forgetting(desk: KillDesk) -> None:
    """Something of every kind that a sweep meets: expired, unwanted, held, not due; an old call; many old calls."""
    for _ in range(2):
        desk.unfinished_upload(desk.recording(expired=True, versions=2))
        desk.recording(purge_wanted=True)
    desk.recording(expired=True, held=True)
    desk.recording(carrier_copy_deleted_at=desk.now())
    desk.old_calls(60)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_sweep_that_is_killed_anywhere_is_finished_by_the_next(
    database: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    zygote: Zygote,
    s3_address: str,
    figures: Callable[..., None],
) -> None:
    url = request.getfixturevalue(f"{database}_url")
    with kill_desk(tmp_path, url, zygote, s3_address) as desk:
        for point, nth in attacks(SWEPT, database):
            forgetting(desk)
            desk.dies(point, nth, *SWEEP)
            desk.sweep()
            assert (point, nth, desk.broken()) == (point, nth, [])
    figures(kills=desk.kills, recovered=desk.kills)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_hold_whose_maker_was_killed_is_in_force_and_one_that_was_released_is_not(
    database: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    zygote: Zygote,
    s3_address: str,
    figures: Callable[..., None],
) -> None:
    with kill_desk(tmp_path, request.getfixturevalue(f"{database}_url"), zygote, s3_address) as desk:
        recording = desk.recording(expired=True)
        place = ("hold", "place", "--recording", recording, "--reason", "Complaint", "--review", "2030-01-01", "--json")
        desk.dies("holds.placed", 1, *place)
        desk.kept.add(recording)
        desk.sweep()
        assert desk.broken() == []
        desk.dies("holds.shown", 1, "hold", "list", "--json")
        _, said = desk.run("hold", "list", "--json")
        (hold,) = json.loads(said)
        desk.dies("holds.released", 1, "hold", "release", hold["id"], "--reason", "Settled", "--json")
        desk.kept.clear()
        desk.sweep()
        assert desk.row(recording).state == RecordingState.PURGED
        assert desk.broken() == []
    figures(kills=desk.kills, recovered=desk.kills)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_replay_that_is_killed_is_finished_by_the_next_and_what_was_forgotten_stays_so(
    database: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    zygote: Zygote,
    s3_address: str,
    figures: Callable[..., None],
) -> None:
    with kill_desk(tmp_path, request.getfixturevalue(f"{database}_url"), zygote, s3_address) as desk:
        restored = desk.recording()
        journal = Journal(tmp_path / "var")
        journal.note(Kind.RECORDING, [restored], desk.now() - timedelta(hours=1))
        desk.wanted_gone.add(restored)
        desk.dies("replay.applied", 1, "retention", "replay-ledger", "--json")
        status, said = desk.run("retention", "replay-ledger", "--json")
        assert status == 0, said
        desk.sweep()
        assert desk.row(restored).state == RecordingState.PURGED
        assert desk.broken() == []
    figures(kills=desk.kills, recovered=desk.kills)
