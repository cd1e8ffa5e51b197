"""Moving a recording from the carrier to the store: row first, then bytes (R3), verified, then the carrier's copy goes.

1. ``next_copy`` leases a row in state ``copying``; nobody else touches it until the lease runs out.
2. ``copy_recording`` streams the audio into the store, in constant memory and outside of any transaction. Length and
   duration are checked while it passes, before the store completes the object. The lease is renewed beside it.
3. One UPDATE that names state and lease makes it ``stored`` and its carrier copy due for deletion. If it changes no row
   the recording was refused or purged meanwhile, and the bytes are given up.
4. ``next_carrier_deletion`` and ``delete_carrier_copy`` remove the copy at the carrier.

The lease. A sweep that finds it run out may delete the bytes and verify that they are absent, so it must last for as
long as bytes may land: after the last one has passed here, the store may still send four requests (begin, two parts,
complete), each up to 3 tries × (5 s to connect + 20 s to answer) + 3 s between them = 78 s, or 312 s in all, and more
where the line is slow. A lease of that length would keep a recording waiting for five minutes after every crash.
Instead a thread renews a short one until ``put`` has returned: it ends with the process, and so with its bytes.

A crash anywhere leaves a lease that runs out. The next try finds bytes that were already put, compares instead of
putting them again, and so leaves one version. What has expired or is wanted gone is left to the sweep (F5).
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, and_, or_

from callcenter.clock import monotonic_seconds
from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.domain.wav import WavMeter
from callcenter.errors import CallcenterError, CarrierNotFound, ObjectMissing
from callcenter.logs import log
from callcenter.models import Recording
from callcenter.ports import Carrier, RecordingStore, StoredObject
from callcenter.services.copy_claims import (
    LEASE_SECONDS,
    Claim,
    carrier_copy_due,
    changed,
    copyable,
    leased,
    next_carrier_deletion,
    next_copy,
    note_failure,
    owned,
    waiting_since,
)

__all__ = ["Claim", "copy_recording", "delete_carrier_copy", "next_carrier_deletion", "next_copy", "run_once"]

RENEW_SECONDS = 10
DURATION_TOLERANCE_SECONDS = 1.0


class CopyFailed(CallcenterError):
    """The audio is not what was announced; ``code`` says how. The carrier's copy is kept and tried again (F10)."""


class LeaseLost(CallcenterError):
    """The row is not ours any more: refused, expired, purged, or taken over after a stall."""


def run_once(engine: Engine, carrier: Carrier, store: RecordingStore, now: datetime) -> bool:
    """Do the one thing that has waited longest, a copy or a deletion at the carrier; False when nothing is due.

    A failure is on the row (``failure``, ``next_attempt_at``) and in the log; it is not raised.
    """
    with reading(engine) as session:
        copy, deletion = waiting_since(session, copyable(now)), waiting_since(session, carrier_copy_due(now))
    if copy is None and deletion is None:
        return False
    copy_first = deletion is None or (copy is not None and copy <= deletion)
    with transaction(engine) as session:
        claim = (next_copy if copy_first else next_carrier_deletion)(session, now)
    if claim is None:
        return False
    crash_point("copy.claimed")
    if copy_first:
        copy_recording(engine, carrier, store, claim, now)
    else:
        delete_carrier_copy(engine, carrier, claim, now)
    return True


def copy_recording(engine: Engine, carrier: Carrier, store: RecordingStore, claim: Claim, now: datetime) -> bool:
    """Copy, verify and mark stored; True when it is stored. ``now`` is when the work began."""
    started = monotonic_seconds()
    transfer = _Transfer(engine, carrier, store, claim, now, started)
    try:
        stored = transfer.run()
    except LeaseLost:
        return False
    except Exception as error:
        note_failure(engine, claim, _later(now, started), error)
        return False
    crash_point("copy.uploaded")
    at = _later(now, started)
    with transaction(engine) as session:
        is_stored = changed(session, owned(claim).values(**_stored(stored, transfer.channels, at, due_at=now)))
    if is_stored:
        crash_point("copy.stored")
        log("ingest").info("recording_stored", recording_id=claim.recording_id, attempt=claim.attempts)
    else:
        _give_up_bytes(engine, store, claim)
    return is_stored


def delete_carrier_copy(engine: Engine, carrier: Carrier, claim: Claim, now: datetime) -> bool:
    """Delete the recording at the carrier; "not there" is success, anything else is tried again (P33)."""
    started = monotonic_seconds()
    try:
        carrier.delete_recording(claim.carrier_recording_sid)
    except CarrierNotFound:
        pass
    except Exception as error:
        note_failure(engine, claim, _later(now, started), error)
        return False
    crash_point("copy.carrier_deleted")
    with transaction(engine) as session:
        row = session.get_one(Recording, claim.recording_id, with_for_update=True)
        row.carrier_copy_deleted_at, row.carrier_copy_due = _later(now, started), False
        if row.lease_token == claim.lease_token:
            row.attempts, row.lease_until_at, row.failure = 0, None, None
        if row.state == RecordingState.REFUSED and row.stored_at is None:
            row.purge_wanted = True  # a copy may have been under way when it was refused: the sweep makes sure
        if row.state == RecordingState.PURGED:
            row.carrier_recording_sid = None  # a report that came after the purge; nothing of it stays
    crash_point("copy.carrier_noted")
    return True


class _Transfer:
    """One pass of the bytes from the carrier to the store."""

    def __init__(
        self, engine: Engine, carrier: Carrier, store: RecordingStore, claim: Claim, now: datetime, started: float
    ) -> None:
        self._engine, self._carrier, self._store, self._claim = engine, carrier, store, claim
        self._now, self._started = now, started
        self._given_up = False
        self._meter, self._digest = WavMeter(), hashlib.sha256()

    @property
    def channels(self) -> int | None:
        """As the audio itself says."""
        return self._meter.channels

    def run(self) -> StoredObject:
        """The verified object. Raises CopyFailed, LeaseLost, CarrierError or StoreError."""
        with self._lease_kept():
            return self._run()

    def _run(self) -> StoredObject:
        if self._claim.attempts > 1 and (found := self._found()) is not None:
            for _ in self._checked_media():
                pass
            if found.sha256 == self._digest.hexdigest():
                return found
        crash_point("copy.begun")
        stored = self._store.put(self._claim.store_key, self._checked_media())
        if stored.sha256 != self._digest.hexdigest():
            raise CopyFailed("The store holds other bytes than were sent.", code="checksum_mismatch")
        return stored

    def _found(self) -> StoredObject | None:
        """What an earlier try may have put before it could be recorded."""
        try:
            return self._store.stat(self._claim.store_key)
        except ObjectMissing:
            return None

    def _checked_media(self) -> Iterator[bytes]:
        """The carrier's bytes. Ends with an error, and so before the store completes the object, if they are wrong."""
        self._meter, self._digest, size = WavMeter(), hashlib.sha256(), 0
        media = self._carrier.open_media(self._claim.carrier_recording_sid, channels=2)
        for chunk in media.chunks:
            size += len(chunk)
            self._meter.feed(chunk)
            self._digest.update(chunk)
            if self._given_up:
                raise LeaseLost("The recording is not to be copied any more.")
            yield chunk
            crash_point("copy.uploading")
        if size != media.size_bytes:
            raise CopyFailed("The carrier sent fewer or more bytes than it announced.", code="length_mismatch")
        self._check_duration()
        if not self._renewed():
            raise LeaseLost("The recording is not to be copied any more.")

    def _check_duration(self) -> None:
        seconds, announced = self._meter.duration_seconds, self._claim.duration_seconds
        if seconds is None:
            raise CopyFailed("What the carrier sent is not WAV audio.", code="not_wav")
        if announced is not None and abs(seconds - announced) > DURATION_TOLERANCE_SECONDS:
            raise CopyFailed("The audio is shorter or longer than the carrier said.", code="duration_mismatch")

    @contextmanager
    def _lease_kept(self) -> Iterator[None]:
        over = threading.Event()
        keeper = threading.Thread(target=self._keep_lease, args=(over,), name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def _keep_lease(self, over: threading.Event) -> None:
        """Also of a row that is not wanted any more: bytes that are on their way to the store may land all the same."""
        while not over.wait(RENEW_SECONDS):
            try:
                self._given_up = self._given_up or not self._renewed()
                if self._given_up and not self._renewed(wanted=False):
                    return
            except Exception as error:  # the database is away for a moment: the next renewal may succeed
                log("ingest").warning("renewal_failed", recording_id=self._claim.recording_id, exc_info=error)

    def _renewed(self, *, wanted: bool = True) -> bool:
        """Whether the lease was ours to renew and, if asked for, the recording is still to be copied."""
        at = _later(self._now, self._started)
        renewal = leased(self._claim)
        if wanted:
            still = or_(Recording.held, and_(Recording.expires_at > at, ~Recording.purge_wanted))
            renewal = owned(self._claim).where(still)
        with transaction(self._engine, wake=False) as session:
            renewed = changed(session, renewal.values(lease_until_at=at + timedelta(seconds=LEASE_SECONDS)))
        crash_point("copy.renewed")
        return renewed


def _stored(stored: StoredObject, channels: int | None, at: datetime, *, due_at: datetime) -> dict[str, Any]:
    return {
        "state": RecordingState.STORED,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "channels": channels,
        "stored_at": at,
        "carrier_copy_due": True,
        "attempts": 0,
        "next_attempt_at": due_at,
        "lease_until_at": None,
        "lease_token": None,
        "failure": None,
    }


def _give_up_bytes(engine: Engine, store: RecordingStore, claim: Claim) -> None:
    """The bytes are in the store, but the row has moved on while they were put: see that they do not stay.

    Refused: the sweep deletes them. Purged: nothing would ever look at them again, so they are deleted here; where this
    process may not delete, reconciliation finds an object without a row. Otherwise another process copies the same.
    """
    with transaction(engine) as session:
        row = session.get_one(Recording, claim.recording_id, with_for_update=True)
        state = row.state
        if state == RecordingState.REFUSED:
            row.purge_wanted = True
    crash_point("copy.unwanted")
    if state in (RecordingState.PURGING, RecordingState.PURGED):
        answer = store.delete([claim.store_key])[claim.store_key]
        crash_point("copy.withdrawn")
        if isinstance(answer, Exception):
            log("ingest").error("orphan_left", recording_id=claim.recording_id, error=type(answer).__name__)


def _later(now: datetime, started: float) -> datetime:
    return now + timedelta(seconds=monotonic_seconds() - started)
