"""A sweep of 10,000 due recordings, against a bare loop that makes the same calls for each: list its versions, delete
them, list again, delete the carrier's copy, one row update. Both through boto3 and the carrier's library, to stand-ins
on this machine that answer at once: over a real network the sweep, which asks in threads and batches, gains more."""

import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Engine, update

from benchmarks.databases import KINDS, database
from benchmarks.judging import Report, main, rounded
from benchmarks.stand_ins import BUCKET, StandIns, sid_of, stand_ins
from callcenter import clock, config, wiring
from callcenter.db import create_engine_for, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Recording
from callcenter.ports import Carrier
from callcenter.storage.s3 import S3RecordingStore
from retention.journal import Journal
from retention.purge import sweep
from tests.factories import create_answered_call, create_clinic, create_recording

RECORDINGS, ROUNDS = 10_000, 5
GOAL = 0.7
Row = tuple[str, str, str]
"""Id of a recording, its key in the store, its SID at the carrier."""


def benchmark(tiny: bool) -> Report:
    """Recordings a second of both, in turn, on either database."""
    report = Report("purge")
    rounds = 1 if tiny else ROUNDS
    number = 20 if tiny else RECORDINGS // ROUNDS
    for kind in KINDS[:1] if tiny else KINDS:
        with tempfile.TemporaryDirectory(prefix="callcenter-bench-") as name, database(kind) as url:
            folder = Path(name)
            with stand_ins(folder) as place:
                _measure(report, kind, url, place, folder, rounds=rounds, number=number)
    return report


def _measure(report: Report, kind: str, url: str, place: StandIns, folder: Path, *, rounds: int, number: int) -> None:
    engine, client = create_engine_for(url), place.s3()
    carrier = wiring.carrier(config.load(place.environ(), directory=folder))
    store, journal = S3RecordingStore(BUCKET, client=client), Journal(folder)
    ours, bare = [], []
    for _ in range(rounds):
        rows = _recordings(engine, number, due=False)
        started = time.perf_counter()
        _bare_loop(engine, client, carrier, rows)
        bare.append(number / (time.perf_counter() - started))
        _recordings(engine, number, due=True)
        started = time.perf_counter()
        found = sweep(engine, store, carrier, confirmed=True, journal=journal)
        ours.append(number / (time.perf_counter() - started))
        if (found.deleted, found.failed) != (number, 0):
            raise RuntimeError(f"{number} recordings were due, and this became of them: {found}")
    ratio = median(one / other for one, other in zip(ours, bare, strict=True))
    report.at_least(f"{kind}: recordings/s of a confirmed sweep against a bare loop", ratio, GOAL)
    report.figures[kind] = {"ours_per_second": rounded(median(ours)), "bare_per_second": rounded(median(bare))}
    engine.dispose()


def _recordings(engine: Engine, number: int, *, due: bool) -> list[Row]:
    """New ones, due since a day or not for another."""
    now = clock.now()
    expires_at = now + timedelta(days=-1 if due else 1)
    began_at = expires_at - timedelta(days=30, seconds=100)
    with transaction(engine) as session:
        clinic = create_clinic(session)
        made = []
        for _ in range(number):
            sid = sid_of(100)
            call = create_answered_call(session, clinic, started_at=began_at, carrier_call_sid=f"CA{sid[2:]}")
            made.append(create_recording(session, call, carrier_recording_sid=sid, expires_at=expires_at))
        return [(row.id, row.store_key, str(row.carrier_recording_sid)) for row in made]


def _bare_loop(engine: Engine, client: Any, carrier: Carrier, rows: list[Row]) -> None:
    """What has to be done for each, and nothing else: nobody else at work, nothing that fails."""
    for recording_id, key, sid in rows:
        versions = client.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]
        doomed = [{"Key": key, "VersionId": version["VersionId"]} for version in versions]
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": doomed})
        if "Versions" in client.list_object_versions(Bucket=BUCKET, Prefix=key):
            raise RuntimeError("It is still there.")
        carrier.delete_recording(sid)
        purged = update(Recording).where(Recording.id == recording_id).values(state=RecordingState.PURGED)
        with transaction(engine, wake=False) as session:
            session.execute(purged.values(purged_at=clock.now(), carrier_recording_sid=None, sha256=None))


if __name__ == "__main__":
    main(benchmark)
