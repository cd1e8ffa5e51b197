"""A recording while the call is live: its row, pauses, refusal, and what the carrier reports of it.

Copying it to the store is ``services/ingest.py``; forgetting it is the top-level ``retention``.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from callcenter.domain.calls import CallState
from callcenter.domain.commands import CommandKind
from callcenter.domain.events import RecordingReport, RecordingReportKind
from callcenter.domain.recordings import LIVE_RECORDING_STATES, PauseReason, RecordingKind, RecordingState
from callcenter.domain.retention import expires_at
from callcenter.errors import Conflict
from callcenter.models import Call, Clinic, Recording, RecordingPause
from callcenter.ports import CarrierRecording
from callcenter.services.call_rows import locked
from callcenter.services.commands import tell

CHECK_AFTER_END_SECONDS = 60
"""A recording whose last callback has not come this long after the call is asked about."""
CHECK_AFTER_LOSS_SECONDS = 5
"""The same where the end of the call itself had to be asked for."""


NO_TRACE = "no_trace_at_carrier"
"""Why a recording is held to be absent although nobody said so; a late report proves it wrong."""


def add_row(session: Session, call: Call, kind: RecordingKind, *, now: datetime) -> Recording:
    """The row before any byte exists (R3), with its expiry (P27) and a random store key."""
    clinic = session.get_one(Clinic, call.clinic_id)
    recording = Recording(
        clinic_id=call.clinic_id,
        call_id=call.id,
        turn=call.turn,
        kind=kind,
        state=RecordingState.STARTING,
        carrier_call_sid=call.carrier_call_sid,
        store_key=secrets.token_hex(24),
        started_at=now,
        retention_days=clinic.retention_days,
        policy_version=clinic.policy_version,
        expires_at=expires_at(now, clinic.retention_days),
        next_attempt_at=now,
    )
    session.add(recording)
    session.flush()
    return recording


def live(session: Session, call_id: str, kind: RecordingKind) -> Recording | None:
    """The recording of the call that is starting, running or paused."""
    return session.scalar(
        select(Recording)
        .where(Recording.call_id == call_id, Recording.kind == kind, Recording.state.in_(LIVE_RECORDING_STATES))
        .order_by(Recording.started_at.desc())
        .limit(1)
    )


def of_call(session: Session, call_id: str) -> list[Recording]:
    """All recordings of a call."""
    return list(session.scalars(select(Recording).where(Recording.call_id == call_id).order_by(Recording.started_at)))


def wanted(call: Call) -> bool:
    """Whether the talk may be recorded: the clinic records, and nobody has refused."""
    return call.recording_wanted and call.recording_refused_at is None


def open_pauses(session: Session, recording_id: str) -> list[RecordingPause]:
    """The pauses that are in force."""
    return list(
        session.scalars(
            select(RecordingPause).where(RecordingPause.recording_id == recording_id, RecordingPause.to_at.is_(None))
        )
    )


def open_pause(session: Session, recording: Recording, reason: PauseReason, *, now: datetime) -> None:
    """Add a reason to pause; a reason that is there already is left alone."""
    if reason in {pause.reason for pause in open_pauses(session, recording.id)}:
        return
    session.add(RecordingPause(clinic_id=recording.clinic_id, recording_id=recording.id, reason=reason, from_at=now))
    session.flush()


def close_pauses(session: Session, recording: Recording, reasons: Iterable[PauseReason], *, now: datetime) -> None:
    """Take reasons away; recording goes on when none is left."""
    wanted_reasons = set(reasons)
    for pause in open_pauses(session, recording.id):
        if pause.reason in wanted_reasons:
            pause.to_at = now
    session.flush()


def request_pause(session: Session, call_id: str, reason: PauseReason, *, now: datetime) -> Call:
    """Ask for silence in the recording. Safe only when the pause's ``confirmed`` says so (P39)."""
    call, recording = _live_talk(session, call_id)
    open_pause(session, recording, reason, now=now)
    tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
    return call


def request_resume(session: Session, call_id: str, reason: PauseReason, *, now: datetime) -> Call:
    """Take the reason back; other reasons keep the recording paused."""
    call, recording = _live_talk(session, call_id)
    close_pauses(session, recording, (reason,), now=now)
    tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
    return call


def refuse(session: Session, call_id: str, by: str, *, now: datetime) -> Call:
    """The caller or the receptionist does not want this call recorded: stop, delete, store nothing (P32).

    ``by`` is ``caller`` or ``receptionist``. Raises Conflict ``wrong_state`` when the call is over.
    """
    call = locked(session, call_id)
    if call.state == CallState.ENDED:
        raise Conflict("The call is over; ask for the recording to be deleted instead.", code="wrong_state")
    if call.recording_refused_at is None:
        call.recording_refused_at = now
        call.recording_refused_by = by
    for recording in of_call(session, call.id):
        if recording.state in (*LIVE_RECORDING_STATES, RecordingState.COPYING):
            recording.state = RecordingState.REFUSED
            recording.ended_at = recording.ended_at or now
            recording.carrier_copy_due = recording.carrier_recording_sid is not None
            tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
        elif recording.state == RecordingState.STORED:
            recording.purge_wanted = True
    return call


def as_report(found: CarrierRecording, kind: RecordingReportKind) -> RecordingReport:
    """What the carrier's answer to a look-up says, in the words of the callback that was missed."""
    return RecordingReport(
        key=f"found:{found.carrier_recording_sid}:{kind}",
        kind=kind,
        carrier_recording_sid=found.carrier_recording_sid,
        carrier_call_sid=found.carrier_call_sid,
        duration_seconds=found.duration_seconds,
        channels=found.channels,
        started_at=found.started_at,
    )


def reported(session: Session, recording: Recording, report: RecordingReport, *, now: datetime) -> None:
    """Bring a recording's row in step with what the carrier says of it; late and repeated reports change nothing."""
    call = session.get_one(Call, recording.call_id)
    if recording.carrier_recording_sid not in (None, report.carrier_recording_sid):
        recording = _surplus(session, recording, call, report.carrier_recording_sid, now=now)
    recording.carrier_recording_sid = report.carrier_recording_sid
    if recording.state == RecordingState.REFUSED:
        if recording.carrier_copy_deleted_at is None:
            recording.carrier_copy_due = True
            tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
        return
    if recording.state == RecordingState.PURGED:
        # The callback came after the end of everything: what the carrier still has goes, and its id with it.
        recording.carrier_copy_due = True
        recording.next_attempt_at = now
        return
    found_after_all = recording.state == RecordingState.ABSENT and recording.failure == NO_TRACE
    if recording.state not in LIVE_RECORDING_STATES and not found_after_all:
        return
    if report.kind == RecordingReportKind.IN_PROGRESS:
        if recording.state == RecordingState.STARTING:
            recording.state = RecordingState.RECORDING
            recording.started_at = _plausible(report.started_at, recording, call, now)
            tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
        return
    _ended(session, recording, call, report, now=now)


def _ended(session: Session, recording: Recording, call: Call, report: RecordingReport, *, now: datetime) -> None:
    recording.started_at = _plausible(report.started_at, recording, call, now)
    recording.failure = None
    recording.channels = report.channels
    recording.duration_seconds = report.duration_seconds
    seconds = report.duration_seconds or 0
    recording.ended_at = max(recording.started_at, min(now, recording.started_at + timedelta(seconds=seconds)))
    if recording.kind == RecordingKind.VOICEMAIL and seconds > 0:
        call.message_recorded = True
    if report.kind == RecordingReportKind.ABSENT:
        recording.state = RecordingState.ABSENT
        return
    recording.state = RecordingState.COPYING
    recording.next_attempt_at = now
    # Set once more at the end: n days from the end of the recording (design §4.10, R10).
    recording.expires_at = expires_at(recording.ended_at, recording.retention_days)
    close_pauses(session, recording, PauseReason, now=now)
    if _card_pause_unconfirmed(session, recording.id):
        recording.purge_wanted = True


def _plausible(started_at: datetime | None, recording: Recording, call: Call, now: datetime) -> datetime:
    """The carrier's start time, kept between the call's start and now: expiry is counted from it (P27, P30)."""
    return min(max(started_at or recording.started_at, call.started_at), now)


def call_ended(session: Session, call: Call, *, now: datetime) -> None:
    """The call is over: a recording whose last callback does not come is asked about, and so is one that was refused
    before it was known by name, because it may have started after all."""
    ask_about_live(session, call, now=now, delay_seconds=CHECK_AFTER_END_SECONDS)
    for recording in of_call(session, call.id):
        if recording.state == RecordingState.REFUSED and recording.carrier_recording_sid is None:
            delay = CHECK_AFTER_LOSS_SECONDS
            tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now, delay_seconds=delay)


def ask_about_live(session: Session, call: Call, *, now: datetime, delay_seconds: float) -> None:
    """Ask the carrier, after a while, about recordings of the call that are live by our rows."""
    for recording in of_call(session, call.id):
        if recording.state in LIVE_RECORDING_STATES:
            tell(session, CommandKind.CHECK_RECORDING, call, recording.id, now=now, delay_seconds=delay_seconds)
        elif recording.state == RecordingState.REFUSED and recording.carrier_copy_deleted_at is None:
            tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now, delay_seconds=delay_seconds)


def confirm_pauses(session: Session, pause_ids: list[str]) -> None:
    """The carrier's answer said paused: the pauses it was asked for are confirmed."""
    session.execute(
        update(RecordingPause)
        .where(RecordingPause.id.in_(pause_ids))
        .values(confirmed=True)
        .execution_options(synchronize_session="fetch")
    )


def _card_pause_unconfirmed(session: Session, recording_id: str) -> bool:
    """A card number may be in the audio: it is deleted as soon as it can be (P39)."""
    found = session.scalar(
        select(RecordingPause.id).where(
            RecordingPause.recording_id == recording_id,
            RecordingPause.reason == PauseReason.CARD,
            RecordingPause.confirmed.is_(False),
        )
    )
    return found is not None


def _surplus(
    session: Session, recording: Recording, call: Call, carrier_recording_sid: str, *, now: datetime
) -> Recording:
    """A second recording under one row comes from a repair that crossed with a late start, or from a document that
    ran twice. It gets a row of its own; of a talk as refused, so that it is deleted at the carrier and never stored."""
    present = session.scalar(select(Recording).where(Recording.carrier_recording_sid == carrier_recording_sid))
    if present is not None:
        return present
    surplus = add_row(session, call, recording.kind, now=now)
    if recording.kind == RecordingKind.VOICEMAIL and recording.state != RecordingState.REFUSED:
        return surplus  # the prompt came twice; either may be the message
    surplus.state = RecordingState.REFUSED
    surplus.failure = "surplus"
    surplus.ended_at = now
    return surplus


def _live_talk(session: Session, call_id: str) -> tuple[Call, Recording]:
    call = locked(session, call_id)
    recording = live(session, call.id, RecordingKind.CONVERSATION) if call.state == CallState.CONNECTED else None
    if recording is None:
        raise Conflict("There is no running recording of this call.", code="wrong_state")
    return call, recording
