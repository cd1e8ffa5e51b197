"""What was forgotten, noted outside of the database, because a restored database does not know it (P16).

One line for each recording that was purged and each call that was blanked: what it was, its id, when. A line is on the
disk before the row says that it is gone. A file for each month; one goes when no backup is as old as it is. Ids are
opaque, and lead nowhere once the row is blanked. Erasures will have a line of their own kind.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from callcenter.errors import CallcenterError

FILES = "ledger-journal-*.jsonl"
KEPT = timedelta(days=60)
"""Longer than any backup (P16: 30 days)."""


class Kind(StrEnum):
    """What was forgotten."""

    RECORDING = "recording"
    CALL = "call"


@dataclass(frozen=True)
class Line:
    """One thing that was forgotten."""

    kind: Kind
    id: str
    at: datetime


class JournalTrouble(CallcenterError):
    """The journal cannot be written or read; what was to be forgotten stays due."""

    code = "journal_trouble"


class Journal:
    """The journal in a process's state directory. Several processes may write to the same one."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def file_of(self, at: datetime) -> Path:
        """Where the lines of a month are."""
        return self._state_dir / FILES.replace("*", f"{at:%Y-%m}")

    def note(self, kind: Kind, ids: Sequence[str], at: datetime) -> None:
        """Add a line for each id; they are on the disk when this returns. Raises JournalTrouble."""
        if not ids:
            return
        lines = "".join(json.dumps({"kind": kind, "id": one, "at": at.isoformat()}) + "\n" for one in ids)
        file = self.file_of(at)
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, (self._after_torn_line(handle) + lines).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            for old in self._files():
                if old < self.file_of(at - KEPT):
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise JournalTrouble(f"The journal of the ledger cannot be written: {error.strerror}.") from None

    def lines(self) -> Iterator[Line]:
        """Every line, oldest first. One that was torn by a crash is left out: what it was about was not yet forgotten.
        Raises JournalTrouble for what only a later version can have written."""
        try:
            text = "\n".join(file.read_text(encoding="utf-8") for file in self._files())
        except OSError as error:
            raise JournalTrouble(f"The journal of the ledger cannot be read: {error.strerror}.") from None
        for line in text.splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if found["kind"] not in set(Kind):
                raise JournalTrouble("The journal was written by a later version; replay it with that one.")
            yield Line(Kind(found["kind"]), found["id"], datetime.fromisoformat(found["at"]))

    def _files(self) -> list[Path]:
        return sorted(self._state_dir.glob(FILES))

    def _after_torn_line(self, handle: int) -> str:
        size = os.fstat(handle).st_size
        return "\n" if size and os.pread(handle, 1, size - 1) != b"\n" else ""
