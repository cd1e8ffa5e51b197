"""Recordings in a directory: for development and for one small machine. Production refuses it (design §6.2)."""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from callcenter.errors import CallcenterError, ObjectMissing, StoreRefused, StoreUnavailable
from callcenter.ports import StoredObject, StoreItem, UnfinishedUpload
from callcenter.storage.keys import check_key

CHUNK_BYTES = 64 * 1024
_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part")


class LocalRecordingStore:
    """A RecordingStore below ``root`` (made when it is missing). Bytes are written to a hidden ``.part`` file, synced
    and renamed, so that a key either holds everything or nothing. There are no versions: a second put replaces."""

    warning = "Recordings are kept in a directory of this machine: for development only, not encrypted, not versioned."

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """See RecordingStore.put."""
        path = self._path(key)
        digest, size = hashlib.sha256(), 0
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        with _mapped():
            path.parent.mkdir(parents=True, exist_ok=True)
            file = part.open("xb")
        try:
            with file:
                for chunk in chunks:  # outside of _mapped: the source's errors are not the disk's
                    digest.update(chunk)
                    size += len(chunk)
                    with _mapped():
                        file.write(chunk)
                with _mapped():
                    file.flush()
                    os.fsync(file.fileno())
            with _mapped():
                part.replace(path)
                for leftover in set(self._traces(key)) - {path}:  # of a put that was killed: half a talk stays nowhere
                    leftover.unlink(missing_ok=True)
                _sync(path.parent)
        finally:
            part.unlink(missing_ok=True)
        return StoredObject(key, size, digest.hexdigest())

    def stat(self, key: str) -> StoredObject:
        """See RecordingStore.stat; the checksum is computed from the bytes on the disk."""
        digest, size = hashlib.sha256(), 0
        for chunk in self.read(key):
            digest.update(chunk)
            size += len(chunk)
        return StoredObject(key, size, digest.hexdigest())

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See RecordingStore.read."""
        path = self._path(key)
        with _mapped():
            file = path.open("rb")
        return _span(file, start, end)

    def delete(self, keys: list[str]) -> dict[str, int | Exception]:
        """See RecordingStore.delete."""
        answers: dict[str, int | Exception] = {}
        for key in keys:
            try:
                answers[key] = self._delete(key)
            except CallcenterError as error:
                answers[key] = error
        return answers

    def versions(self, key: str) -> int:
        """See RecordingStore.versions: the file, and what interrupted puts left."""
        return len(self._traces(key))

    def contents(self) -> Iterator[StoreItem]:
        """See RecordingStore.contents: every file but those of unfinished puts."""
        for path in self._files():
            if _UNFINISHED.fullmatch(path.name) is None and (seen := _look(path)) is not None:
                size, at = seen
                yield StoreItem(str(path.relative_to(self.root)), current=True, marker=False, size_bytes=size, at=at)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """See RecordingStore.unfinished_uploads: the parts that killed puts left."""
        for path in self._files():
            unfinished = _UNFINISHED.fullmatch(path.name)
            if unfinished is not None and (seen := _look(path)) is not None:
                key = path.relative_to(self.root).with_name(unfinished[1])
                yield UnfinishedUpload(str(key), path.name, seen[1])

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """See RecordingStore.abort_upload."""
        if _UNFINISHED.fullmatch(upload.upload_id) is None:
            raise StoreRefused("This is no unfinished put of the recording store.")
        with _mapped():
            self._path(upload.key).with_name(upload.upload_id).unlink(missing_ok=True)

    def check(self) -> str | None:
        """See RecordingStore.check."""
        if not self.root.is_dir():
            return f"The directory {self.root} for recordings does not exist."
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            return f"The directory {self.root} for recordings cannot be written."
        return None

    def _path(self, key: str) -> Path:
        if not self.root.is_dir():
            raise StoreRefused(f"The directory {self.root} for recordings does not exist; mount or make it.")
        return self.root / check_key(key)

    def _files(self) -> Iterator[Path]:
        """Every file below the root, in the order of the names of each directory."""
        if not self.root.is_dir():
            raise StoreRefused(f"The directory {self.root} for recordings does not exist.")
        for directory, below, names in os.walk(self.root):
            below.sort()
            yield from (Path(directory, name) for name in sorted(names))

    def _traces(self, key: str) -> list[Path]:
        path = self._path(key)
        unfinished = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.part")
        with _mapped():
            there = list(path.parent.iterdir()) if path.parent.is_dir() else []
        return [file for file in there if file.name == path.name or unfinished.fullmatch(file.name)]

    def _delete(self, key: str) -> int:
        traces = self._traces(key)
        with _mapped():
            for file in traces:
                file.unlink(missing_ok=True)
            if traces:
                _sync(traces[0].parent)
        return len(traces)


def _span(file: BinaryIO, start: int, end: int | None) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = None if end is None else max(0, end - start + 1)
        while left != 0:
            chunk = file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk


def _look(path: Path) -> tuple[int, datetime] | None:
    """Size and age of a file; None when it has gone meanwhile."""
    try:
        with _mapped():
            found = path.stat()
    except ObjectMissing:
        return None
    return found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)


def _sync(directory: Path) -> None:
    """A rename or removal lasts only when the directory has reached the disk too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _mapped() -> Iterator[None]:
    """The operating system's errors as the store's: a missing file is missing, what is forbidden stays forbidden."""
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing("There is no such recording in the store.") from None
    except OSError as error:
        message = f"The directory for recordings answered: {error.strerror or type(error).__name__}."
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreRefused(message) from None
        raise StoreUnavailable(message) from None
