"""The carrier's recordings and our rows: what is awaited is taken in, what should be gone goes (R14, P33)."""

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.calls import ENDED_LEG_STATES, CallState
from callcenter.domain.commands import CommandKind
from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.errors import CallcenterError, CarrierNotFound, ObjectMissing
from callcenter.models import Call, Recording
from callcenter.ports import CarrierRecording
from callcenter.services import found_recordings, recordings
from callcenter.services.call_rows import locked
from callcenter.services.commands import is_pending
from callcenter.services.found_recordings import Judged, Standing
from retention.reconcile.report import Kind
from retention.reconcile.work import BATCH, Deletions, Work, batches

ASKED_WITHIN = timedelta(minutes=10)
"""So soon after a call's end the worker has asked about its recordings."""


class OnlyCopy(CallcenterError):
    """The carrier's copy should be gone, but ours is not there: it is the only one, and stays."""

    code = "only_copy"


def compare_copies(work: Work, since: datetime | None) -> None:
    """Compare all recordings that the carrier has (of calls since then; None: all). Raises CarrierError when the list
    breaks off; what was found until then is settled all the same."""
    left = Deletions(work, Kind.CARRIER_COPY_LEFT)
    unexplained = Deletions(work, Kind.RECORDING_UNEXPLAINED, wished=work.wishes.delete_recordings)
    try:
        for batch in batches(work.carrier.recordings_between(since, work.now)):
            if not work.goes_on():
                break
            _compare(work, batch, left, unexplained)
    finally:
        left.finish()
        unexplained.finish()


def _compare(work: Work, listed: list[CarrierRecording], left: Deletions, unexplained: Deletions) -> None:
    with reading(work.engine) as session:
        judged = found_recordings.judge(session, listed, now=work.now)
    work.report.looked_at["carrier_recordings"] += len(listed)
    for one in judged:
        sid = one.found.carrier_recording_sid
        if one.standing == Standing.AWAITED and one.recording_id is not None:
            work.settle(
                Kind.RECORDING_NOT_REPORTED, one.recording_id, partial(adopt, work, one.recording_id, one.found)
            )
        elif one.standing == Standing.LEFT_OVER:
            left.add(one.recording_id or sid, partial(delete_left, work, one.found))
        elif one.standing == Standing.UNEXPLAINED:
            unexplained.add(sid, partial(delete_unexplained, work, one.found))


def adopt(work: Work, recording_id: str, found: CarrierRecording) -> bool:
    """Complete the row; the worker copies the audio as always. True also when its report came meanwhile."""
    with transaction(work.engine) as session:
        found_recordings.adopt(session, recording_id, found, voice=work.voice, now=work.now)
    crash_point("reconcile.adopted")
    return True


def delete_left(work: Work, found: CarrierRecording) -> bool:
    """Delete a copy that should be gone, if it still should, and never the only one."""
    one = _look_again(work, found)
    if one.standing != Standing.LEFT_OVER:
        return False
    with reading(work.engine) as session:
        row = session.get(Recording, one.recording_id) if one.recording_id else None
    if row is not None and row.state == RecordingState.STORED:
        _check_ours(work, row)
    return _delete(work, found)


def delete_unexplained(work: Work, found: CarrierRecording) -> bool:
    """Delete a recording that nothing explains: its call must be over at the carrier too, and no hold may be about."""
    if _look_again(work, found).standing != Standing.UNEXPLAINED:
        return False
    try:
        if work.carrier.call(found.carrier_call_sid).state not in ENDED_LEG_STATES:
            return False
    except CarrierNotFound:
        pass  # the carrier forgets calls before recordings
    with reading(work.engine) as session:
        protected = found_recordings.hold_protects(session, found)
    return not protected and _delete(work, found)


def _look_again(work: Work, found: CarrierRecording) -> Judged:
    with reading(work.engine) as session:
        return found_recordings.judge(session, [found], now=work.now)[0]


def _check_ours(work: Work, row: Recording) -> None:
    try:
        size = work.store.stat(row.store_key).size_bytes
    except ObjectMissing:
        size = None
    if size is None or size != row.size_bytes:
        raise OnlyCopy("The carrier's copy is the only one; it is kept.")


def _delete(work: Work, found: CarrierRecording) -> bool:
    try:
        work.carrier.delete_recording(found.carrier_recording_sid)
        crash_point("reconcile.carrier_deleted")
    except CarrierNotFound:
        return True
    return True


def ask_about_silent(work: Work) -> None:
    """Recordings that are live by our rows although their call has long been over, and about which nobody asks."""
    after = ""
    while work.goes_on():
        with reading(work.engine) as session:
            live = (
                select(Recording.id)
                .join(Call, Call.id == Recording.call_id)
                .where(
                    Recording.state.in_(LIVE_RECORDING_STATES),
                    Recording.id > after,
                    Call.state == CallState.ENDED,
                    Call.ended_at <= work.now - ASKED_WITHIN,
                )
            )
            ids = session.scalars(live.order_by(Recording.id).limit(BATCH)).all()
            silent = [id_ for id_ in ids if not _is_asked(session.get_one(Recording, id_), session)]
        if not ids:
            return
        for id_ in silent:
            work.settle(Kind.RECORDING_WITHOUT_END, id_, partial(ask, work, id_))
        after = ids[-1]


def _is_asked(recording: Recording, session: Session) -> bool:
    call = session.get_one(Call, recording.call_id)
    return is_pending(session, CommandKind.CHECK_RECORDING, call, recording.id)


def ask(work: Work, recording_id: str) -> bool:
    """Let the worker ask the carrier what became of it, once more."""
    with transaction(work.engine) as session:
        recording = session.get_one(Recording, recording_id)
        call = locked(session, recording.call_id)
        if not _is_asked(recording, session):
            recordings.ask_about_live(session, call, now=work.now, delay_seconds=0)
    crash_point("reconcile.asked")
    return True
