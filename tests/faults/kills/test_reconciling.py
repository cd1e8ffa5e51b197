"""kill -9 at every step of reconciliation: the next one repairs what is left, and nothing twice."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState
from callcenter.domain.commands import CommandKind
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, CarrierCommand, LedgerEntry, Recording, new_id
from tests.factories import create_call
from tests.faults.kills.attacks import RECONCILED, attacks
from tests.faults.kills.kill_desk import AUDIO, CANARY, KillDesk, kill_desk, until
from tests.faults.kills.zygote import Zygote

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900), pytest.mark.xdist_group("kills")]

REPAIR = ("reconcile", "--repair", "--delete-objects", "--json")
A_DAY_LATER = timedelta(hours=27)
"""What lies in the store for less than a day may be on its way, and is left alone."""
EARLIER = timedelta(hours=3)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_repair_that_is_killed_anywhere_is_finished_by_the_next(
    database: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    zygote: Zygote,
    s3_address: str,
    figures: Callable[..., None],
) -> None:
    with kill_desk(tmp_path, request.getfixturevalue(f"{database}_url"), zygote, s3_address) as desk:
        desk.ahead = A_DAY_LATER
        for point, nth in attacks(RECONCILED, database):
            desk.carrier.began_at = desk.now() - EARLIER
            missed, stored = disagreements(desk)
            desk.dies(point, nth, *REPAIR)
            status, said = desk.run(*REPAIR)
            assert status == 0, (point, said)
            worker = desk.start("worker")
            until(lambda: is_at_rest(desk), f"all is repaired after {point}")
            zygote.stop(worker)
            assert (point, desk.broken()) == (point, [])
            assert (point, in_log(desk, missed)) == (point, 1)
            assert [(point, desk.row(one).state) for one in stored] == [(point, RecordingState.STORED)] * len(stored)
    figures(kills=desk.kills, recovered=desk.kills)


def disagreements(desk: KillDesk) -> tuple[str, list[str]]:
    """One of every kind; answers a call that the log must have once, and recordings that must be stored in the end."""
    earlier = desk.now() - EARLIER
    missed = f"CA{new_id()}"
    desk.carrier.calls[missed] = desk.cast.hill.number
    with transaction(desk.engine) as session:
        silent = create_call(
            session, desk.cast.hill.clinic, from_number=CANARY, state=CallState.QUEUED, queued_at=earlier,
            started_at=earlier, check_at=desk.now() + timedelta(days=1), asked_at=earlier,
        )  # fmt: skip
        desk.carrier.calls[str(silent.carrier_call_sid)] = desk.cast.hill.number
    live: dict[str, Any] = {"state": RecordingState.RECORDING, "stored": False, "ended_at": None}
    desk.recording(**live)
    desk.carrier.media.pop(str(desk.row(desk.recording(**live)).carrier_recording_sid))
    awaited = desk.recording(carrier_recording_sid=None, **live)
    sid = f"RE{new_id()}"
    desk.carrier.media[sid], desk.carrier.legs[sid] = AUDIO, str(desk.row(awaited).carrier_call_sid)

    left = desk.recording(carrier_copy_deleted_at=earlier)
    desk.carrier.media[str(desk.row(left).carrier_recording_sid)] = AUDIO
    desk.carrier.legs[str(desk.row(left).carrier_recording_sid)] = str(desk.row(left).carrier_call_sid)
    lost = desk.recording()
    take_away(desk, lost)
    desk.wanted_gone.add(desk.recording(state=RecordingState.REFUSED, carrier_copy_deleted_at=earlier))
    purged_but_there(desk)
    desk.s3.put_object(Bucket=desk.bucket, Key=f"clinic/{secrets.token_hex(24)}", Body=b"nobody's")
    desk.unfinished_upload(left)
    return missed, [awaited, left, lost]


def take_away(desk: KillDesk, recording_id: str) -> None:
    """The bytes of a stored recording vanish from the bucket."""
    key = f"clinic/{desk.row(recording_id).store_key}"
    for version in desk.s3.list_object_versions(Bucket=desk.bucket, Prefix=key)["Versions"]:
        desk.s3.delete_object(Bucket=desk.bucket, Key=key, VersionId=version["VersionId"])


def purged_but_there(desk: KillDesk) -> None:
    """Bytes that have landed after their recording was purged."""
    recording_id = desk.recording(expired=True, carrier_copy_deleted_at=desk.now() - EARLIER)
    gone_at = desk.now() - EARLIER / 2
    with transaction(desk.engine) as session:
        row = session.get_one(Recording, recording_id)
        row.state, row.purged_at, row.carrier_recording_sid = RecordingState.PURGED, gone_at, None
        session.add(
            LedgerEntry(
                clinic_id=row.clinic_id, recording_id=row.id, reason="expired", expired_at=row.expires_at,
                versions_deleted=1, carrier_copy="deleted", verified_absent_at=gone_at, purged_at=gone_at,
            )
        )  # fmt: skip


def is_at_rest(desk: KillDesk) -> bool:
    """Nothing is left, with a sweep for what only a sweep may remove; who asks in vain asks often enough."""
    with transaction(desk.engine) as session:
        asking = update(CarrierCommand).where(CarrierCommand.kind == CommandKind.CHECK_RECORDING)
        session.execute(asking.values(attempts=5))
    left = desk.broken(soon=True)
    if left and all(sentence.endswith("for good") for sentence in left):
        desk.sweep()
    return not left


def in_log(desk: KillDesk, sid: str) -> int:
    """How often a call is in the log."""
    with reading(desk.engine) as session:
        return len(session.scalars(select(Call.id).where(Call.carrier_call_sid == sid)).all())
