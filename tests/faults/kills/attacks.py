"""Which crash point is attacked by which campaign. A convention test sees to it that none is left out."""

from tests.campaigns import LONG

SWEPT = (
    *("sweep.hurried", "sweep.looked", "sweep.claimed", "purge.some_versions", "purge.unverified", "purge.verified"),
    *("purge.carrier_deleted", "purge.unrecorded", "purge.half_recorded", "purge.recorded", "calls.blanked"),
    *("calls.confirmed", "rows.removed"),
)
"""By a sweep (test_forgetting.py)."""

HOLDS = ("holds.placed", "holds.released", "holds.shown")
"""By somebody who places, releases and reads holds (the same file)."""

COPIED = (
    *("copy.claimed", "copy.begun", "copy.uploading", "copy.renewed", "copy.uploaded", "copy.stored"),
    *("copy.carrier_deleted", "copy.carrier_noted", "copy.failed", "copy.unwanted", "copy.withdrawn"),
)
"""By a worker that copies (test_copying.py)."""

RECONCILED = (
    *("reconcile.begun", "reconcile.entered", "reconcile.hurried", "reconcile.compared", "reconcile.adopted"),
    *("reconcile.asked", "reconcile.carrier_deleted", "reconcile.copied_again", "reconcile.wanted_gone"),
    *("reconcile.object_deleted", "reconcile.upload_aborted"),
)
"""By a comparison that repairs (test_reconciling.py)."""

REPLAYED = ("replay.applied",)
"""By a replay of the ledger after a restore (test_forgetting.py)."""

AGAIN = {
    "purge.carrier_deleted": 3,
    "purge.half_recorded": 3,
    "sweep.claimed": 2,
    "purge.recorded": 2,
    "copy.claimed": 3,
    "copy.begun": 2,
    "copy.stored": 2,
    "copy.carrier_deleted": 2,
}
"""Points that one process comes to more than once while it is attacked, and how often."""


def attacks(points: tuple[str, ...], database: str) -> list[tuple[str, int]]:
    """Points to attack on this database, each with the occurrence at which to kill: in a campaign all on both, several
    times; otherwise every other point on one of them."""
    if LONG:
        return [(point, nth) for point in points for nth in range(1, AGAIN.get(point, 1) + 1)]
    return [(point, 1) for point in points[database == "postgresql" :: 2]]
