"""What reconciliation found and what became of it: counts by kind, and a list of opaque ids (R16)."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MOST_LISTED = 500
"""Findings in the list; the counts go on."""


class Kind(StrEnum):
    """What can be found; docs/operations.md says what to do with each."""

    CALL_NOT_IN_LOG = "call_not_in_log"
    CALL_OF_UNKNOWN_CLINIC = "call_of_unknown_clinic"
    CALL_NOT_ENDED = "call_not_ended"
    RECORDING_NOT_REPORTED = "recording_not_reported"
    RECORDING_WITHOUT_END = "recording_without_end"
    CARRIER_COPY_LEFT = "carrier_copy_left"
    RECORDING_UNEXPLAINED = "recording_unexplained"
    OBJECT_WITHOUT_ROW = "object_without_row"
    OBJECT_OF_PURGED = "object_of_purged"
    OBJECT_NOT_WANTED = "object_not_wanted"
    OBJECT_MISSING = "object_missing"
    OBJECT_DIFFERS = "object_differs"
    UPLOAD_UNFINISHED = "upload_unfinished"


@dataclass(frozen=True)
class Finding:
    """One difference. ``id`` is a row's, a SID or a key of the store; never a number."""

    kind: Kind
    id: str
    repaired: bool


@dataclass
class Report:
    """Counts of one run. ``looked_at`` is how many calls, recordings and objects were compared; ``braked`` how many
    deletions wait for a confirmation, with a sentence each in ``brakes``. ``failures`` are codes of what went wrong.
    ``complete`` is False when the run was stopped before it had seen everything."""

    repair: bool
    looked_at: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    braked: int = 0
    brakes: list[str] = field(default_factory=list)
    complete: bool = True
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, id_: str, *, repaired: bool = False) -> None:
        """Note a finding, and whether it is repaired already."""
        self.found[kind] += 1
        self.repaired[kind] += repaired
        if len(self.findings) < MOST_LISTED:
            self.findings.append(Finding(kind, id_, repaired))

    def fail(self, code: str) -> None:
        """Something could not be done; it is tried again by the next run."""
        self.failed += 1
        self.failures[code] += 1

    @property
    def remaining(self) -> int:
        """Findings that were not repaired."""
        return self.found.total() - self.repaired.total()

    def as_dict(self) -> dict[str, Any]:
        """For output and heartbeats: counts only."""
        counters = ("looked_at", "found", "repaired", "failures")
        return {name: {str(k): n for k, n in sorted(getattr(self, name).items()) if n} for name in counters} | {
            "remaining": self.remaining,
            "failed": self.failed,
            "braked": self.braked,
            "brakes": self.brakes,
            "complete": self.complete,
            "repair": self.repair,
        }
