"""The store and our rows: bytes without a row, rows without their bytes, uploads that never ended (R14, P14).

Both are walked in the order of the keys: each stretch of the listing is compared with the rows of the same stretch.
What looks missing is asked for by its key, so that a database which sorts otherwise costs requests and nothing else.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from sqlalchemy import select

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.events import RecordingReportKind
from callcenter.domain.recordings import RecordingState
from callcenter.domain.retention import BRAKE_COUNT
from callcenter.errors import CarrierNotFound, ObjectMissing, StoreError
from callcenter.models import Recording
from callcenter.ports import StoreItem, UnfinishedUpload
from callcenter.services import found_recordings
from retention.reconcile.report import Kind
from retention.reconcile.work import BATCH, Deletions, Work, batches

YOUNG = timedelta(hours=24)
"""What is younger may be on its way (R14)."""
SETTLED_AFTER = timedelta(hours=1)
"""So soon after its row has changed the bytes of a recording have followed."""
_OUR_KEYS = re.compile(r"(?:recordings/)?[0-9a-f]{32,64}")
_NOT_WANTED = (RecordingState.REFUSED, RecordingState.ABSENT)


@dataclass(frozen=True)
class Lying:
    """All that lies under one key; ``size_bytes`` is what a read gets, None if nothing."""

    key: str
    size_bytes: int | None
    newest_at: datetime


def compare_objects(work: Work) -> None:
    """Compare everything in the store with our rows, and every stored row with the store. Raises StoreError when the
    listing breaks off; what was found until then is settled all the same."""
    without_row = Deletions(work, Kind.OBJECT_WITHOUT_ROW, wished=work.wishes.delete_objects)
    of_purged = Deletions(work, Kind.OBJECT_OF_PURGED)
    after = ""
    try:
        for batch in batches(_by_key(work.store.contents())):
            if not work.goes_on():
                return
            _compare(work, batch, without_row, of_purged)
            _look_for_missing(work, after, batch[-1].key, {lying.key for lying in batch})
            after = batch[-1].key
        _look_for_missing(work, after, None, ())
    finally:
        without_row.finish()
        of_purged.finish()


def _by_key(items: Iterator[StoreItem]) -> Iterator[Lying]:
    for key, versions in groupby(items, key=lambda item: item.key):
        size, newest_at = None, None
        for item in versions:
            newest_at = max(newest_at or item.at, item.at)
            size = item.size_bytes if item.current and not item.marker else size
        if newest_at is not None:
            yield Lying(key, size, newest_at)


def _compare(work: Work, batch: list[Lying], without_row: Deletions, of_purged: Deletions) -> None:
    work.report.looked_at["objects"] += len(batch)
    with reading(work.engine) as session:
        keys = [lying.key for lying in batch]
        rows = {row.store_key: row for row in session.scalars(select(Recording).where(Recording.store_key.in_(keys)))}
    for lying in batch:
        row = rows.get(lying.key)
        if row is None:
            if lying.newest_at <= work.now - YOUNG:
                without_row.add(shown(lying.key), partial(delete_object, work, lying.key))
        elif row.state == RecordingState.PURGED:
            if row.purged_at is not None and row.purged_at <= work.now - SETTLED_AFTER:
                of_purged.add(row.id, partial(delete_object, work, lying.key))
        elif row.state in _NOT_WANTED and not row.purge_wanted and not row.held:
            if lying.newest_at <= work.now - SETTLED_AFTER:
                work.settle(Kind.OBJECT_NOT_WANTED, row.id, partial(want_gone, work, row.id))
        elif row.state == RecordingState.STORED and lying.size_bytes != row.size_bytes:
            _settle_wrong(work, row.id, lying.key)


def _look_for_missing(work: Work, after: str, upto: str | None, present: Collection[str]) -> None:
    """Stored rows whose keys lie between two keys of the listing, and were not listed."""
    while work.doubt is None:
        with reading(work.engine) as session:
            query = select(Recording.id, Recording.store_key).where(
                Recording.state == RecordingState.STORED, Recording.store_key > after
            )
            if upto is not None:
                query = query.where(Recording.store_key <= upto)
            rows = session.execute(query.order_by(Recording.store_key).limit(BATCH)).all()
        work.report.looked_at["stored_rows"] += len(rows)
        for row in rows:
            if row.store_key not in present and work.doubt is None:
                _settle_wrong(work, row.id, row.store_key)
        if len(rows) < BATCH:
            return
        after = rows[-1].store_key


def _settle_wrong(work: Work, recording_id: str, key: str) -> None:
    """A stored row seems to be without its bytes: ask the store by the key, then the row whether it still says so."""
    size = _size(work, key)
    with reading(work.engine) as session:
        row = session.get_one(Recording, recording_id)
    if row.state != RecordingState.STORED or size == row.size_bytes:
        return
    kind = Kind.OBJECT_MISSING if size is None else Kind.OBJECT_DIFFERS
    work.settle(kind, recording_id, partial(copy_again, work, recording_id, row.carrier_recording_sid))
    if work.report.found[Kind.OBJECT_MISSING] > BRAKE_COUNT and not work.wishes.confirmed:
        work.doubt = "Recordings are missing in the store by the dozen, is RECORDINGS_URL right?"
        work.report.braked += 1
        work.report.brakes.append(work.doubt)


def _size(work: Work, key: str) -> int | None:
    try:
        return work.store.stat(key).size_bytes
    except ObjectMissing:
        return None


def copy_again(work: Work, recording_id: str, carrier_recording_sid: str | None) -> bool:
    """Back to copying, if the carrier still has it; False leaves the finding to somebody who looks for a backup."""
    if carrier_recording_sid is None:
        return False
    try:
        if work.carrier.recording(carrier_recording_sid).kind != RecordingReportKind.COMPLETED:
            return False
    except CarrierNotFound:
        return False
    with transaction(work.engine) as session:
        again = found_recordings.copy_again(session, recording_id, now=work.now)
    crash_point("reconcile.copied_again")
    return again


def want_gone(work: Work, recording_id: str) -> bool:
    """Let the sweep delete bytes of what was refused, unless a hold was placed meanwhile."""
    with transaction(work.engine) as session:
        row = session.get_one(Recording, recording_id, with_for_update=True)
        wanted = row.state in _NOT_WANTED and not row.held
        row.purge_wanted = row.purge_wanted or wanted
    crash_point("reconcile.wanted_gone")
    return wanted


def delete_object(work: Work, key: str) -> bool:
    """Delete all that lies under a key without a living row, and prove that it is gone."""
    with reading(work.engine) as session:
        state = session.scalar(select(Recording.state).where(Recording.store_key == key))
    if state not in (None, RecordingState.PURGED):
        return False
    answer = work.store.delete([key])[key]
    crash_point("reconcile.object_deleted")
    if isinstance(answer, Exception):
        raise answer
    if work.store.versions(key):
        raise StoreError("The store still holds it.", code="still_there")
    return True


def compare_uploads(work: Work) -> None:
    """Uploads that were begun a day ago and never completed are given up. Raises StoreError."""
    unfinished = Deletions(work, Kind.UPLOAD_UNFINISHED)
    try:
        for batch in batches(work.store.unfinished_uploads()):
            if not work.goes_on():
                return
            work.report.looked_at["uploads"] += len(batch)
            for upload in batch:
                if upload.begun_at <= work.now - YOUNG:
                    unfinished.add(shown(upload.key), partial(abort, work, upload))
    finally:
        unfinished.finish()


def abort(work: Work, upload: UnfinishedUpload) -> bool:
    """Give up one upload."""
    work.store.abort_upload(upload)
    crash_point("reconcile.upload_aborted")
    return True


def shown(key: str) -> str:
    """A key as it may be printed: ours are random; what others have put there may say anything (R16)."""
    return key if _OUR_KEYS.fullmatch(key) else f"foreign-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
