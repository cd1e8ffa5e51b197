"""Where a process can be made to die, to prove that ``kill -9`` anywhere does no harm (F17).

Every durable step calls ``crash_point`` with a name of its own; a convention test finds steps that do not. In
development CALLCENTER_CRASH_POINT arms points, and the first process that comes to an armed one kills itself as
``kill -9`` does: nothing is flushed, closed or rolled back. It leaves a file of the point's name below the state
directory, so that its successor, which a supervisor starts with the same environment, passes.
"""

import os
import re
import signal
import threading
from pathlib import Path

POINTS = {
    # the door
    "door.committed": "What the carrier asked or reported is in the database; the carrier has no answer.",
    "incoming.committed": "A new call is in the database; the caller has not been greeted.",
    # the worker: commands
    "worker.asked": "Every live call is to be asked about soon; nobody has been asked.",
    "worker.took_over": "What a dead worker had under way is free; that it died is not forgotten.",
    "worker.renewed": "The leases of what is under way are renewed; that is still under way.",
    "worker.tidied": "Commands that were given up are revived and old ones forgotten; nothing else.",
    "dispatch.offered": "A call is offered and her ringing ordered; nobody has been rung.",
    "tick.item": "One item that was due is done; the others that are due are not.",
    "command.claimed": "A command is leased to this worker; nothing has been asked of the carrier.",
    "command.unrecorded": "A command has been carried out; it still counts as under way.",
    "command.failed": "A command has failed; that it is to be tried again is not noted.",
    "command.given_up": "A command has failed for good and our rows say so; it still counts as under way.",
    # the worker: ringing and connecting
    "ring.prepared": "A leg is about to be created; the carrier has not been asked.",
    "ring.created": "The carrier rings the softphone; no row of ours knows the leg.",
    "ring.bound": "The leg is in our rows; the command still counts as under way.",
    "ring.given_up": "An offer that could not be rung is closed; the command still counts as under way.",
    "leg.dropped": "A leg is over at the carrier; our row says that it is up.",
    "leg.noted": "A leg is over here and there; the command still counts as under way.",
    "connect.dequeued": "The caller is out of the queue; the command still counts as under way.",
    "connect.sent_on": "The caller's leg has been told to ask; the command still counts as under way.",
    "connect.caller_gone": "The call is ended in our rows, because the caller is gone; legs may be up.",
    "connect.back_in_queue": "The caller is to be offered again; the conference may still be there.",
    "join.found": "A join that nobody reported is in our rows; the command still counts as under way.",
    "join.ended": "A conference without its caller is over; the command still counts as under way.",
    # the worker: talks
    "hold.answered": "The carrier holds the caller; our rows do not say so.",
    "hold.noted": "Hold is confirmed in our rows; the command still counts as under way.",
    "hold.failed": "Our rows say that the hold failed; the command still counts as under way.",
    "pause.answered": "The carrier has paused or resumed; our rows do not say so.",
    "pause.noted": "The pause is confirmed in our rows; the command still counts as under way.",
    "refusal.stopped": "A refused recording is stopped; that its copy must go is not in our rows.",
    "refusal.noted": "A refused recording is stopped and its copy due to go; the command still counts as under way.",
    "recording.started": "The carrier records; no row of ours knows the recording.",
    "recording.reported": "What the carrier says of a recording is in our rows; the command counts as under way.",
    "recording.given_up": "A recording without a trace counts as absent; the command still counts as under way.",
    # the worker: the end
    "move_on.dequeued": "The caller is out of the queue, on the way to a message; the command counts as under way.",
    "move_on.asked": "The caller's leg has been told to ask; the command still counts as under way.",
    "hang_up.ended": "The caller's leg is hung up; our rows say that it is up.",
    "verify.moved_on": "A caller who sat in silence is to be sent on; the leg has not been told.",
    "verify.hung_up": "A caller whose hang-up was lost is hung up; our rows say that the leg is up.",
    "verify.left_alone": "A caller who was left alone is to be offered again; the conference is still there.",
    "verify.settled": "A call that was over at the carrier is over in our rows; the command counts as under way.",
    "sweep_legs.ended": "The conference of a call that is over is ended; the command still counts as under way.",
    # ingest
    "copy.claimed": "A recording or a carrier's copy is leased; nothing has been asked of anybody.",
    "copy.begun": "The row is there; not a byte is in the store.",
    "copy.uploading": "Some of the bytes have been sent; the object is not complete.",
    "copy.renewed": "The lease is renewed and the last byte sent; the object is not complete.",
    "copy.uploaded": "The object is complete; the row says that it is not.",
    "copy.stored": "The row says stored; the carrier still has its copy.",
    "copy.carrier_deleted": "The carrier's copy is gone; the row says that it is not.",
    "copy.carrier_noted": "The carrier's copy is gone, and the row says so; nothing is left to do.",
    "copy.failed": "A copy has failed and is to be tried again; the carrier still has the audio.",
    "copy.unwanted": "Bytes were put that nobody wants any more, and the row knows; the bytes are there.",
    "copy.withdrawn": "Bytes that nobody wants any more are deleted; that is not logged.",
    # the sweep
    "sweep.hurried": "What waits for a later attempt is due at once; nothing is claimed.",
    "sweep.looked": "What is due has been counted and judged; nothing is claimed.",
    "sweep.claimed": "A batch is leased and hidden for good; everything of it is still there.",
    "purge.some_versions": "One thing of a recording is deleted; others may still be in the store.",
    "purge.unverified": "Everything is deleted in the store; nobody has looked whether it is gone.",
    "purge.verified": "Everything is proved to be gone from the store; the carrier still has its copy.",
    "purge.carrier_deleted": "A copy at the carrier is gone too; the row says that nothing is.",
    "purge.unrecorded": "Everything is gone everywhere; no row is blanked, and the ledger is empty.",
    "purge.half_recorded": "A row is blanked in a transaction that has not come to its ledger entry.",
    "purge.recorded": "Rows are blanked and the ledger is written; the sweep has not reported.",
    "calls.confirmed": "That a brake was lifted is in the access log; no call is blanked.",
    "calls.blanked": "A batch of old calls is blanked; others may be due.",
    "replay.applied": "Some of what a restored database has again is forgotten once more; the rest is in it.",
    "rows.removed": "Rows whose time has come are deleted in a transaction that is not committed.",
    # reconciliation
    "reconcile.begun": "That somebody repairs is in the access log; nothing is compared.",
    "reconcile.entered": "A call that was missed is in the log; others may be missing.",
    "reconcile.hurried": "A call that should be over is to be asked about at once; nobody has been asked.",
    "reconcile.compared": "The log is complete; nothing else is compared.",
    "reconcile.adopted": "A row that awaited a recording is complete; nothing is copied.",
    "reconcile.asked": "A recording that nobody reported is to be asked about; nobody has been asked.",
    "reconcile.carrier_deleted": "A copy that should be gone is gone at the carrier; that is not reported.",
    "reconcile.copied_again": "A recording whose bytes are gone is to be copied again; nothing is copied.",
    "reconcile.wanted_gone": "Bytes of what was refused are due for the sweep; they are there.",
    "reconcile.object_deleted": "Bytes without a row are deleted; nobody has looked whether they are gone.",
    "reconcile.upload_aborted": "An upload that never ended is given up; that is not reported.",
    "holds.placed": "A hold is in force; whoever placed it has not been told.",
    "holds.released": "A hold is released; whoever released it has not been told.",
    "holds.shown": "That somebody reads the holds is in the access log; they have not been shown.",
}
"""Each point with what is done when it is reached, and what is not."""

_WANTED = re.compile(r"([a-z_.]+)(?::([1-9][0-9]{0,5}))?")


class _Armed:
    """Armed points: how many times each may still be reached, counting the last."""

    def __init__(self, left: dict[str, int], markers: Path) -> None:
        self._left, self._markers, self._turn = left, markers, threading.Lock()

    def reached(self, name: str) -> None:
        with self._turn:
            if name not in self._left:
                return
            self._left[name] -= 1
            if self._left[name] == 0 and self._is_first(name):
                os.kill(os.getpid(), signal.SIGKILL)

    def _is_first(self, name: str) -> bool:
        try:
            marker = os.open(self._markers / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        os.write(marker, f"{os.getpid()}\n".encode())
        os.close(marker)
        return True


_armed: _Armed | None = None


def crash_point(name: str) -> None:
    """Die here if ``name`` is armed; costs one comparison if nothing is."""
    if _armed is not None:
        _armed.reached(name)


def parse(wanted: str) -> dict[str, int]:
    """``name`` or ``name:nth``, several with commas: which points, and the how manieth time in one process.

    Raises ValueError naming what is not a point.
    """
    found: dict[str, int] = {}
    for word in wanted.split(","):
        match = _WANTED.fullmatch(word.strip())
        if match is None or match[1] not in POINTS:
            raise ValueError(f"there is no crash point {word.strip()!r}")
        found[match[1]] = int(match[2] or 1)
    return found


def arm(wanted: str | None, markers: Path) -> None:
    """Arm the points of ``wanted`` (see ``parse``) in this process; None or empty disarms all. Whoever dies leaves its
    process id in a file of the point's name in ``markers``; a point with such a file is not deadly any more."""
    global _armed  # noqa: PLW0603 - one process dies as a whole
    if not wanted:
        _armed = None
        return
    markers.mkdir(parents=True, exist_ok=True, mode=0o700)
    _armed = _Armed(parse(wanted), markers)
