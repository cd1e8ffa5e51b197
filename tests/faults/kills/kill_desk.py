"""An installation whose processes are killed while they copy and forget: a database, a versioned S3 server, a small
carrier, and our commands as processes of their own.

Leases that a dead process has left are not waited for: its successor's clock is ahead, which is what the setting for
the development clock is for.
"""

import hashlib
import json
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer
from sqlalchemy import Engine, select

from callcenter import clock
from callcenter.config import SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN
from callcenter.db import create_engine_for, reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, Recording
from tests.cast import Cast, create_cast
from tests.factories import create_answered_call, create_legal_hold, create_recording
from tests.fakes import wav
from tests.faults.invariants import Evidence, broken
from tests.faults.kills.ears import Ears
from tests.faults.kills.small_carrier import SmallCarrier, small_carrier
from tests.faults.kills.zygote import Zygote
from tests.ports import free_port

REGION = "eu-west-1"
SECONDS, RATE = 2, 32_000
AUDIO = wav(SECONDS, rate=RATE)
"""Some 250 KB: several chunks of a download."""
PAST_LEASES_SECONDS = 70
CANARY = "+447700900987"
"""The number of everybody who ever called this installation; it may stand in no log."""
DAY = timedelta(days=1)


@dataclass
class KillDesk:
    """One installation; ``ahead`` is how far its clock is ahead by now."""

    directory: Path
    database_url: str
    engine: Engine
    cast: Cast
    s3: Any
    bucket: str
    s3_address: str
    carrier: SmallCarrier
    zygote: Zygote
    port: int = field(default_factory=free_port)
    ahead: timedelta = timedelta(0)
    kept: set[str] = field(default_factory=set)
    wanted_gone: set[str] = field(default_factory=set)
    told_deleted: int = 0
    kills: int = 0
    bytes_of: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hill, lake = self.cast.hill.clinic, self.cast.lake.clinic
        self.ears = Ears(self.engine, hill, lake, f"http://127.0.0.1:{self.port}")

    def now(self) -> datetime:
        """The time of its processes."""
        return clock.now() + self.ahead

    def environ(self, **more: str) -> dict[str, str]:
        """What its processes get to know."""
        ours = {
            "PORT": str(self.port),
            "DATABASE_URL": self.database_url,
            "CALLCENTER_STATE_DIR": str(self.directory / "var"),
            "CALLCENTER_CLOCK_OFFSET_SECONDS": str(self.ahead.total_seconds()),
            "RECORDINGS_URL": f"s3://{self.bucket}/clinic",
            "AWS_ENDPOINT_URL_S3": self.s3_address,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "TWILIO_API_BASE_URL": self.carrier.address,
            "TWILIO_ACCOUNT_SID": SIMULATOR_ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": SIMULATOR_AUTH_TOKEN,
        }
        return dict(os.environ) | ours | more

    # what there is

    def recording(
        self,
        *,
        expired: bool = False,
        held: bool = False,
        stored: bool = True,
        versions: int = 1,
        seconds: int = SECONDS,
        **values: Any,
    ) -> str:
        """A recording with its audio where the row says that it is; answers its id."""
        audio = AUDIO if seconds == SECONDS else wav(seconds, rate=RATE)
        now = self.now()
        with transaction(self.engine) as session:
            began = now - (31 * DAY if expired else DAY)
            call = create_answered_call(session, self.cast.hill.clinic, from_number=CANARY, started_at=began)
            digest = hashlib.sha256(audio).hexdigest()
            there = {"size_bytes": len(audio), "sha256": digest, "duration_seconds": seconds}
            awaited = {"state": RecordingState.COPYING, "stored_at": None, "size_bytes": None, "sha256": None}
            row = create_recording(session, call, **there | ({} if stored else awaited) | values)
            if stored:
                row.carrier_copy_due = row.carrier_copy_deleted_at is None and not expired and not row.purge_wanted
            if held:
                create_legal_hold(session, row)
                self.kept.add(row.id)
            if row.purge_wanted:
                self.wanted_gone.add(row.id)
            key, sid, leg = row.store_key, row.carrier_recording_sid, row.carrier_call_sid
        for _ in range(versions if stored else 0):
            self.s3.put_object(Bucket=self.bucket, Key=f"clinic/{key}", Body=audio, ChecksumAlgorithm="SHA256")
        if sid is not None and values.get("carrier_copy_deleted_at") is None:
            self.carrier.media[sid], self.carrier.legs[sid] = audio, str(leg)
        self.bytes_of[row.id] = digest
        return row.id

    def unfinished_upload(self, recording_id: str) -> None:
        """What a broken upload leaves."""
        self.s3.create_multipart_upload(Bucket=self.bucket, Key=f"clinic/{self.row(recording_id).store_key}")

    def old_calls(self, count: int) -> None:
        """Calls of the other clinic whose time in the log is over."""
        began = self.now() - 400 * DAY
        with transaction(self.engine) as session:
            for _ in range(count):
                call = create_answered_call(session, self.cast.lake.clinic, from_number=CANARY, started_at=began)
                call.expires_at = began + 365 * DAY

    def row(self, recording_id: str) -> Recording:
        """The row as it is now."""
        with reading(self.engine) as session:
            return session.get_one(Recording, recording_id)

    def stored(self) -> Counter[str]:
        """What the bucket holds, by key: versions, markers and unfinished uploads."""
        found: Counter[str] = Counter()
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
            found.update(item["Key"] for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())))
        for page in self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket):
            found.update(item["Key"] for item in page.get("Uploads", ()))
        return Counter({key.removeprefix("clinic/"): count for key, count in found.items()})

    def versions(self, key: str) -> int:
        """How many versions of an object there are."""
        listed = self.s3.list_object_versions(Bucket=self.bucket, Prefix=f"clinic/{key}")
        return len(listed.get("Versions", ()))

    # what is done to it

    def run(self, *command: str, **environ: str) -> tuple[int, str]:
        """Run a command to its end; its exit code and what it said."""
        log = self.directory / "command.log"
        before = log.stat().st_size if log.exists() else 0
        status = self.zygote.wait(self.zygote.start(*command, environ=self.environ(**environ), log=log))
        return status, log.read_bytes()[before:].decode()

    def start(self, *command: str, **environ: str) -> int:
        """Start a process that stays; answers its id."""
        return self.zygote.start(*command, environ=self.environ(**environ), log=self.directory / f"{command[0]}.log")

    def dies(self, point: str, nth: int, *command: str) -> None:
        """Run a command with a point armed, and see it die there and nowhere else."""
        pid = self.start(*command, CALLCENTER_CRASH_POINT=f"{point}:{nth}")
        until(lambda: self.zygote.status(pid) is not None, f"somebody dies at {point}")
        self.died_at(point, self.zygote.wait(pid))

    def died_at(self, point: str, status: int) -> None:
        """The process was killed, at this point; later ones may come to it again."""
        marker = self.directory / "var" / "crash-points" / point
        assert marker.exists(), f"{point} was never reached; the process ended with {status}"
        assert status == -signal.SIGKILL, f"at {point} the process ended with {status}"
        marker.unlink()
        self.ahead += timedelta(seconds=PAST_LEASES_SECONDS)
        self.kills += 1

    def sweep(self) -> None:
        """A sweep that nobody disturbs: it must be clean, and what it says it deleted counts."""
        status, said = self.run("retention", "sweep", "--json", "--confirm")
        assert status == 0, said
        self.told_deleted += int(json.loads(said[said.index("{\n") :])["deleted"])

    def broken(self, *, soon: bool = False) -> list[str]:
        """The invariants that do not hold now; ``soon``: before everybody has had time to listen."""
        with reading(self.engine) as session:
            names = [self.cast.hill.clinic.name, *(user.name for user in self.cast.users.values())]
            assert session.scalar(select(Call.id).limit(1)), "nothing was done"
        return broken(
            Evidence(
                self.engine,
                self.now(),
                self.stored(),
                set(self.carrier.media),
                listen=None if soon else self.ears.hear,
                kept=self.kept,
                wanted_gone=self.wanted_gone,
                canaries=[CANARY, CANARY.removeprefix("+"), *names],
                texts=sorted(self.directory.glob("*.log")),
                told_deleted=self.told_deleted,
                bytes_of=self.bytes_of,
            )
        )


@contextmanager
def kill_desk(directory: Path, database_url: str, zygote: Zygote, s3_address: str) -> Iterator[KillDesk]:
    """An installation on a migrated database; its web runs, so that what it gives away can be seen."""
    s3 = s3_client(s3_address)
    bucket = f"kill-{clock.now():%H%M%S%f}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    engine = create_engine_for(database_url)
    with transaction(engine) as session:
        cast = create_cast(session)
    with small_carrier() as carrier:
        desk = KillDesk(directory, database_url, engine, cast, s3, bucket, s3_address, carrier, zygote)
        web = desk.start("web")
        try:
            until(lambda: requests.get(f"http://127.0.0.1:{desk.port}/readyz", timeout=5).ok, "the web answers")
            yield desk
        finally:
            zygote.stop(web)
            engine.dispose()


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def s3_client(address: str) -> Any:
    """boto3's client for it."""
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def until(look: Callable[[], Any], what: str, *, seconds: float = 60) -> Any:
    """The first true answer of ``look``."""
    end = clock.monotonic_seconds() + seconds
    while clock.monotonic_seconds() < end:
        try:
            found = look()
        except requests.ConnectionError:
            found = None
        if found:
            return found
        clock.sleep(0.02)
    raise AssertionError(f"Within {seconds} s it did not come to pass that {what}.")
