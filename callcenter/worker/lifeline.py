"""How the next worker knows that one has died: a file that is locked for as long as its process lives.

The lease of a dead worker runs out by itself, but for so long somebody may sit on the line in silence. The kernel lets
go of a lock in the moment in which its holder dies, however it dies, so a worker on the same machine knows at once. On
another machine, with another state directory, the lease is what counts.
"""

import fcntl
import os
from pathlib import Path


class Lifeline:
    """A worker's own file in ``directory`` (made when it is missing), locked, under the name that its leases bear.
    Raises OSError when it cannot be made."""

    def __init__(self, directory: Path, holder: str) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._own = directory / holder
        unlocked = directory / f".{holder}"  # nobody may see it before it is locked
        self._file = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(self._own)

    def dead(self) -> list[str]:
        """The holders that have died and are not forgotten yet."""
        others = (file for file in self._own.parent.iterdir() if file != self._own and not file.name.startswith("."))
        return [file.name for file in others if _is_free(file)]

    def forget(self, holder: str) -> None:
        """What a dead worker had under way has been taken over."""
        (self._own.parent / holder).unlink(missing_ok=True)

    def close(self) -> None:
        """This worker ends in peace."""
        self._own.unlink(missing_ok=True)
        os.close(self._file)


def _is_free(file: Path) -> bool:
    try:
        other = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(other)
    return True
