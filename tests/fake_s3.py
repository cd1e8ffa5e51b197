"""A stand-in for boto3's S3 client, and the judge of deletion: versioned, never more than 1000 keys a request, errors
for single keys, 403 told from 404, locked versions, unfinished uploads, answers lost after the deed.
"""
# ruff: noqa: N803 - the names of arguments are boto3's

import base64
import hashlib
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from callcenter import clock

SMALLEST_PART = 5 * 1024 * 1024
MOST_KEYS = 1000
PAGE = 3
"""Entries of a page of a listing: few, so that somebody who reads only the first page is found out."""


@dataclass
class Version:
    """One version of one name; ``body`` None is a delete marker."""

    id: str
    name: str
    body: bytes | None
    checksum: str | None = None
    locked: bool = False
    at: datetime = field(default_factory=clock.now)


@dataclass
class Upload:
    """An unfinished upload in parts."""

    name: str
    parts: dict[int, bytes] = field(default_factory=dict)
    at: datetime = field(default_factory=clock.now)


class FakeS3:
    """One bucket. ``lost_answers`` names operations that are done and then time out, once each; ``refused_names`` maps
    names to the error code that DeleteObjects answers for them; ``forbidden`` and ``missing`` are about the bucket."""

    def __init__(self, bucket: str = "recordings", region: str = "eu-west-1") -> None:
        self.bucket, self.region = bucket, region
        self.versions: list[Version] = []
        self.uploads: dict[str, Upload] = {}
        self.forbidden = self.missing = False
        self.lost_answers: set[str] = set()
        self.refused_names: dict[str, str] = {}
        self.requests: list[str] = []
        self.meta = SimpleNamespace(region_name=region)
        self._ids = itertools.count(1)

    # what boto3 offers, as far as it is used

    def head_bucket(self, Bucket: str) -> dict[str, Any]:
        self._begin("HeadBucket", Bucket, head=True)
        return {"BucketRegion": self.region}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ChecksumSHA256: str, **more: Any) -> dict[str, Any]:
        self._begin("PutObject", Bucket)
        self._encrypted(more)
        self._matches(Body, ChecksumSHA256)
        self._add(Key, Body, ChecksumSHA256)
        self._lose("PutObject")
        return {"ChecksumSHA256": ChecksumSHA256}

    def create_multipart_upload(self, Bucket: str, Key: str, ChecksumAlgorithm: str, **more: Any) -> dict[str, Any]:
        self._begin("CreateMultipartUpload", Bucket)
        self._encrypted(more)
        assert ChecksumAlgorithm == "SHA256"
        upload_id = f"upload-{next(self._ids)}"
        self.uploads[upload_id] = Upload(Key)
        return {"UploadId": upload_id}

    def upload_part(
        self, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes, ChecksumSHA256: str
    ) -> dict[str, Any]:
        self._begin("UploadPart", Bucket)
        self._matches(Body, ChecksumSHA256)
        self._upload(UploadId, Key).parts[PartNumber] = Body
        return {"ETag": f"etag-{PartNumber}", "ChecksumSHA256": ChecksumSHA256}

    def complete_multipart_upload(
        self, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> dict[str, Any]:
        self._begin("CompleteMultipartUpload", Bucket)
        upload = self._upload(UploadId, Key)
        numbers = [part["PartNumber"] for part in MultipartUpload["Parts"]]
        assert numbers == sorted(upload.parts)
        if any(len(upload.parts[number]) < SMALLEST_PART for number in numbers[:-1]):
            raise _error("EntityTooSmall", 400, "CompleteMultipartUpload")
        digests = b"".join(hashlib.sha256(upload.parts[number]).digest() for number in numbers)
        composite = f"{_base64(hashlib.sha256(digests).digest())}-{len(numbers)}"
        self._add(Key, b"".join(upload.parts[number] for number in numbers), composite)
        del self.uploads[UploadId]
        self._lose("CompleteMultipartUpload")
        return {"ChecksumSHA256": composite}

    def abort_multipart_upload(self, Bucket: str, Key: str, UploadId: str) -> None:
        self._begin("AbortMultipartUpload", Bucket)
        self._upload(UploadId, Key)
        del self.uploads[UploadId]

    def head_object(self, Bucket: str, Key: str, ChecksumMode: str = "") -> dict[str, Any]:
        self._begin("HeadObject", Bucket, head=True)
        found = self._current(Key)
        if found is None or found.body is None:
            raise _error("404", 404, "HeadObject")
        checksum = {"ChecksumSHA256": found.checksum} if ChecksumMode == "ENABLED" else {}
        etag = "etag-2" if found.checksum and "-" in found.checksum else "etag"
        return {"ContentLength": len(found.body), "ETag": etag, **checksum}

    def get_object(self, Bucket: str, Key: str, Range: str) -> dict[str, Any]:
        self._begin("GetObject", Bucket)
        found = self._current(Key)
        if found is None or found.body is None:
            raise _error("NoSuchKey", 404, "GetObject")
        start, _, end = Range.removeprefix("bytes=").partition("-")
        if int(start) >= len(found.body):
            raise _error("InvalidRange", 416, "GetObject")
        return {"Body": Body(found.body[int(start) : int(end) + 1 if end else None])}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self._begin("DeleteObjects", Bucket)
        objects = Delete["Objects"]
        if len(objects) > MOST_KEYS:
            raise _error("MalformedXML", 400, "DeleteObjects")
        answer: dict[str, list[dict[str, str]]] = {"Deleted": [], "Errors": []}
        for item in objects:
            code = self._delete(item["Key"], item.get("VersionId"))
            answer["Errors" if code else "Deleted"].append({**item, **({"Code": code} if code else {})})
        self._lose("DeleteObjects")
        return answer

    def get_paginator(self, operation: str) -> "Pages":
        return Pages(self, operation)

    # how tests look at it and spoil it

    def names(self) -> list[str]:
        """Every name of which anything is left, once per version, marker or upload."""
        return [version.name for version in self.versions] + [upload.name for upload in self.uploads.values()]

    def add_delete_marker(self, name: str) -> None:
        """As a DELETE without a version id does."""
        self._add(name, None, None)

    def client(self) -> Any:
        """Itself, for arguments that want boto3's type."""
        return self

    # within

    def _begin(self, operation: str, bucket: str, *, head: bool = False) -> None:
        self.requests.append(operation)
        if self.missing or bucket != self.bucket:
            raise _error("404" if head else "NoSuchBucket", 404, operation)
        if self.forbidden:
            raise _error("403" if head else "AccessDenied", 403, operation)

    def _lose(self, operation: str) -> None:
        if operation in self.lost_answers:
            self.lost_answers.remove(operation)
            raise ReadTimeoutError(endpoint_url="https://bucket.invalid")

    def _add(self, name: str, body: bytes | None, checksum: str | None) -> None:
        self.versions.append(Version(f"v{next(self._ids)}", name, body, checksum))

    def _current(self, name: str) -> Version | None:
        return next((version for version in reversed(self.versions) if version.name == name), None)

    def _upload(self, upload_id: str, name: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.name != name:
            raise _error("NoSuchUpload", 404, "UploadPart")
        return upload

    def _delete(self, name: str, version_id: str | None) -> str | None:
        if name in self.refused_names:
            return self.refused_names[name]
        if version_id is None:
            self.add_delete_marker(name)
            return None
        found = [one for one in self.versions if (one.name, one.id) == (name, version_id)]
        if any(one.locked for one in found):
            return "AccessDenied"
        self.versions = [one for one in self.versions if one not in found]
        return None

    def _encrypted(self, more: dict[str, Any]) -> None:
        if more.get("ServerSideEncryption") not in ("AES256", "aws:kms"):
            raise _error("AccessDenied", 403, "PutObject")
        assert not {"Metadata", "Tagging"} & set(more), "Nothing is written beside the audio (P4)."

    def _matches(self, body: bytes, checksum: str) -> None:
        if _base64(hashlib.sha256(body).digest()) != checksum:
            raise _error("BadDigest", 400, "PutObject")


class Body:
    """What GetObject streams."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        return iter(lambda: self._file.read(size), b"")

    def close(self) -> None:
        self._file.close()


class Pages:
    """A paginator of a listing by prefix."""

    def __init__(self, s3: FakeS3, operation: str) -> None:
        self._s3, self._operation = s3, operation

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        self._s3._begin(self._operation, Bucket)
        entries = self._versions(Prefix) if self._operation == "list_object_versions" else self._uploads(Prefix)
        for start in range(0, max(len(entries), 1), PAGE):
            page: dict[str, Any] = {}
            for kind, entry in entries[start : start + PAGE]:
                page.setdefault(kind, []).append(entry)
            yield page

    def _versions(self, prefix: str) -> list[tuple[str, dict[str, Any]]]:
        """By name, and the newest version of each first, as S3 lists them."""
        newest_first = [one for one in reversed(self._s3.versions) if one.name.startswith(prefix)]
        found = sorted(newest_first, key=lambda one: one.name)
        return [("DeleteMarkers" if one.body is None else "Versions", self._described(one)) for one in found]

    def _described(self, one: Version) -> dict[str, Any]:
        size = {} if one.body is None else {"Size": len(one.body)}
        latest = self._s3._current(one.name) is one
        return {"Key": one.name, "VersionId": one.id, "IsLatest": latest, "LastModified": one.at, **size}

    def _uploads(self, prefix: str) -> list[tuple[str, dict[str, Any]]]:
        return [
            ("Uploads", {"Key": upload.name, "UploadId": upload_id, "Initiated": upload.at})
            for upload_id, upload in self._s3.uploads.items()
            if upload.name.startswith(prefix)
        ]


def _error(code: str, status: int, operation: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
