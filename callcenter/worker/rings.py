"""Ringing receptionists and bringing the caller to whoever answered."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.calls import (
    ENDED_LEG_STATES,
    JOIN_WITHIN_SECONDS,
    OPEN_OFFER_STATES,
    CallState,
    LegState,
    OfferReason,
    OfferState,
)
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.domain.events import LegReport
from callcenter.errors import CarrierNotFound, CarrierUnavailable
from callcenter.models import Call, CallLeg, CarrierCommand, Offer, User
from callcenter.ports import CarrierCall
from callcenter.services import carrier_reports, lifecycle, queueing
from callcenter.services.call_rows import legs_of_offer, locked
from callcenter.services.calls import conference_name
from callcenter.services.commands import tell
from callcenter.worker.job import Job, Later

DEQUEUE_TRIES = 2
"""One look and one retry, then the caller goes back to the front of the queue (design §4.5)."""
LOOK_BACK_SECONDS = 5


def ring(job: Job) -> Later | None:
    """Ring the softphone of a pending offer. A create whose answer was lost is looked up before it is repeated."""
    with transaction(job.engine, wake=False) as session:
        offer = session.get_one(Offer, job.subject_id)
        call = session.get_one(Call, offer.call_id)
        legs = legs_of_offer(session, offer.id)
        if offer.state != OfferState.PENDING or any(leg.carrier_call_sid for leg in legs):
            return None
        for unbound in legs:
            unbound.started_at = job.now()  # how long she was really rung tells "unreachable" from "missed"
        identity = session.get_one(User, offer.receptionist_id).identity
        from_number, turn, created_at = call.to_number, offer.turn, offer.created_at
    crash_point("ring.prepared")
    sid = None
    if job.attempts > 1:
        sid = _created_before(job, job.carrier.rings_since(identity, created_at - timedelta(seconds=LOOK_BACK_SECONDS)))
    asked_at = job.now()
    if sid is None:
        sid = job.carrier.ring(
            identity=identity,
            from_number=from_number,
            call_id=job.call_id,
            turn=turn,
            offer_id=job.subject_id,
            ring_seconds=job.voice.ring_seconds,
        )
        crash_point("ring.created")
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        offer = session.get_one(Offer, job.subject_id)
        leg = queueing.bind_leg(session, offer, sid)
        if leg is not None and leg.state == LegState.INITIATED:
            leg.started_at = asked_at  # from here on it could ring
        if leg is not None and leg.ended_at is None and offer.state not in (*OPEN_OFFER_STATES, OfferState.ACCEPTED):
            tell(session, CommandKind.DROP_LEG, call, leg.id, now=job.now())
    crash_point("ring.bound")
    return None


def _created_before(job: Job, rings: list[CarrierCall]) -> str | None:
    """A live leg of this offer that no row of ours has: the address says whose it is, where the carrier keeps that."""
    sids = [
        ring.carrier_call_sid
        for ring in rings
        if ring.state not in ENDED_LEG_STATES and ("offer=" not in ring.to or job.subject_id in ring.to)
    ]
    with reading(job.engine) as session:
        known = set(session.scalars(select(CallLeg.carrier_call_sid).where(CallLeg.carrier_call_sid.in_(sids))))
    return next((sid for sid in sids if sid not in known), None)


def give_up(job: Job) -> None:
    """She cannot be rung: the next one. Not her fault."""
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        offer = session.get_one(Offer, job.subject_id)
        if offer.state in OPEN_OFFER_STATES:
            lifecycle.close_offer(session, offer, call, OfferState.FAILED, OfferReason.CARRIER_ERROR, now=job.now())
    crash_point("ring.given_up")


def drop_leg(job: Job) -> Later | None:
    """End a leg that should not be up: cancelled while it rings, hung up when it was answered meanwhile."""
    with reading(job.engine) as session:
        leg = session.get_one(CallLeg, job.subject_id)
        sid = leg.carrier_call_sid if leg.ended_at is None else None
    if sid is None:
        return None
    end_leg(job, job.subject_id, sid)
    return None


def end_leg(job: Job, leg_id: str, sid: str) -> None:
    """End a softphone's leg and note what became of it: it may have been over before, in a way that says more."""
    with suppress(CarrierNotFound):  # over already
        job.carrier.end_call(sid)
    crash_point("leg.dropped")
    report = look_up(job, sid)
    now = job.now()
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        leg = session.get_one(CallLeg, leg_id)
        if report.state not in ENDED_LEG_STATES:  # the carrier's view may lag behind what it has just been told
            report = replace(report, state=LegState.COMPLETED if leg.answered_at else LegState.CANCELLED, at=now)
        if leg.offer_id is None:  # a surplus leg: nothing hangs on it
            leg.state, leg.ended_at = report.state, report.at or now
            return
        offer = session.get_one(Offer, leg.offer_id)
        carrier_reports.leg_changed(session, call, offer, leg, report, voice=job.voice, now=now)
    crash_point("leg.noted")


def connect(job: Job) -> Later | None:
    """Take the caller out of the queue; the leg then asks for its next step and joins the conference."""
    with reading(job.engine) as session:
        call = session.get_one(Call, job.call_id)
        if call.state != CallState.QUEUED or call.accepted_offer_id != job.subject_id:
            return None
        sid, queue_sid, turn = call.carrier_call_sid, call.carrier_queue_sid, call.turn
    if sid is None:
        return None
    try:
        if not (queue_sid and _dequeued(job, queue_sid, sid, turn)):
            _send_on(job, sid, turn)
    except CarrierUnavailable:
        if job.attempts < DEQUEUE_TRIES:
            raise
        _back_to_front(job, job.subject_id)
    return None


def _dequeued(job: Job, queue_sid: str, sid: str, turn: int) -> bool:
    try:
        job.carrier.dequeue(queue_sid, sid, call_id=job.call_id, turn=turn)
    except CarrierNotFound:
        return False
    crash_point("connect.dequeued")
    return True


def _send_on(job: Job, sid: str, turn: int) -> None:
    """Not in the queue: gone, on the way back from a lost softphone, or dequeued by an attempt that did not hear the
    answer. The leg itself tells; one that has asked since we began knows its way."""
    report = look_up(job, sid)
    if report.state in ENDED_LEG_STATES:
        caller_is_gone(job, report)
        return
    if not has_asked(job):
        job.carrier.ask_next_step(sid, call_id=job.call_id, turn=turn)
        crash_point("connect.sent_on")


def has_asked(job: Job) -> bool:
    """Whether the caller's leg has asked for a step since this command was told."""
    with reading(job.engine) as session:
        call = session.get(Call, job.call_id)
        return call is not None and call.asked_at is not None and call.asked_at > job.told_at


def look_up(job: Job, sid: str) -> LegReport:
    """What the carrier knows of a leg; unknown means over."""
    try:
        found = job.carrier.call(sid)
    except CarrierNotFound:
        return LegReport(key=f"lookup:{sid}", carrier_call_sid=sid, state=LegState.FAILED)
    return LegReport(key=f"lookup:{sid}", carrier_call_sid=sid, state=found.state, at=found.ended_at)


def caller_is_gone(job: Job, report: LegReport) -> None:
    """The caller's leg is over: end the call, withdraw what was accepted for it."""
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        carrier_reports.caller_leg_changed(session, call, report, voice=job.voice, now=job.now())
    crash_point("connect.caller_gone")


def _back_to_front(job: Job, offer_id: str) -> bool:
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        connecting = call.state == CallState.QUEUED and call.accepted_offer_id == offer_id
        if connecting:
            lifecycle.back_to_queue(session, call, at=job.now(), now=job.now(), prefer=None)
    crash_point("connect.back_in_queue")
    return connecting


def check_join(job: Job) -> Later | None:
    """JOIN_WITHIN_SECONDS after the caller was sent to the conference they must be there."""
    return settle_join(job, job.subject_id)


def settle_join(job: Job, offer_id: str) -> Later | None:
    """Find out what became of a caller on the way to the receptionist who accepted. If the join event was lost it is
    made up for; if the caller is gone the call is over; if the receptionist is gone, or the caller still elsewhere
    after JOIN_WITHIN_SECONDS, the call is offered again. Later when it is too early to tell."""
    with reading(job.engine) as session:
        call = session.get_one(Call, job.call_id)
        if call.state != CallState.QUEUED or call.accepted_offer_id != offer_id or call.carrier_call_sid is None:
            return None
        sid, conference_sid, name = call.carrier_call_sid, call.carrier_conference_sid, conference_name(call)
        overdue = _is_overdue(session, job.call_id, offer_id, job.now())
        hers = [leg.carrier_call_sid for leg in legs_of_offer(session, offer_id) if leg.carrier_call_sid]
    alone = overdue or all(look_up(job, leg).state in ENDED_LEG_STATES for leg in hers)
    conference_sid = conference_sid or job.carrier.conference(name)
    inside = {who.carrier_call_sid for who in job.carrier.participants(conference_sid)} if conference_sid else set()
    if sid in inside:
        _has_joined(job, offer_id, conference_sid, lost=alone and inside == {sid})
        return None
    report = look_up(job, sid)
    if report.state in ENDED_LEG_STATES:
        caller_is_gone(job, report)
    elif not alone:
        return Later(1)
    elif not _back_to_front(job, offer_id):
        return None  # has just arrived
    if conference_sid is not None:
        job.carrier.end_conference(conference_sid)
        crash_point("join.ended")
    return None


def _is_overdue(session: Session, call_id: str, offer_id: str, now: datetime) -> bool:
    """Counted from the dequeue: a worker that was away has sent the caller only now."""
    connecting = session.scalar(
        select(CarrierCommand).where(
            CarrierCommand.call_id == call_id,
            CarrierCommand.kind == CommandKind.CONNECT,
            CarrierCommand.subject_id == offer_id,
        )
    )
    if connecting is None or connecting.state == CommandState.FAILED:
        return True
    return connecting.finished_at is not None and now >= connecting.finished_at + timedelta(seconds=JOIN_WITHIN_SECONDS)


def _has_joined(job: Job, offer_id: str, conference_sid: str | None, *, lost: bool) -> None:
    now = job.now()
    with transaction(job.engine) as session:
        call = locked(session, job.call_id)
        if call.accepted_offer_id != offer_id:
            return
        call.carrier_conference_sid = conference_sid
        lifecycle.caller_joined(session, call, at=now, now=now)
        if lost:
            lifecycle.receptionist_left(session, call, session.get_one(Offer, offer_id), at=now, now=now)
    crash_point("join.found")
