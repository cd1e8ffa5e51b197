"""Every recording store keeps the same promises: the directory, a versioned S3 server, and the strict stand-in."""

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from callcenter import clock
from callcenter.errors import ObjectMissing, StoreRefused
from callcenter.ports import RecordingStore
from callcenter.storage.local import LocalRecordingStore
from callcenter.storage.s3 import PART_BYTES, S3RecordingStore
from tests.fakes import FakeS3
from tests.ports import free_port

BUCKET = "recordings"
LONG = bytes(range(256)) * (PART_BYTES // 256 * 2 + 400)
"""Two whole parts and a bit."""


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Address of an S3 server with a versioned bucket."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["local", "s3", "strict"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingStore:
    """An empty store of each kind."""
    if request.param == "local":
        return LocalRecordingStore(tmp_path / "recordings")
    if request.param == "strict":
        return S3RecordingStore(BUCKET, "clinic-1", client=FakeS3(BUCKET).client())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    address = request.getfixturevalue("s3_server")
    client = boto3.client("s3", endpoint_url=address, region_name="eu-west-1")
    bucket = f"bucket-{tmp_path.name.lower().replace('_', '-')}"[:60].rstrip("-")
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return S3RecordingStore(bucket, "clinic-1", endpoint_url=address, region="eu-west-1")


def test_what_was_put_is_read_back_with_size_and_checksum(store: RecordingStore) -> None:
    stored = store.put("a1", [b"first ", b"second"])
    assert (stored.key, stored.size_bytes, stored.sha256) == ("a1", 12, _sha256(b"first second"))
    assert b"".join(store.read("a1")) == b"first second"


def test_a_long_recording_keeps_every_byte(store: RecordingStore) -> None:
    stored = store.put("long", (LONG[at : at + 60_000] for at in range(0, len(LONG), 60_000)))
    assert (stored.size_bytes, stored.sha256) == (len(LONG), _sha256(LONG))
    assert _sha256(b"".join(store.read("long"))) == stored.sha256


@pytest.mark.parametrize("content", [b"short", LONG], ids=["one part", "several parts"])
def test_the_store_itself_says_what_it_holds(store: RecordingStore, content: bytes) -> None:
    assert store.put("a1", [content]) == store.stat("a1")


def test_an_empty_stream_is_an_empty_recording(store: RecordingStore) -> None:
    assert store.put("empty", []).size_bytes == 0
    assert b"".join(store.read("empty")) == b""


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, None, b"0123456789"), (2, 4, b"234"), (7, None, b"789"), (8, 99, b"89"), (10, None, b""), (5, 4, b"")],
)
def test_a_range_includes_both_ends(store: RecordingStore, start: int, end: int | None, expected: bytes) -> None:
    store.put("a1", [b"0123456789"])
    assert b"".join(store.read("a1", start, end)) == expected


@pytest.mark.parametrize("key", ["never-put", "a", "a10"])
def test_a_key_that_was_never_put_is_missing(store: RecordingStore, key: str) -> None:
    store.put("a1", [b"x"])
    with pytest.raises(ObjectMissing):
        store.stat(key)
    with pytest.raises(ObjectMissing):
        b"".join(store.read(key))


@pytest.mark.parametrize("before", [b"a", LONG], ids=["in the first part", "in a later part"])
def test_a_stream_that_breaks_leaves_nothing_behind(store: RecordingStore, before: bytes) -> None:
    def breaking() -> Iterator[bytes]:
        yield before
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put("a1", breaking())
    assert store.versions("a1") == 0


def test_nothing_is_visible_before_it_is_whole(store: RecordingStore) -> None:
    def looking() -> Iterator[bytes]:
        yield LONG
        with pytest.raises(ObjectMissing):
            store.stat("a1")
        yield b"end"

    store.put("a1", looking())
    assert store.stat("a1").size_bytes == len(LONG) + 3


def test_deleting_removes_every_version_and_proves_it(store: RecordingStore) -> None:
    store.put("a1", [b"old"])
    store.put("a1", [b"new"])
    existing = store.versions("a1")
    assert store.delete(["a1"]) == {"a1": existing}
    assert store.versions("a1") == 0


def test_deleting_twice_is_no_error(store: RecordingStore) -> None:
    store.put("a1", [b"x"])
    store.delete(["a1"])
    assert store.delete(["a1", "never-put"]) == {"a1": 0, "never-put": 0}


def test_deleting_one_key_leaves_keys_that_begin_alike(store: RecordingStore) -> None:
    for key in ("a1", "a10", "a1-b"):
        store.put(key, [key.encode()])
    store.delete(["a1"])
    assert (store.versions("a1"), b"".join(store.read("a10")), b"".join(store.read("a1-b"))) == (0, b"a10", b"a1-b")


def test_more_than_a_thousand_recordings_go_in_one_call(store: RecordingStore) -> None:
    keys = [f"k{number}" for number in range(1005 if not _is_slow(store) else 12)]
    for key in keys:
        store.put(key, [b"x"])
    assert store.delete(keys) == dict.fromkeys(keys, 1)


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "a//b", "a/../b", ".hidden", "name\u202e", "", "a b"])
def test_a_key_that_nobody_made_is_refused(store: RecordingStore, key: str) -> None:
    with pytest.raises(StoreRefused):
        store.put(key, [b"x"])
    assert isinstance(store.delete([key])[key], StoreRefused)


def test_what_a_killed_put_left_in_the_directory_goes_with_the_next_put(tmp_path: Path) -> None:
    killed = tmp_path / f".a1.{'0' * 16}.part"
    killed.write_bytes(b"half a ta")
    store = LocalRecordingStore(tmp_path)
    store.put("a1", [b"a whole talk"])
    assert store.versions("a1") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a1"]


def test_everything_in_the_store_is_listed_with_its_size_and_age(store: RecordingStore) -> None:
    begun = clock.now() - timedelta(seconds=5)
    for number in (3, 1, 4, 2, 5):
        store.put(f"k{number}", [b"x" * number])
    listed = list(store.contents())
    assert [(item.key, item.size_bytes) for item in listed] == [(f"k{n}", n) for n in range(1, 6)]
    assert all(item.current and not item.marker for item in listed)
    assert all(begun <= item.at <= clock.now() + timedelta(seconds=5) for item in listed)


def test_older_versions_and_markers_are_listed_apart_from_what_a_read_gets(store: RecordingStore) -> None:
    for content in (b"old", b"newer"):
        store.put("a1", [content])
    if not isinstance(store, S3RecordingStore):  # no versions, no markers
        assert [(item.current, item.size_bytes) for item in store.contents()] == [(True, 5)]
        return
    _client(store).delete_objects(Bucket=store.bucket, Delete={"Objects": [{"Key": "clinic-1/a1"}]})
    listed = {(item.current, item.marker, item.size_bytes) for item in store.contents()}
    assert listed == {(True, True, 0), (False, False, 5), (False, False, 3)}


def test_an_unfinished_upload_is_listed_and_given_up(store: RecordingStore) -> None:
    _begin_upload(store, "a1")
    store.put("a2", [b"whole"])
    uploads = list(store.unfinished_uploads())
    assert [upload.key for upload in uploads] == ["a1"]
    assert uploads[0].begun_at <= clock.now() + timedelta(seconds=5)  # the server from pip says 2010, always
    assert [item.key for item in store.contents()] == ["a2"]
    for _ in range(2):  # what is not there any more is success
        store.abort_upload(uploads[0])
    assert list(store.unfinished_uploads()) == []
    assert store.versions("a1") == 0


def test_a_listing_that_is_forbidden_is_not_an_empty_store() -> None:
    s3 = FakeS3(BUCKET)
    s3.forbidden = True
    closed = S3RecordingStore(BUCKET, client=s3.client())
    for listing in (closed.contents, closed.unfinished_uploads):
        with pytest.raises(StoreRefused):
            list(listing())


def test_a_directory_that_is_gone_is_not_an_empty_store(tmp_path: Path) -> None:
    store = LocalRecordingStore(tmp_path / "recordings")
    (tmp_path / "recordings").rmdir()
    for listing in (store.contents, store.unfinished_uploads):
        with pytest.raises(StoreRefused):
            list(listing())


def test_a_working_store_has_no_complaint(store: RecordingStore) -> None:
    assert store.check() is None


def _client(store: S3RecordingStore) -> Any:
    return store._client


def _begin_upload(store: RecordingStore, key: str) -> None:
    """As a process does that is killed in the middle of a put."""
    if isinstance(store, LocalRecordingStore):
        (store.root / f".{key}.{'0' * 16}.part").write_bytes(b"half a ta")
        return
    assert isinstance(store, S3RecordingStore)
    more = {"ChecksumAlgorithm": "SHA256", "ServerSideEncryption": "AES256"}
    _client(store).create_multipart_upload(Bucket=store.bucket, Key=f"clinic-1/{key}", **more)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_slow(store: RecordingStore) -> bool:
    return isinstance(store, S3RecordingStore) and store.bucket != BUCKET


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("The S3 server did not start.")
