"""Removing the bytes of a recording: every version in the store, proved gone, then the carrier's copies (R4–R8)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import Engine

from callcenter.crash_points import crash_point
from callcenter.db import reading
from callcenter.errors import CallcenterError, CarrierNotFound, CarrierUnavailable, StoreError
from callcenter.logs import log
from callcenter.ports import Carrier, RecordingStore
from retention.due import Claimed, known_carrier_sids, others_wait_for_sid

NEVER_MADE = "never_made"
VERIFYING_THREADS = 8
CARRIER_TRIES_BEFORE_PAUSE = 5
"""So many failures of the carrier in a row, and this sweep asks it no more (R15)."""
TOO_MANY_REQUESTS = 429
SERVER_ERRORS = 500


class LeftAlone(CarrierUnavailable):
    """The carrier was not asked about this one, because it had failed for others: it has lost nothing, and its turn
    comes before theirs."""


@dataclass(frozen=True)
class Removed:
    """Proof for the ledger: nothing is left in the store, and what became of the carrier's copy.

    ``versions`` counts what the try deleted that came to the end; what earlier tries deleted, before they failed or
    crashed, is not in it. So 0 does not mean that there never was anything.
    """

    versions: int
    carrier_copy: str


class Remover:
    """Removes batches of claimed recordings for one sweep. Everything may be repeated: "not there" is success."""

    def __init__(self, engine: Engine, store: RecordingStore, carrier: Carrier) -> None:
        self._engine, self._store, self._carrier = engine, store, carrier
        self._carrier_failures = 0
        self._asked_to_wait_seconds: float | None = None

    def remove(self, batch: Sequence[Claimed]) -> dict[str, Removed | CallcenterError]:
        """By recording id: the proof, or the error of the step that failed."""
        answers: dict[str, Removed | CallcenterError] = {}
        for one, deleted in zip(batch, self._delete_bytes(batch), strict=True):
            if isinstance(deleted, CallcenterError):
                answers[one.recording_id] = deleted
                continue
            try:
                answers[one.recording_id] = Removed(deleted, self._delete_carrier_copies(one))
            except Exception as error:  # one poisoned recording never blocks the rest (R15)
                answers[one.recording_id] = _named(error)
        return answers

    def _delete_bytes(self, batch: Sequence[Claimed]) -> list[int | CallcenterError]:
        """For each: how many versions were deleted and are proved to be gone, or the error."""
        keys = [one.store_key for one in batch]
        answers: Mapping[str, int | Exception]
        try:
            answers = self._store.delete(keys)
        except Exception as error:
            answers = dict.fromkeys(keys, error)
        crash_point("purge.unverified")
        with ThreadPoolExecutor(VERIFYING_THREADS) as threads:
            left = list(threads.map(self._versions_left, keys))
        crash_point("purge.verified")
        return [_verdict(answers.get(key, 0), remaining) for key, remaining in zip(keys, left, strict=True)]

    def _versions_left(self, key: str) -> int | Exception:
        try:
            return self._store.versions(key)
        except Exception as error:
            return error

    def _delete_carrier_copies(self, one: Claimed) -> str:
        """Delete what the carrier holds of it; says for the ledger what was found there."""
        if self._carrier_failures >= CARRIER_TRIES_BEFORE_PAUSE:
            seconds = self._asked_to_wait_seconds
            raise LeftAlone("The carrier failed too often in this sweep.", retry_after_seconds=seconds)
        before = one.carrier_copy_deleted_at is not None
        own = [one.carrier_recording_sid] if one.carrier_recording_sid and not before else []
        try:
            found = [self._delete_at_carrier(sid) for sid in [*own, *self._surplus(one)]]
        except CarrierUnavailable as error:
            self._note_failure(error)
            raise
        self._carrier_failures = 0
        if any(found):
            return "deleted"
        return "deleted_before" if before else "not_there" if found else NEVER_MADE

    def _note_failure(self, error: CarrierUnavailable) -> None:
        """What is about this recording alone, such as "not finished yet", says nothing about the carrier; "too many"
        is about all of them, and about how soon the next may be asked (F11)."""
        if error.status == TOO_MANY_REQUESTS:
            self._carrier_failures = CARRIER_TRIES_BEFORE_PAUSE
            self._asked_to_wait_seconds = error.retry_after_seconds
        elif error.status is None or error.status >= SERVER_ERRORS:
            self._carrier_failures += 1

    def _surplus(self, one: Claimed) -> list[str]:
        """Recordings of its leg that no row has: its own, if its callback never came, and surplus copies whose callback
        was lost. While another row of the call still waits for its callback they may be that one's, whose time has not
        come (P30): they go with it."""
        if one.carrier_call_sid is None:
            return []
        try:
            there = self._carrier.recordings_of(one.carrier_call_sid)  # before our rows: a row comes first (R3)
        except CarrierNotFound:
            return []
        with reading(self._engine) as session:
            known, others_wait = known_carrier_sids(session, one.call_id), others_wait_for_sid(session, one)
        unknown = [copy.carrier_recording_sid for copy in there if copy.carrier_recording_sid not in known]
        if unknown and others_wait and one.carrier_recording_sid is None:
            raise CallcenterError("It cannot be told yet which copy at the carrier is its own.", code="copy_not_known")
        return [] if others_wait else unknown

    def _delete_at_carrier(self, sid: str) -> bool:
        try:
            self._carrier.delete_recording(sid)
            crash_point("purge.carrier_deleted")
        except CarrierNotFound:
            return False
        return True


def _verdict(answer: int | Exception, left: int | Exception) -> int | CallcenterError:
    if isinstance(answer, Exception):
        return _named(answer)
    if isinstance(left, Exception):
        return _named(left)
    return StoreError("The store still holds it.", code="still_there") if left else answer


def _named(error: Exception) -> CallcenterError:
    if isinstance(error, CallcenterError):
        return error
    log("retention").error("purge_failed", exc_info=error)
    return CallcenterError("Something unexpected went wrong; see the log.", code="unexpected")
