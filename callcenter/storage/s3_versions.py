"""Every version, marker and unfinished upload of exactly one key, and removing them all (R7, R8).

A listing by prefix ``clinic-1`` also returns ``clinic-10``, so names are compared exactly. DeleteObjects answers 200
with a list of errors inside, so every item is looked up in the answer.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from callcenter.crash_points import crash_point
from callcenter.errors import ObjectMissing, StoreError, StoreUnavailable
from callcenter.storage.s3_errors import from_answer, mapped

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

MOST_KEYS_OF_A_REQUEST = 1000
LISTING_THREADS = 8
"""Listings are one request per key and spend their time on the network: eight at once are about seven times as fast."""

Item = tuple[str, str]
"""Name and version id."""


def exact_versions(client: "S3Client", bucket: str, name: str) -> list[Item]:
    """All versions and delete markers whose name is exactly ``name``."""
    found: list[Item] = []
    with mapped():
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=name):
            entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            found += [(name, entry["VersionId"]) for entry in entries if entry["Key"] == name]
    return found


def unfinished_uploads(client: "S3Client", bucket: str, prefix: str) -> dict[str, list[str]]:
    """Upload ids of unfinished uploads, by name, of everything that begins with ``prefix``."""
    found: dict[str, list[str]] = {}
    with mapped():
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            for upload in page.get("Uploads", ()):
                found.setdefault(upload["Key"], []).append(upload["UploadId"])
    return found


def delete_everything(
    client: "S3Client", bucket: str, prefix: str, names: Sequence[str]
) -> dict[str, int | StoreError]:
    """Remove all that exists of each name; answers per name how many things were removed, or the error.

    ``prefix`` is what all names begin with.
    """
    answers: dict[str, int | StoreError] = dict.fromkeys(names, 0)
    if not names:
        return answers
    try:
        uploads = unfinished_uploads(client, bucket, prefix)
    except StoreError as error:
        return dict.fromkeys(names, error)
    items: list[Item] = []
    with ThreadPoolExecutor(LISTING_THREADS) as threads:
        for name, listed in zip(names, threads.map(lambda n: _listing(client, bucket, n), names), strict=True):
            if isinstance(listed, StoreError):
                answers[name] = listed
            else:
                items += listed
    for batch in _batches(items):
        _add(answers, _delete_batch(client, bucket, batch))
        crash_point("purge.some_versions")
    for name in names:
        _add(answers, [(name, _abort(client, bucket, name, upload)) for upload in uploads.get(name, ())])
    return answers


def _listing(client: "S3Client", bucket: str, name: str) -> list[Item] | StoreError:
    try:
        return exact_versions(client, bucket, name)
    except StoreError as error:
        return error


def _delete_batch(client: "S3Client", bucket: str, batch: Sequence[Item]) -> list[tuple[str, StoreError | None]]:
    objects: list[ObjectIdentifierTypeDef] = [{"Key": name, "VersionId": version} for name, version in batch]
    try:
        with mapped():
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": False})
    except StoreError as failure:
        return [(name, failure) for name, _ in batch]
    deleted = {(item.get("Key"), item.get("VersionId")) for item in answer.get("Deleted", ())}
    refused = {(item.get("Key"), item.get("VersionId")): from_answer(item) for item in answer.get("Errors", ())}
    return [(item[0], _outcome(item, deleted, refused)) for item in batch]


def _outcome(item: Item, deleted: Collection[object], refused: Mapping[Any, StoreError]) -> StoreError | None:
    if item in refused:
        return None if isinstance(refused[item], ObjectMissing) else refused[item]
    return None if item in deleted else StoreUnavailable("The bucket did not answer for this version.")


def _abort(client: "S3Client", bucket: str, name: str, upload_id: str) -> StoreError | None:
    try:
        with mapped():
            client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload_id)
    except ObjectMissing:
        return None
    except StoreError as error:
        return error
    return None


def _add(answers: dict[str, int | StoreError], outcome: list[tuple[str, StoreError | None]]) -> None:
    """Count what went; one error of a name is the answer for it."""
    for name, error in outcome:
        so_far = answers[name]
        if error is not None:
            answers[name] = error
        elif not isinstance(so_far, StoreError):
            answers[name] = so_far + 1


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), MOST_KEYS_OF_A_REQUEST):
        yield items[start : start + MOST_KEYS_OF_A_REQUEST]
