"""What lies in a bucket, page by page and in constant memory, and giving up what was never finished (R14)."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from callcenter.errors import ObjectMissing
from callcenter.ports import StoreItem, UnfinishedUpload
from callcenter.storage.s3_errors import mapped

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def listed(client: "S3Client", bucket: str, prefix: str) -> Iterator[StoreItem]:
    """Every version and marker of everything that begins with ``prefix``, in the order of the names; keys without the
    prefix."""
    for page in _pages(client, "list_object_versions", bucket, prefix):
        versions = [(entry, False) for entry in page.get("Versions", ())]
        markers = [(entry, True) for entry in page.get("DeleteMarkers", ())]
        for entry, marker in sorted([*versions, *markers], key=lambda one: one[0]["Key"]):
            yield StoreItem(
                key=entry["Key"].removeprefix(prefix),
                current=entry["IsLatest"],
                marker=marker,
                size_bytes=entry.get("Size", 0),
                at=entry["LastModified"],
            )


def listed_uploads(client: "S3Client", bucket: str, prefix: str) -> Iterator[UnfinishedUpload]:
    """Every unfinished upload of a name that begins with ``prefix``; keys without the prefix."""
    for page in _pages(client, "list_multipart_uploads", bucket, prefix):
        for upload in page.get("Uploads", ()):
            yield UnfinishedUpload(upload["Key"].removeprefix(prefix), upload["UploadId"], upload["Initiated"])


def abort_upload(client: "S3Client", bucket: str, name: str, upload_id: str) -> None:
    """Give up one unfinished upload; one that is not there any more is success. Raises StoreError."""
    with suppress(ObjectMissing), mapped():
        client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload_id)


def _pages(client: "S3Client", operation: Any, bucket: str, prefix: str) -> Iterator[Any]:
    """The pages of a listing, with the store's errors whenever a page is fetched."""
    with mapped():
        pages = iter(client.get_paginator(operation).paginate(Bucket=bucket, Prefix=prefix))
    while True:
        with mapped(of_bucket=True):
            page = next(pages, None)
        if page is None:
            return
        yield page
