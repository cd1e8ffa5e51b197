"""The store goes away, refuses, throttles, does half a batch, or answers too late: for copies, purges and listeners
(F5–F9, R6, R7)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from flask.testing import FlaskClient
from sqlalchemy import Engine

from callcenter import clock, config
from callcenter.db import create_engine_for, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.models import Recording
from callcenter.services.access import create_api_key
from callcenter.services.ingest import run_once
from callcenter.storage.s3 import S3RecordingStore
from callcenter.web.app import create_app
from tests.cast import create_cast
from tests.factories import NOW
from tests.fake_s3 import FakeS3
from tests.faults.bucket_server import BUCKET, BucketServer
from tests.retention.world import World

LATER = timedelta(minutes=20)


def answers(code: str, status: int) -> Exception:
    """What boto3 raises for S3's refusal."""
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "any")  # type: ignore[typeddict-item]


TROUBLES: dict[str, tuple[Exception, str]] = {
    "away": (EndpointConnectionError(endpoint_url="https://bucket.invalid"), "store_unavailable"),
    "silent": (ReadTimeoutError(endpoint_url="https://bucket.invalid"), "store_unavailable"),
    "throttling": (answers("SlowDown", 503), "store_unavailable"),
    "forbidden": (answers("AccessDenied", 403), "store_refused"),
    "key disabled": (answers("InvalidAccessKeyId", 403), "store_refused"),
    "bucket missing": (answers("NoSuchBucket", 404), "store_refused"),
    "wrong region": (answers("PermanentRedirect", 301), "store_refused"),
    "encryption key disabled": (answers("KMS.DisabledException", 400), "store_refused"),
}


class Town:
    """A world with one recording that is heard, one to be copied and one to be purged, and a web server."""

    def __init__(self, engine: Engine, s3: Any, settings: config.Settings) -> None:
        self.world = World(engine, s3=s3 if isinstance(s3, FakeS3) else FakeS3())
        if not isinstance(s3, FakeS3):
            self.world.store = S3RecordingStore(BUCKET, client=s3)
        with transaction(engine) as session:
            cast = create_cast(session)
            manager = cast.hill.manager
            key = create_api_key(session, name="m", role=manager.role, clinics=(), user=manager, now=NOW).secret
        clock.set_offset((NOW - clock.host_now()).total_seconds())
        young = NOW + timedelta(days=9)
        waiting: dict[str, Any] = {"state": RecordingState.COPYING, "duration_seconds": 2}
        self.heard = self.world.recording(cast.hill.clinic, expires_at=young, size_bytes=5)
        self.purged = self.world.recording(cast.hill.clinic)
        self.copied = self.world.recording(cast.hill.clinic, versions=0, expires_at=young, **waiting)
        self._web: FlaskClient = create_app(settings, engine, self.world.store).test_client()
        self._key = {"Authorization": f"Bearer {key}"}

    def listen(self) -> int:
        """The manager listens."""
        address = f"/api/v1/recordings/{self.heard}/audio?purpose=review"
        return self._web.get(address, headers=self._key, buffered=True).status_code

    def copy(self) -> Recording:
        """The worker copies until nothing is due; answers the row."""
        while run_once(self.world.engine, self.world.carrier.carrier(), self.world.store, self.world.now):
            pass
        return self.world.row(self.copied)

    def sweep(self) -> Recording:
        """The retention process sweeps; answers the row."""
        self.world.sweep()
        return self.world.row(self.purged)

    def store_check(self) -> dict[str, str]:
        """What health says of the store, looked at anew."""
        clock.set_offset(clock.offset().total_seconds() + 60)
        check: dict[str, str] = (self._web.get("/api/v1/health").json or {})["checks"]["store"]
        return check

    def all_is_well_later(self) -> None:
        """What waited goes on by itself."""
        self.world.now += LATER
        assert self.copy().state == RecordingState.STORED
        assert self.sweep().state == RecordingState.PURGED
        assert len(self.world.ledger()) == 1
        assert self.listen() == 200
        assert self.store_check()["status"] == "ok"


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """What the store does has nothing to do with the kind of database."""
    engine = create_engine_for(sqlite_url)
    yield engine
    engine.dispose()
    clock.set_offset(0)


def _fails(s3: FakeS3, error: Exception) -> None:
    def begin(operation: str, bucket: str, *, head: bool = False) -> None:
        s3.requests.append(operation)
        raise error

    s3._begin = begin  # type: ignore[method-assign]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_nothing_is_lost_nothing_is_called_done_and_it_goes_on_by_itself(
    engine: Engine, settings: config.Settings, trouble: str
) -> None:
    s3 = FakeS3()
    town, (error, code) = Town(engine, s3, settings), TROUBLES[trouble]
    begin = s3._begin
    _fails(s3, error)
    copied, purged = town.copy(), town.sweep()
    assert (copied.state, copied.failure) == (RecordingState.COPYING, code)
    assert (purged.state, purged.failure) == (RecordingState.PURGING, code)
    assert (len(town.world.carrier.media), town.world.ledger()) == (3, [])
    assert town.listen() == 503
    check = town.store_check()
    assert check["status"] == "failing"
    assert BUCKET in check["reason"]
    s3._begin = begin  # type: ignore[method-assign]
    town.all_is_well_later()


def test_what_expires_while_the_store_is_away_is_deleted_at_the_carrier_and_never_copied(
    engine: Engine, settings: config.Settings
) -> None:
    s3 = FakeS3()
    town = Town(engine, s3, settings)
    begin = s3._begin
    _fails(s3, TROUBLES["away"][0])
    town.copy()
    s3._begin = begin  # type: ignore[method-assign]
    town.world.now += timedelta(days=10)
    puts = s3.requests.count("PutObject")
    assert town.copy().state == RecordingState.COPYING
    town.world.sweep(confirmed=True)
    assert town.copy().state == RecordingState.PURGED
    assert (s3.requests.count("PutObject"), town.world.carrier.media) == (puts, {})


def test_a_locked_object_is_overdue_where_everybody_sees_it_and_not_asked_about_all_the_time(
    engine: Engine, settings: config.Settings
) -> None:
    s3 = FakeS3()
    town = Town(engine, s3, settings)
    key = town.world.row(town.purged).store_key
    locked = next(version for version in s3.versions if version.name == key)
    locked.locked = True
    web = create_app(settings, engine, town.world.store).test_client()
    for _ in range(60):
        for minutes in (1, 1, 23):  # a failure waits for up to a quarter of an hour
            town.world.sweep()
            town.world.now += timedelta(minutes=minutes)
    assert town.world.row(town.purged).attempts < 120
    assert s3.requests.count("DeleteObjects") < 120
    clock.set_offset((town.world.now - clock.host_now()).total_seconds())
    check = (web.get("/api/v1/health").json or {})["checks"]["recordings"]
    assert (check["status"], "25 h" in check["reason"]) == ("failing", True)
    locked.locked = False
    assert town.sweep().state == RecordingState.PURGED


def test_half_a_batch_is_half_done_and_the_sweep_says_so(engine: Engine) -> None:
    world = World(engine)
    clinic = world.clinic()
    ids = [world.recording(clinic) for _ in range(10)]
    world.s3.refused_names = {world.row(one).store_key: "InternalError" for one in ids[::2]}
    result = world.sweep()
    assert (result.deleted, result.failed, result.clean) == (5, 5, False)
    assert {one for one, state in world.states().items() if state == RecordingState.PURGED} == set(ids[1::2])
    assert {world.row(one).failure for one in ids[::2]} == {"store_unavailable"}
    world.s3.refused_names.clear()
    world.now += LATER
    assert world.sweep().deleted == 5


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[BucketServer]:
    """An S3 server of its own."""
    server = BucketServer(object_lock=getattr(request, "param", False))
    yield server
    server.thaw()
    server.stop()


def test_a_real_server_that_freezes_keeps_nobody_and_loses_nothing(
    engine: Engine, settings: config.Settings, server: BucketServer
) -> None:
    town = Town(engine, server.new_client(patience_seconds=2), settings)
    server.freeze()
    assert town.copy().failure == "store_unavailable"
    assert town.sweep().failure == "store_unavailable"
    assert town.listen() == 503
    assert town.store_check()["status"] == "failing"
    server.thaw()
    town.all_is_well_later()


def test_a_real_server_without_the_bucket_or_without_itself_is_never_taken_for_empty(
    engine: Engine, settings: config.Settings, server: BucketServer
) -> None:
    town = Town(engine, server.client, settings)
    server.remove_bucket()
    assert town.copy().failure == "store_refused"
    assert town.sweep().failure == "store_refused"
    assert town.listen() == 503
    assert "no such bucket" in town.store_check()["reason"]
    server.stop()
    town.world.now += LATER
    assert town.copy().failure == "store_unavailable"
    assert town.sweep().failure == "store_unavailable"
    assert town.listen() == 503
    assert town.store_check()["status"] == "failing"
    assert (len(town.world.carrier.media), town.world.ledger()) == (3, [])


@pytest.mark.parametrize("server", [True], indirect=True)
def test_a_real_server_that_locks_an_object_keeps_it_due(
    engine: Engine, settings: config.Settings, server: BucketServer
) -> None:
    town = Town(engine, server.client, settings)
    key = town.world.row(town.purged).store_key
    server.client.put_object_legal_hold(Bucket=BUCKET, Key=key, LegalHold={"Status": "ON"})
    row = town.sweep()
    assert (row.state, row.failure is None, town.world.ledger()) == (RecordingState.PURGING, False, [])
    server.client.put_object_legal_hold(Bucket=BUCKET, Key=key, LegalHold={"Status": "OFF"})
    town.world.now += LATER
    assert town.sweep().state == RecordingState.PURGED


def test_the_second_putting_of_a_copy_whose_answer_was_lost_leaves_one_version(
    engine: Engine, settings: config.Settings, server: BucketServer
) -> None:
    town = Town(engine, server.client, settings)
    put, lost = town.world.store.put, list[str]()

    def put_and_lose(key: str, chunks: Any) -> Any:
        stored = put(key, chunks)
        if not lost:
            lost.append(key)
            raise ReadTimeoutError(endpoint_url=server.address)
        return stored

    town.world.store.put = put_and_lose  # type: ignore[method-assign]
    assert town.copy().state == RecordingState.COPYING
    town.world.now += LATER
    assert town.copy().state == RecordingState.STORED
    assert town.world.store.versions(town.world.row(town.copied).store_key) == 1
