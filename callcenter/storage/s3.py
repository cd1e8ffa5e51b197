"""Recordings in an S3 bucket, usually a versioned one.

Checksums. A recording is sent in parts of 8 MiB, so memory stays constant; most talks are one part. Each part carries
our SHA-256 of it, and S3 refuses a part that does not match. One part: S3 answers with the SHA-256 of the whole object,
and that is compared with ours. Several parts: S3 has no SHA-256 of the whole, only the *composite* one (the SHA-256 of
the parts' digests, ``…-<parts>``); that is compared with the composite we computed ourselves. Where a server answers
without a checksum the object is read back and hashed. Only then does ``put`` return the SHA-256 of the whole stream.
``stat`` of an object in several parts reads it back for the same reason: playback should take size and hash from the
recording's row.
"""

import base64
import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from callcenter.errors import CallcenterError, ObjectMissing, StoreError, StoreUnavailable
from callcenter.ports import StoredObject, StoreItem, UnfinishedUpload
from callcenter.storage.keys import check_key
from callcenter.storage.s3_client import new_client
from callcenter.storage.s3_errors import NothingInRange, mapped
from callcenter.storage.s3_listing import abort_upload, listed, listed_uploads
from callcenter.storage.s3_versions import delete_everything, exact_versions, unfinished_uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 64 * 1024


class S3RecordingStore:
    """A RecordingStore in ``bucket`` below ``prefix``; every object is encrypted by the server (SSE-S3, or SSE-KMS
    with ``kms_key_id``). ``endpoint_url`` and ``region`` default to boto3's own settings. ``allowed_regions`` are
    those in which the bucket may be (P43; None: not checked). ``client`` replaces boto3's (tests)."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        kms_key_id: str | None = None,
        allowed_regions: Sequence[str] | None = None,
        client: "S3Client | None" = None,
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._allowed_regions = allowed_regions
        self._region = region
        self._encryption: dict[str, Any] = {"ServerSideEncryption": "AES256"}
        if kms_key_id:
            self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id}
        self._client: S3Client = client or new_client(endpoint_url, region)
        self._endpoint_url = endpoint_url
        self._putting_client = client
        self._making_putting_client = threading.Lock()

    @property
    def _putting(self) -> "S3Client":
        """For puts. One whose answer was lost must not be repeated unseen: in a versioned bucket that is a second
        version. The next try of the copy looks first. Made when it is first needed: most processes never put anything
        (and boto3 cannot make two clients at once)."""
        with self._making_putting_client:
            if self._putting_client is None:
                self._putting_client = new_client(self._endpoint_url, self._region, attempts=1)
            return self._putting_client

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """See RecordingStore.put. A failure leaves nothing: an upload in parts is aborted."""
        name = self._name(key)
        whole, size = hashlib.sha256(), 0
        parts = _parts(chunks)
        first, is_last = next(parts)
        if is_last:
            return StoredObject(key, len(first), self._put_at_once(name, first))
        with mapped():
            upload_id = self._client.create_multipart_upload(
                Bucket=self.bucket, Key=name, ContentType="audio/wav", ChecksumAlgorithm="SHA256", **self._encryption
            )["UploadId"]
        try:
            sent: list[dict[str, Any]] = []
            ahead = [first]
            del first  # in memory for no longer than its turn
            for part in _chain(ahead, parts):
                whole.update(part)
                size += len(part)
                sent.append(self._send_part(name, upload_id, len(sent) + 1, part))
                del part
            self._complete(name, upload_id, sent)
        except BaseException:
            self._abort(name, upload_id)
            raise
        self._check_composite(name, sent, whole.hexdigest())
        return StoredObject(key, size, whole.hexdigest())

    def stat(self, key: str) -> StoredObject:
        """See RecordingStore.stat. Reads the object back when S3 knows no checksum of the whole."""
        name = self._name(key)
        head = self._head(name)
        checksum = head.get("ChecksumSHA256", "")
        in_parts = "-" in head["ETag"]  # so is the checksum composite, whether or not the server marks it so
        whole = _of_base64(checksum) if checksum and not in_parts else self._hash_of(name)
        return StoredObject(key, head["ContentLength"], whole)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See RecordingStore.read."""
        if end is not None and end < start:
            return iter(())
        return self._read(self._name(key), start, end)

    def delete(self, keys: list[str]) -> dict[str, int | Exception]:
        """See RecordingStore.delete: by version id, at most 1000 a request, answers read one by one (R7, R8)."""
        names: dict[str, str] = {}
        answers: dict[str, int | Exception] = {}
        for key in keys:
            try:
                names[self._name(key)] = key
            except StoreError as error:
                answers[key] = error
        for name, answer in delete_everything(self._client, self.bucket, self.prefix, list(names)).items():
            answers[names[name]] = answer
        return answers

    def versions(self, key: str) -> int:
        """See RecordingStore.versions: a fresh listing of exactly this key."""
        name = self._name(key)
        found = exact_versions(self._client, self.bucket, name)
        return len(found) + len(unfinished_uploads(self._client, self.bucket, name).get(name, ()))

    def contents(self) -> Iterator[StoreItem]:
        """See RecordingStore.contents."""
        return listed(self._client, self.bucket, self.prefix)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """See RecordingStore.unfinished_uploads."""
        return listed_uploads(self._client, self.bucket, self.prefix)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """See RecordingStore.abort_upload."""
        abort_upload(self._client, self.bucket, self.prefix + upload.key, upload.upload_id)

    def check(self) -> str | None:
        """See RecordingStore.check: the bucket is there, opens to us, and lies in an allowed region."""
        try:
            return self.misplaced()
        except CallcenterError as error:
            return f"Bucket {self.bucket}: {error}"

    def misplaced(self) -> str | None:
        """None when the bucket lies where recordings may be stored (P43); else one sentence why not. Raises StoreError
        when the bucket cannot be asked."""
        with mapped(of_bucket=True):
            answer = self._client.head_bucket(Bucket=self.bucket)
        region = answer.get("BucketRegion") or self._region or self._client.meta.region_name
        if self._region and region != self._region:
            return f"Bucket {self.bucket} is in {region}, not in {self._region} as AWS_REGION says."
        if self._allowed_regions is not None and region not in self._allowed_regions:
            return f"Bucket {self.bucket} is in {region}, where recordings may not be stored (allowed_storage_regions)."
        return None

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _put_at_once(self, name: str, body: bytearray) -> str:
        """Put an object of one part; answers its SHA-256."""
        whole = hashlib.sha256(body)
        digest = _base64(whole.digest())
        with mapped():
            answer = self._putting.put_object(
                Bucket=self.bucket,
                Key=name,
                Body=body,  # type: ignore[arg-type] # the library takes it, its types do not
                ContentType="audio/wav",
                ChecksumSHA256=digest,
                **self._encryption,
            )
        if answer.get("ChecksumSHA256", "") != digest:
            self._check_by_reading(name, whole.hexdigest())
        return whole.hexdigest()

    def _send_part(self, name: str, upload_id: str, number: int, part: bytearray) -> dict[str, Any]:
        digest = _base64(hashlib.sha256(part).digest())
        with mapped():
            answer = self._client.upload_part(
                Bucket=self.bucket,
                Key=name,
                UploadId=upload_id,
                PartNumber=number,
                Body=part,  # type: ignore[arg-type] # see above
                ChecksumSHA256=digest,
            )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}

    def _complete(self, name: str, upload_id: str, sent: list[dict[str, Any]]) -> None:
        with mapped():
            self._client.complete_multipart_upload(
                Bucket=self.bucket,
                Key=name,
                UploadId=upload_id,
                MultipartUpload={"Parts": sent},  # type: ignore[typeddict-item]
            )

    def _abort(self, name: str, upload_id: str) -> None:
        """Best effort: what stays is seen by ``versions`` and removed by the purge."""
        try:
            with mapped():
                self._client.abort_multipart_upload(Bucket=self.bucket, Key=name, UploadId=upload_id)
        except StoreError:
            return

    def _check_composite(self, name: str, sent: list[dict[str, Any]], whole: str) -> None:
        digests = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in sent)
        ours = f"{_base64(hashlib.sha256(digests).digest())}-{len(sent)}"
        if self._head(name).get("ChecksumSHA256", "") != ours:
            self._check_by_reading(name, whole)

    def _check_by_reading(self, name: str, whole: str) -> None:
        if self._hash_of(name) != whole:
            raise StoreUnavailable("The bucket holds other bytes than were sent; they must be sent again.")

    def _hash_of(self, name: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._read(name, 0, None):
            digest.update(chunk)
        return digest.hexdigest()

    def _head(self, name: str) -> Any:
        """HeadObject. Its 404 has no body, so "no such key" and "no such bucket" are told apart by asking."""
        try:
            with mapped():
                return self._client.head_object(Bucket=self.bucket, Key=name, ChecksumMode="ENABLED")
        except ObjectMissing:
            with mapped(of_bucket=True):
                self._client.head_bucket(Bucket=self.bucket)
            raise

    def _read(self, name: str, start: int, end: int | None) -> Iterator[bytes]:
        extent = f"bytes={start}-{'' if end is None else end}"
        try:
            with mapped():
                body = self._client.get_object(Bucket=self.bucket, Key=name, Range=extent)["Body"]
        except NothingInRange:
            return iter(())
        return _stream(body)


def _stream(body: Any) -> Iterator[bytes]:
    try:
        chunks = body.iter_chunks(CHUNK_BYTES)
        while True:
            with mapped():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk
    finally:
        body.close()


def _parts(chunks: Iterable[bytes]) -> Iterator[tuple[bytearray, bool]]:
    """The stream in pieces of PART_BYTES or a little more, each with whether it is the last one, which may be shorter
    (and is empty for an empty stream). Nothing is copied twice."""
    buffer = bytearray()
    for chunk in chunks:
        for start in range(0, len(chunk), PART_BYTES):
            if len(buffer) >= PART_BYTES:
                yield buffer, False
                buffer = bytearray()
            buffer += chunk[start : start + PART_BYTES]
    yield buffer, True


def _chain(ahead: list[bytearray], rest: Iterator[tuple[bytearray, bool]]) -> Iterator[bytearray]:
    while ahead:
        yield ahead.pop()
    for part, _ in rest:
        yield part
        del part


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _of_base64(checksum: str) -> str:
    return base64.b64decode(checksum).hex()
