"""Moving a caller on, hanging up, and finding out about calls that have gone silent."""

from datetime import timedelta

from sqlalchemy.orm import Session

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.calls import ENDED_LEG_STATES, CallState, LegRole, LegState
from callcenter.domain.commands import CommandKind
from callcenter.domain.events import LegReport
from callcenter.domain.recordings import RecordingKind
from callcenter.errors import CarrierNotFound
from callcenter.models import Call, Offer
from callcenter.services import carrier_reports, lifecycle, recordings, replays
from callcenter.services.call_rows import legs_of_call, legs_of_offer, locked
from callcenter.services.calls import conference_name
from callcenter.services.commands import tell
from callcenter.worker.job import Job, Later
from callcenter.worker.rings import end_leg, has_asked, look_up, settle_join

PROMPT_SECONDS = 30
"""The longest prompt before a message."""

UNCERTAIN_SECONDS = 5
UNCERTAIN_TRIES = 6
"""A talk of which one side is missing has most likely just ended: the carrier's view of calls lags behind. Half a
minute later the caller counts as left alone."""


def move_on(job: Job) -> Later | None:
    """Make the caller's leg ask for its next step, wherever it is: in the queue or left alone in a conference."""
    with reading(job.engine) as session:
        call = session.get_one(Call, job.call_id)
        waiting = call.state == CallState.QUEUED and call.accepted_offer_id is None
        if not (waiting or call.state == CallState.LEAVING_MESSAGE) or call.carrier_call_sid is None:
            return None
        speaking = recordings.live(session, call.id, RecordingKind.VOICEMAIL) is not None
        if speaking and not _silent(session, job, call):
            return None
        sid, turn = call.carrier_call_sid, call.turn
        queue_sid = call.carrier_queue_sid if call.state == CallState.LEAVING_MESSAGE else None
    try:
        if queue_sid is not None:
            try:
                job.carrier.dequeue(queue_sid, sid, call_id=job.call_id, turn=turn)
                crash_point("move_on.dequeued")
                return None
            except CarrierNotFound:
                pass  # not in the queue: on the way out by the wait document, or left alone elsewhere
        if has_asked(job):
            return None
        job.carrier.ask_next_step(sid, call_id=job.call_id, turn=turn)
        crash_point("move_on.asked")
    except CarrierNotFound:
        _settle(job, look_up(job, sid))
    return None


def hang_up(job: Job) -> Later | None:
    """The receptionist has hung up: end the caller's leg, and with it the conference."""
    with reading(job.engine) as session:
        call = session.get_one(Call, job.call_id)
        sid = call.carrier_call_sid if call.state != CallState.ENDED else None
    if sid is not None:
        try:
            job.carrier.end_call(sid)
            crash_point("hang_up.ended")
        except CarrierNotFound:
            _settle(job, look_up(job, sid))
    return None


def verify_call(job: Job) -> Later | None:
    """A call that has been silent too long: ask the carrier what became of it (F20)."""
    with reading(job.engine) as session:
        call = session.get(Call, job.call_id)
        if call is None or call.state == CallState.ENDED or call.carrier_call_sid is None:
            return None
        sid, state, offer_id = call.carrier_call_sid, call.state, call.accepted_offer_id
    report = look_up(job, sid)
    if report.state in ENDED_LEG_STATES:
        _settle(job, report)
    elif state == CallState.CONNECTED:
        return _verify_talk(job, sid)
    elif offer_id is not None:
        settle_join(job, offer_id)  # too early to tell: CHECK_JOIN looks again
    else:
        _verify_asking(job)
    return None


def _verify_asking(job: Job) -> None:
    """A caller who waits or leaves a message asks now and then. One who has not for too long sits somewhere in silence:
    the leg is sent on once more."""
    now = job.now()
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        if call.state in (CallState.QUEUED, CallState.LEAVING_MESSAGE) and _silent(session, job, call):
            tell(session, CommandKind.MOVE_ON, call, call.id, now=now)
    crash_point("verify.moved_on")


def _silent(session: Session, job: Job, call: Call) -> bool:
    """Whether the caller's leg has not asked for longer than what it was given to do can take."""
    patience = lifecycle.CHECK_MOVED_SECONDS
    if recordings.live(session, call.id, RecordingKind.VOICEMAIL) is not None:
        patience += job.voice.message_max_seconds + PROMPT_SECONDS
    elif call.state != CallState.LEAVING_MESSAGE:
        patience += lifecycle.CHECK_QUEUED_SECONDS
    return call.asked_at is None or job.now() - call.asked_at > timedelta(seconds=patience)


def _settle(job: Job, report: LegReport) -> None:
    """End the call as reported; one that was over before we knew of it is a replay and leaves the log."""
    if report.state not in ENDED_LEG_STATES:
        return
    now = job.now()
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        if replays.never_served(call) and (report.at is None or replays.was_over_before(call, report.at)):
            replays.remove(session, call, now=now)
            return
        carrier_reports.caller_leg_changed(session, call, report, voice=job.voice, now=now)
        # Nobody told us of the end; what was said of the recording was probably lost with it.
        recordings.ask_about_live(session, call, now=now, delay_seconds=recordings.CHECK_AFTER_LOSS_SECONDS)
    crash_point("verify.settled")


def _verify_talk(job: Job, sid: str) -> Later | None:
    """The caller is on the line: is the receptionist still with them?"""
    with reading(job.engine) as session:
        call = session.get_one(Call, job.call_id)
        conference_sid, name, offer_id = call.carrier_conference_sid, conference_name(call), call.accepted_offer_id
        hers = [leg.carrier_call_sid for leg in legs_of_offer(session, offer_id)] if offer_id else []
        hanging_up = call.hang_up_requested_at is not None
    if hanging_up:
        job.carrier.end_call(sid)
        crash_point("verify.hung_up")
        return None
    conference_sid = conference_sid or job.carrier.conference(name)
    inside = {p.carrier_call_sid for p in job.carrier.participants(conference_sid)} if conference_sid else set()
    if offer_id is None or inside - {sid}:
        return None
    left_alone = sid in inside and all(look_up(job, leg).state in ENDED_LEG_STATES for leg in hers if leg)
    if not left_alone and job.attempts < UNCERTAIN_TRIES:
        return Later(UNCERTAIN_SECONDS)
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        offer = session.get_one(Offer, offer_id)
        lifecycle.receptionist_left(session, call, offer, at=job.now(), now=job.now())
    crash_point("verify.left_alone")
    return None


def sweep_legs(job: Job) -> Later | None:
    """After the end: whatever leg or conference is still up is dropped (twilio-voice §18: not left to the carrier), and
    one that the carrier never made is closed."""
    with transaction(job.engine) as session:
        call = session.get(Call, job.call_id, with_for_update=True)
        if call is None:
            return None
        legs = [
            (leg.id, leg.carrier_call_sid)
            for leg in legs_of_call(session, job.call_id)
            if leg.role != LegRole.CALLER and leg.ended_at is None and leg.carrier_call_sid is not None
        ]
        for unmade in legs_of_call(session, job.call_id):
            if unmade.role != LegRole.CALLER and unmade.ended_at is None and unmade.carrier_call_sid is None:
                unmade.state, unmade.ended_at = LegState.CANCELLED, job.now()
        conference_sid = call.carrier_conference_sid
    if not legs:
        return None
    for leg_id, sid in legs:
        end_leg(job, leg_id, sid)
    if conference_sid is not None:
        job.carrier.end_conference(conference_sid)
        crash_point("sweep_legs.ended")
    return None
