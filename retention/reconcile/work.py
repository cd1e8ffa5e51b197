"""What every pass works with, and how one item is repaired without holding up the others (R15)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeVar

from sqlalchemy import Engine

from callcenter.config import VoiceSettings
from callcenter.domain.retention import BRAKE_COUNT
from callcenter.errors import CallcenterError
from callcenter.logs import log
from callcenter.ports import Carrier, RecordingStore
from retention.reconcile.report import Kind, Report

BATCH = 200
FAILURES_BEFORE_PAUSE = 5
"""So many failures in a row, and the pass is given up: carrier or store is to blame (R15)."""

Item = TypeVar("Item")


class GivenUp(CallcenterError):
    """Too much failed in a row; the rest is left to the next run."""

    code = "given_up"


@dataclass(frozen=True)
class Wishes:
    """What may be changed. ``repair`` only what is safe to do unasked; ``delete_recordings`` also recordings at the
    carrier that nothing explains; ``delete_objects`` also objects without a row; ``confirmed`` lifts the brakes."""

    repair: bool = False
    delete_recordings: bool = False
    delete_objects: bool = False
    confirmed: bool = False


@dataclass
class Work:
    """One run."""

    engine: Engine
    store: RecordingStore
    carrier: Carrier
    voice: VoiceSettings
    now: datetime
    wishes: Wishes
    keep_going: Callable[[], bool]
    report: Report
    doubt: str | None = None
    """Why nothing is deleted unasked in this run."""
    _failures: int = field(default=0)

    def goes_on(self) -> bool:
        """Asked before each batch; False ends the run, which then is no success."""
        if self.report.complete and not self.keep_going():
            self.report.complete = False
            self.report.fail("incomplete")
        return self.report.complete

    def settle(self, kind: Kind, id_: str, repair: Callable[[], bool] | None) -> None:
        """Note a finding and, if that is wished and possible, repair it; ``repair`` answers whether it did."""
        if repair is None or not self.wishes.repair:
            self.report.add(kind, id_)
            return
        try:
            repaired = repair()
        except Exception as error:  # one poisoned item never blocks the rest
            self.report.add(kind, id_)
            self.note(kind, error)
            self._failures += 1
            if self._failures >= FAILURES_BEFORE_PAUSE:
                self._failures = 0
                raise GivenUp("Too much failed in a row; try again later.") from error
        else:
            self._failures = 0
            self.report.add(kind, id_, repaired=repaired)
            log("reconcile").info("repaired" if repaired else "not_repaired", kind=kind, subject_id=id_)

    def note(self, what: str, error: Exception) -> None:
        """Count what went wrong and log it; values are never quoted."""
        code = error.code if isinstance(error, CallcenterError) else "unexpected"
        log("reconcile").error("failed", kind=what, code=code, exc_info=error if code == "unexpected" else None)
        self.report.fail(code)


class Deletions:
    """Deletions of one kind, held back until it is known how many there are: more than BRAKE_COUNT at once, or a clock
    that jumped, and somebody is asked (R11). Holds no more than that many at a time."""

    def __init__(self, work: Work, kind: Kind, *, wished: bool = True) -> None:
        self._work, self._kind = work, kind
        self._wished = wished and work.wishes.repair
        self._waiting: list[tuple[str, Callable[[], bool]]] = []
        self._count = 0

    def add(self, id_: str, delete: Callable[[], bool]) -> None:
        """One more. ``delete`` looks once more whether it should go, and answers whether it is gone."""
        if not self._wished or self._work.wishes.confirmed:
            self._work.settle(self._kind, id_, delete if self._wished else None)
            return
        self._count += 1
        if self._count <= BRAKE_COUNT:
            self._waiting.append((id_, delete))
        else:
            self._work.report.add(self._kind, id_)

    def finish(self) -> None:
        """Delete them, or say why not."""
        waiting, self._waiting = self._waiting, []
        too_many = f"More than {BRAKE_COUNT} at once" if self._count > BRAKE_COUNT else None
        braked = self._work.doubt or too_many
        for id_, delete in waiting:
            self._work.settle(self._kind, id_, None if braked else delete)
        if braked and self._count:
            self._work.report.braked += self._count
            self._work.report.brakes.append(f"{braked}: {self._count} × {self._kind} are kept until it is confirmed.")


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """The items in lists of at most ``size``, fetched only when they are needed."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
