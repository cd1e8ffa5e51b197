"""Copying recordings from the carrier to the bucket, against a bare loop: download as a stream, boto3's upload, one row
update. Ours also leases the row, hashes what passes, measures its length and has the bucket compare the hash; it
copies in two threads, as the worker does, and in one, which is told and judges nobody.

Both to stand-ins on this machine that answer at once. Memory is that of this process while it copies 200 MB.
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import requests
from boto3.s3.transfer import TransferConfig
from sqlalchemy import Engine, update

from benchmarks.databases import KINDS, database
from benchmarks.judging import Report, main, rounded
from benchmarks.stand_ins import BUCKET, BYTES_PER_SECOND, StandIns, sid_of, stand_ins
from callcenter import clock, config, wiring
from callcenter.db import create_engine_for, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Recording
from callcenter.ports import Carrier
from callcenter.services import ingest
from callcenter.storage.s3 import S3RecordingStore
from callcenter.worker.loop import COPY_THREADS
from tests.factories import create_answered_call, create_clinic, create_recording

RECORDINGS, ROUNDS = 200, 5
TALK_SECONDS = 180
"""A common talk: 5.8 MB."""
HUGE_SECONDS = 200_000_000 // BYTES_PER_SECOND
MEGABYTE = 1024 * 1024
GOAL, MOST_MEGABYTES = 0.8, 32
Row = tuple[str, str, str]
"""Id of a recording, its key in the store, its SID at the carrier."""


def benchmark(tiny: bool) -> Report:
    """One of 200 MB, then recordings a second of both, in turn, on either database."""
    report = Report("ingest")
    rounds = 1 if tiny else ROUNDS
    number = 3 if tiny else RECORDINGS // ROUNDS
    for kind in KINDS[:1] if tiny else KINDS:
        with tempfile.TemporaryDirectory(prefix="callcenter-bench-") as name, database(kind) as url:
            folder = Path(name)
            with stand_ins(folder) as place:
                _measure(report, kind, url, place, folder, rounds=rounds, number=number)
    return report


def _measure(report: Report, kind: str, url: str, place: StandIns, folder: Path, *, rounds: int, number: int) -> None:
    engine, client = create_engine_for(url), place.s3()
    carrier = wiring.carrier(config.load(place.environ(), directory=folder))
    store = S3RecordingStore(BUCKET, client=client)
    _recordings(engine, 1, HUGE_SECONDS, waiting=True)
    before = _start_of_peak()
    _copy_all(engine, carrier, store, 1, 1)
    report.at_most(f"{kind}: MB of extra memory for 200 MB", _peak_megabytes() - before, MOST_MEGABYTES)
    rates: dict[str, list[float]] = {"ours": [], "ours_in_one_thread": [], "bare": []}
    for _ in range(rounds + 1):  # the first one warms up
        for name, threads in (("ours", COPY_THREADS), ("ours_in_one_thread", 1)):
            _recordings(engine, number, TALK_SECONDS, waiting=True)
            started = time.perf_counter()
            _copy_all(engine, carrier, store, number, threads)
            rates[name].append(number / (time.perf_counter() - started))
        rows = _recordings(engine, number, TALK_SECONDS, waiting=False)
        started = time.perf_counter()
        _bare_loop(engine, client, place, rows)
        rates["bare"].append(number / (time.perf_counter() - started))
    ratios = {
        name: median(one / bare for one, bare in zip(rates[name][1:], rates["bare"][1:], strict=True)) for name in rates
    }
    report.at_least(f"{kind}: recordings/s against a bare loop", ratios["ours"], GOAL)
    report.at_least(f"{kind}: the same in one thread", ratios["ours_in_one_thread"], GOAL, judged=False)
    report.figures[kind] = {f"{name}_per_second": rounded(median(rate[1:])) for name, rate in rates.items()}
    engine.dispose()


def _recordings(engine: Engine, number: int, seconds: int, *, waiting: bool) -> list[Row]:
    """New ones at the carrier, which wait to be copied or are nobody's but the bare loop's."""
    began_at = clock.now() - timedelta(seconds=seconds + 60)
    state = RecordingState.COPYING if waiting else RecordingState.RECORDING
    kept = {"size_bytes": None, "sha256": None, "stored_at": None, "duration_seconds": seconds, "state": state}
    with transaction(engine) as session:
        clinic = create_clinic(session)
        made = []
        for _ in range(number):
            sid = sid_of(seconds)
            call = create_answered_call(session, clinic, started_at=began_at, carrier_call_sid=f"CA{sid[2:]}")
            made.append(create_recording(session, call, carrier_recording_sid=sid, **kept))
        return [(row.id, row.store_key, str(row.carrier_recording_sid)) for row in made]


def _bare_loop(engine: Engine, client: Any, place: StandIns, rows: list[Row]) -> None:
    """Nobody else at work, nothing that fails, nothing verified."""
    session_at_carrier, plain = requests.Session(), TransferConfig(use_threads=False)
    encrypted = {"ServerSideEncryption": "AES256"}
    for recording_id, key, sid in rows:
        with session_at_carrier.get(place.media_url(sid), stream=True, timeout=60) as answer:
            client.upload_fileobj(answer.raw, BUCKET, key, ExtraArgs=encrypted, Config=plain)
        stored = update(Recording).where(Recording.id == recording_id).values(state=RecordingState.STORED)
        with transaction(engine, wake=False) as session:
            session.execute(stored.values(stored_at=clock.now()))


def _copy_all(engine: Engine, carrier: Carrier, store: S3RecordingStore, number: int, threads: int) -> None:
    """What the worker's copying threads do."""

    def copy(_: int) -> bool:
        now = clock.now()
        with transaction(engine) as session:
            claim = ingest.next_copy(session, now)
        return claim is not None and ingest.copy_recording(engine, carrier, store, claim, now)

    with ThreadPoolExecutor(threads) as pool:
        if not all(pool.map(copy, range(number))):
            raise RuntimeError("A recording was not copied.")


def _start_of_peak() -> float:
    """Forget the largest resident memory so far; answers what is resident now, in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_megabytes()


def _peak_megabytes() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / MEGABYTE


if __name__ == "__main__":
    main(benchmark)
