"""Hold and recording: making the carrier match what our rows say."""

from contextlib import suppress

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState
from callcenter.domain.commands import CommandKind
from callcenter.domain.events import RecordingReport, RecordingReportKind
from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.errors import CarrierNotFound, CarrierRefused
from callcenter.models import Call, Recording
from callcenter.ports import CarrierRecording
from callcenter.services import call_actions, lifecycle, recordings
from callcenter.services.call_rows import locked
from callcenter.services.calls import conference_name
from callcenter.services.commands import tell
from callcenter.worker.job import Job, Later

CHECK_RECORDING_EVERY_SECONDS = 30
CHECK_RECORDING_TRIES = 3
"""The carrier finishes a recording within seconds; what it does not show in a minute and a half is not there."""
LOOK_FOR_REFUSED_SECONDS = 2
LOOK_FOR_REFUSED_TRIES = 4


def sync_hold(job: Job) -> Later | None:
    """Hold or unhold the caller as the row says; the carrier's answer confirms it."""
    with reading(job.engine) as session:
        call = session.get_one(Call, job.call_id)
        if call.state != CallState.CONNECTED:
            return None
        wanted, sid, turn = call.hold_wanted, call.carrier_call_sid, call.turn
        conference_sid, name = call.carrier_conference_sid, conference_name(call)
    conference_sid = conference_sid or job.carrier.conference(name)
    if sid is None or conference_sid is None:
        return None
    held = job.carrier.hold(conference_sid, sid, held=wanted, call_id=job.call_id, turn=turn)
    crash_point("hold.answered")
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        if call.state == CallState.CONNECTED and call.turn == turn and call.hold_wanted == wanted:
            call_actions.hold_reported(session, call, held=held, at=job.now(), now=job.now())
    crash_point("hold.noted")
    return None


def hold_failed(job: Job) -> None:
    """The carrier has refused, or has not answered for too long."""
    with transaction(job.engine) as session:
        call_actions.hold_failed(session, locked(session, job.call_id), now=job.now())
    crash_point("hold.failed")


def sync_recording(job: Job) -> Later | None:
    """Pause, resume or, after a refusal, stop the recording as its rows say."""
    with reading(job.engine) as session:
        recording = session.get_one(Recording, job.subject_id)
        state, sid, leg_sid = recording.state, recording.carrier_recording_sid, recording.carrier_call_sid
        pauses = recordings.open_pauses(session, recording.id)
        unconfirmed = any(not pause.confirmed for pause in pauses)
    if leg_sid is None:
        return None
    if state == RecordingState.REFUSED:
        return _stop_refused(job, sid, leg_sid)
    if state not in LIVE_RECORDING_STATES or sid is None:
        return None  # its first report asks for this again
    paused = bool(pauses)
    if paused == (state == RecordingState.PAUSED) and not unconfirmed:
        return None
    answered_paused = job.carrier.pause_recording(leg_sid, sid, paused=paused)
    crash_point("pause.answered")
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        recording = session.get_one(Recording, job.subject_id)
        if recording.state not in LIVE_RECORDING_STATES:
            return None
        recording.state = RecordingState.PAUSED if answered_paused else RecordingState.RECORDING
        if answered_paused and paused:
            recordings.confirm_pauses(session, [pause.id for pause in pauses])
        if bool(recordings.open_pauses(session, recording.id)) != answered_paused:
            tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=job.now(), delay_seconds=1)
    crash_point("pause.noted")
    return None


def _stop_refused(job: Job, sid: str | None, leg_sid: str) -> Later | None:
    if sid is None:
        found = _unclaimed(job, job.carrier.recordings_of(leg_sid))
        if found is None:
            # Its start may be on the way: what was refused must not be found running tomorrow.
            return Later(LOOK_FOR_REFUSED_SECONDS) if job.attempts < LOOK_FOR_REFUSED_TRIES else None
        sid = found.carrier_recording_sid
    with suppress(CarrierNotFound, CarrierRefused):  # over already; what counts is that the copy is deleted
        job.carrier.stop_recording(leg_sid, sid)
    crash_point("refusal.stopped")
    with transaction(job.engine) as session:
        locked(session, job.call_id)
        recording = session.get_one(Recording, job.subject_id)
        recording.carrier_recording_sid = sid
        recording.carrier_copy_due = recording.carrier_copy_deleted_at is None
        recording.next_attempt_at = job.now()
    crash_point("refusal.noted")
    return None


def ensure_recording(job: Job) -> Later | None:
    """No sign of the recording three seconds after the caller joined: look, and start it by REST if there is none."""
    with reading(job.engine) as session:
        recording = session.get_one(Recording, job.subject_id)
        call = session.get_one(Call, job.call_id)
        waiting = recording.state == RecordingState.STARTING and recording.carrier_recording_sid is None
        if not waiting or call.state != CallState.CONNECTED or not recordings.wanted(call):
            return None
        leg_sid = recording.carrier_call_sid
    if leg_sid is None:
        return None
    found = _unclaimed(job, job.carrier.recordings_of(leg_sid))
    sid = found.carrier_recording_sid if found else job.carrier.start_recording(leg_sid, recording_id=job.subject_id)
    crash_point("recording.started")
    report = RecordingReport(
        key=f"ensured:{sid}", kind=RecordingReportKind.IN_PROGRESS, carrier_recording_sid=sid, carrier_call_sid=leg_sid
    )
    _report(job, report)
    return None


def check_recording(job: Job) -> Later | None:
    """The call is over and the last word on its recording is missing: ask for it."""
    with reading(job.engine) as session:
        recording = session.get_one(Recording, job.subject_id)
        if recording.state not in LIVE_RECORDING_STATES:
            return None
        sid, leg_sid = recording.carrier_recording_sid, recording.carrier_call_sid
    found = None
    if sid is not None:
        try:
            found = job.carrier.recording(sid)
        except CarrierNotFound:
            found = None
    elif leg_sid is not None:
        found = _unclaimed(job, job.carrier.recordings_of(leg_sid))
    if found is not None and found.kind in (RecordingReportKind.COMPLETED, RecordingReportKind.ABSENT):
        _report(job, recordings.as_report(found, found.kind))
        return None
    if found is not None or job.attempts < CHECK_RECORDING_TRIES:
        return Later(CHECK_RECORDING_EVERY_SECONDS)
    with transaction(job.engine) as session:
        locked(session, job.call_id)
        recording = session.get_one(Recording, job.subject_id)
        if recording.state in LIVE_RECORDING_STATES:
            recording.state = RecordingState.ABSENT
            recording.failure = recordings.NO_TRACE
            recording.ended_at = job.now()
    crash_point("recording.given_up")
    return None


def _report(job: Job, report: RecordingReport) -> None:
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        recordings.reported(session, session.get_one(Recording, job.subject_id), report, now=job.now())
        lifecycle.settle_outcome(session, call, voice=job.voice)
    crash_point("recording.reported")


def _unclaimed(job: Job, found: list[CarrierRecording]) -> CarrierRecording | None:
    """The recording of the leg that no other row of ours has."""
    with reading(job.engine) as session:
        known = {r.carrier_recording_sid for r in recordings.of_call(session, job.call_id)}
    return next((recording for recording in found if recording.carrier_recording_sid not in known), None)
