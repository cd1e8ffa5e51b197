"""Each process gets the rights in the bucket that it needs and no others; only retention deletes (S40, deploy/iam)."""

import json
import re
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from callcenter.errors import StoreError
from callcenter.storage.s3 import PART_BYTES, S3RecordingStore
from tests.conventions.project import ROOT, name_of, python_files
from tests.fakes import FakeS3

KEY = "k" * 48
ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "list_object_versions": "s3:ListBucketVersions",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "DeleteObjects": "s3:DeleteObjectVersion",  # always by version id
}
"""Request (or paginator) → the right that it needs, as the S3 service authorization reference has it."""
VERBS = {
    "web": {"read", "check"},
    "worker": {"put", "stat", "check", "delete"},
    "retention": {"stat", "delete", "versions", "contents", "unfinished_uploads", "abort_upload", "check"},
}
"""Which verbs of the store each process uses. The worker's delete is an attempt that may be refused
(services.ingest._give_up_bytes), so it is given no right to it."""
WHERE = {
    "web": ("callcenter/web/", "callcenter/services/playback.py", "callcenter/services/health.py"),
    "worker": ("callcenter/worker/", "callcenter/services/ingest.py", "callcenter/services/health.py"),
    "retention": ("retention/", "callcenter/services/health.py"),
}


def rights(process: str) -> set[str]:
    policy = json.loads((ROOT / "deploy" / "iam" / f"{process}.json").read_text())
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def _put(store: S3RecordingStore) -> None:
    store.put(KEY, [b"x" * 100])
    store.put(KEY, [b"x" * (PART_BYTES + 1)])

    def breaks_off() -> object:
        yield b"x" * (2 * PART_BYTES)
        raise StoreError("the carrier went away")

    with pytest.raises(StoreError):
        store.put(KEY, breaks_off())  # type: ignore[arg-type]


def _abort(store: S3RecordingStore) -> None:
    for upload in store.unfinished_uploads():
        store.abort_upload(upload)


DO: dict[str, Callable[[S3RecordingStore], object]] = {
    "put": _put,
    "read": lambda store: list(store.read(KEY)),
    "stat": lambda store: store.stat(KEY),
    "check": lambda store: store.check(),
    "delete": lambda store: store.delete([KEY]),
    "versions": lambda store: store.versions(KEY),
    "contents": lambda store: list(store.contents()),
    "unfinished_uploads": lambda store: list(store.unfinished_uploads()),
    "abort_upload": _abort,
}


def asked_by(process: str) -> set[str]:
    """The rights that the process's verbs need, found by doing each on a bucket with everything in it."""
    asked: set[str] = set()
    for verb in VERBS[process] - ({"delete"} if process == "worker" else set()):
        bucket = FakeS3("recordings")
        store = S3RecordingStore("recordings", client=bucket.client())
        store.put(KEY, [b"x" * 100])
        store.put(KEY, [b"x" * (PART_BYTES + 1)])
        bucket.client().create_multipart_upload(
            Bucket="recordings", Key=KEY, ChecksumAlgorithm="SHA256", ServerSideEncryption="AES256"
        )
        bucket.requests.clear()
        DO[verb](store)
        asked |= {ACTIONS[request] for request in bucket.requests}
    return asked


@pytest.mark.parametrize("process", VERBS)
def test_a_process_has_the_rights_that_it_uses_and_no_others(process: str) -> None:
    assert rights(process) == asked_by(process)


def test_only_retention_deletes_and_nobody_changes_the_bucket() -> None:
    assert {process for process in VERBS if any("Delete" in action for action in rights(process))} == {"retention"}
    assert "s3:PutObject" not in rights("retention") | rights("web")
    assert not [action for process in VERBS for action in rights(process) if re.search(r"\*|Policy|Versioning", action)]
    assert sorted(path.stem for path in (ROOT / "deploy" / "iam").glob("*.json")) == sorted(VERBS)


@pytest.mark.parametrize("process", VERBS)
def test_the_table_of_verbs_is_what_the_code_of_the_process_says(process: str) -> None:
    call = re.compile(r"\bstore\.(" + "|".join(DO) + r")\(")
    found = {
        verb
        for file in python_files("callcenter", "webhooks", "retention")
        if name_of(file).startswith(WHERE[process])
        for verb in call.findall(file.read_text().replace("_store.", "store."))
    }
    assert found | {"check"} == VERBS[process]


def test_the_door_never_touches_a_store() -> None:
    touches = re.compile(r"boto|storage|_store\b")
    assert not [name_of(file) for file in python_files("webhooks") if touches.search(file.read_text())]


def test_a_worker_without_the_right_to_delete_is_told_so_key_by_key_and_goes_on() -> None:
    bucket = FakeS3("recordings")
    store = S3RecordingStore("recordings", client=bucket.client())
    store.put(KEY, [b"x"])
    bucket.refused_names[KEY] = "AccessDenied"
    assert isinstance(store.delete([KEY])[KEY], StoreError | ClientError)
