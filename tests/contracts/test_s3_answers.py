"""What S3 answers is told apart: gone, not now, and never (R6–R8, F6–F9), against a strict versioned bucket."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from callcenter.errors import ObjectMissing, StoreError, StoreRefused, StoreUnavailable
from callcenter.storage.s3 import PART_BYTES, S3RecordingStore
from callcenter.storage.s3_errors import mapped
from tests.fakes import FakeS3

LONG = bytes(PART_BYTES + 1)
REQUESTS: dict[str, Callable[[S3RecordingStore], Any]] = {
    "put": lambda store: store.put("a1", [b"x"]),
    "stat": lambda store: store.stat("a1"),
    "read": lambda store: list(store.read("a1")),
    "versions": lambda store: store.versions("a1"),
}


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def store(s3: FakeS3) -> S3RecordingStore:
    return S3RecordingStore("recordings", client=s3.client(), allowed_regions=("eu-west-1",))


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("trouble", ["forbidden", "missing"])
def test_a_bucket_that_does_not_open_is_never_taken_for_absent(
    s3: FakeS3, store: S3RecordingStore, request_name: str, trouble: str
) -> None:
    setattr(s3, trouble, True)
    with pytest.raises(StoreRefused):
        REQUESTS[request_name](store)


@pytest.mark.parametrize("trouble", ["forbidden", "missing"])
def test_deleting_in_a_bucket_that_does_not_open_fails_for_every_key(
    s3: FakeS3, store: S3RecordingStore, trouble: str
) -> None:
    setattr(s3, trouble, True)
    answers = store.delete(["a1", "a2"])
    assert {key: type(answer) for key, answer in answers.items()} == {"a1": StoreRefused, "a2": StoreRefused}


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("AccessDenied", 403, StoreRefused),
        ("NoSuchBucket", 404, StoreRefused),
        ("PermanentRedirect", 301, StoreRefused),
        ("AuthorizationHeaderMalformed", 400, StoreRefused),
        ("InvalidAccessKeyId", 403, StoreRefused),
        ("KMS.DisabledException", 400, StoreRefused),
        ("SlowDown", 503, StoreUnavailable),
        ("InternalError", 500, StoreUnavailable),
        ("SomethingNew", 502, StoreUnavailable),
        ("RequestTimeout", 400, StoreUnavailable),
        ("TooManyRequests", 429, StoreUnavailable),
        ("NoSuchKey", 404, ObjectMissing),
    ],
)
def test_each_error_code_has_one_meaning(code: str, status: int, expected: type[StoreError]) -> None:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(StoreError) as raised, mapped():
        raise ClientError(response, "GetObject")
    assert type(raised.value) is expected


def test_a_batch_with_one_refused_key_finishes_the_others(s3: FakeS3, store: S3RecordingStore) -> None:
    for key in ("a1", "a2", "a3"):
        store.put(key, [b"x"])
    s3.refused_names["a2"] = "InternalError"
    answers = store.delete(["a1", "a2", "a3"])
    assert (answers["a1"], answers["a3"]) == (1, 1)
    assert isinstance(answers["a2"], StoreUnavailable)
    assert s3.names() == ["a2"]


def test_a_locked_version_is_a_refusal(s3: FakeS3, store: S3RecordingStore) -> None:
    store.put("a1", [b"x"])
    s3.versions[0].locked = True
    assert isinstance(store.delete(["a1"])["a1"], StoreRefused)
    assert store.versions("a1") == 1


def test_delete_markers_are_removed_and_count_as_something_left(s3: FakeS3, store: S3RecordingStore) -> None:
    store.put("a1", [b"x"])
    s3.add_delete_marker("a1")
    with pytest.raises(ObjectMissing):
        store.stat("a1")
    assert store.versions("a1") == 2
    assert store.delete(["a1"]) == {"a1": 2}
    assert s3.names() == []


def test_an_unfinished_upload_is_something_left_and_is_aborted(s3: FakeS3, store: S3RecordingStore) -> None:
    for name in ("a1", "a10"):
        s3.create_multipart_upload(
            Bucket="recordings", Key=name, ChecksumAlgorithm="SHA256", ServerSideEncryption="AES256"
        )
    assert store.versions("a1") == 1
    assert store.delete(["a1"]) == {"a1": 1}
    assert s3.names() == ["a10"]


def test_versions_on_later_pages_of_a_listing_are_found(s3: FakeS3, store: S3RecordingStore) -> None:
    for _ in range(8):
        store.put("a1", [b"x"])
    assert store.versions("a1") == 8
    assert store.delete(["a1"]) == {"a1": 8}


def test_no_request_deletes_more_than_a_thousand_versions(s3: FakeS3, store: S3RecordingStore) -> None:
    keys = [f"k{number}" for number in range(501)]
    for key in keys * 2:
        store.put(key, [b"x"])
    assert set(store.delete(keys).values()) == {2}
    assert s3.requests.count("DeleteObjects") == 2


def test_an_answer_that_got_lost_is_settled_by_asking_again(s3: FakeS3, store: S3RecordingStore) -> None:
    store.put("a1", [b"x"])
    s3.lost_answers.add("DeleteObjects")
    assert isinstance(store.delete(["a1"])["a1"], StoreUnavailable)
    assert store.versions("a1") == 0


@pytest.mark.parametrize(("content", "operation"), [(b"x", "PutObject"), (LONG, "CompleteMultipartUpload")])
def test_a_put_whose_answer_got_lost_is_not_called_done(
    s3: FakeS3, store: S3RecordingStore, content: bytes, operation: str
) -> None:
    s3.lost_answers.add(operation)
    with pytest.raises(StoreUnavailable):
        store.put("a1", [content])
    assert store.stat("a1").size_bytes == len(content)


def test_bytes_that_changed_in_the_bucket_are_noticed(
    s3: FakeS3, store: S3RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(operation: str) -> None:
        if operation == "PutObject":
            s3.versions[-1].body, s3.versions[-1].checksum = b"y", ""

    def silent_put(**request: Any) -> dict[str, Any]:
        FakeS3.put_object(s3, **request)
        spoil("PutObject")
        return {}

    monkeypatch.setattr(s3, "put_object", silent_put)
    with pytest.raises(StoreUnavailable):
        store.put("a1", [b"x"])


def test_a_bucket_outside_the_allowed_regions_is_named(s3: FakeS3, store: S3RecordingStore) -> None:
    s3.region = "us-east-1"
    assert "us-east-1" in (store.check() or "")


@pytest.mark.parametrize("trouble", ["forbidden", "missing"])
def test_a_bucket_that_does_not_open_is_a_complaint(s3: FakeS3, store: S3RecordingStore, trouble: str) -> None:
    setattr(s3, trouble, True)
    assert "recordings" in (store.check() or "")


def test_a_key_lies_below_the_prefix_and_nothing_else_is_written(s3: FakeS3) -> None:
    S3RecordingStore("recordings", "/clinics/", client=s3.client()).put("a1", [b"x"])
    assert s3.names() == ["clinics/a1"]
