"""Who is rung for a waiting caller: dispatch, acceptance, missed offers.

The worker calls ``dispatch`` until it answers None; the answered softphone leads to ``accept_offer``.
"""

from datetime import datetime, timedelta

from sqlalchemy import exists, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.domain.calls import (
    JOIN_WITHIN_SECONDS,
    OPEN_OFFER_STATES,
    UNREACHABLE_WITHIN_SECONDS,
    CallState,
    LegRole,
    LegState,
    OfferReason,
    OfferState,
    next_leg_state,
)
from callcenter.domain.commands import CommandKind
from callcenter.domain.recordings import RecordingKind
from callcenter.domain.routing import (
    longest_idle_first,
    reoffer_cutoff,
)
from callcenter.models import Call, CallLeg, Offer, new_id
from callcenter.services import lifecycle, pacing, receptionists, recordings
from callcenter.services.call_rows import legs_of_offer, locked, open_offers
from callcenter.services.commands import changed_one, tell

DISPATCH_WINDOW = 50
"""How many waiting calls one dispatch looks at: whoever is free for the oldest may just have declined them."""
ANSWER_GRACE_SECONDS = 2
"""An answer in the last moment takes this long to reach us; cutting it off would set her on a break unjustly."""
# Written as in the partial index: SQLite uses that only when it sees the same words, not parameters.
_OPEN = text("offers.state IN ('pending', 'ringing')")
CREATE_GRACE_SECONDS = 10
"""How long the carrier may take to create a leg before an offer that never rang is given up."""


class InOtherHands(Exception):
    """Some transaction is at the only call that could be offered; a moment later it can be looked at again."""


def offerable(session: Session, *, now: datetime) -> list[str]:
    """Waiting calls that nobody is being rung for although somebody is free, the oldest first."""
    return list(
        session.scalars(
            select(Call.id)
            .where(
                Call.state == CallState.QUEUED,
                Call.accepted_offer_id.is_(None),
                ~exists().where(Offer.call_id == Call.id, _OPEN),
                receptionists.free_for_clinic(Call.clinic_id, now),
            )
            .order_by(Call.waiting_since_at, Call.id)
            .limit(DISPATCH_WINDOW)
        )
    )


def dispatch(session: Session, *, voice: VoiceSettings, now: datetime) -> Offer | None:
    """Offer the oldest waiting call that somebody can take; None when there is nothing to do. Raises InOtherHands.

    Safe with any number of workers: the call is locked, the receptionist is claimed by a conditional update, and an
    index allows one open offer per call. Whoever came earlier and is in other hands just now keeps their turn: a later
    caller is offered only if there are receptionists for both.
    """
    passed_over = 0
    for call_id in offerable(session, now=now):
        call = _unless_locked(session, call_id)
        if call is None:
            passed_over += 1
            continue
        offer = _offer_call(session, call, keep_free=passed_over, voice=voice, now=now)
        if offer is not None:
            return offer
    if passed_over:
        raise InOtherHands
    return None


def _unless_locked(session: Session, call_id: str) -> Call | None:
    """The call, locked; None when somebody else has it, for whom nobody waits here while others can be offered."""
    return session.scalar(
        select(Call)
        .where(Call.id == call_id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def _offer_call(session: Session, call: Call, *, keep_free: int, voice: VoiceSettings, now: datetime) -> Offer | None:
    if call.state != CallState.QUEUED or call.accepted_offer_id is not None:
        return None
    if open_offers(session, call.id):
        return None
    order = longest_idle_first(
        receptionists.candidates(session, call.clinic_id),
        now,
        preferred_id=call.preferred_receptionist_id,
        excluded_ids=_just_tried(session, call, now),
    )
    for receptionist_id in order if len(order) > keep_free else ():
        offer_id = new_id()
        if _insert_offer(session, call, receptionist_id, offer_id, voice=voice, now=now):
            return session.get(Offer, offer_id)
    return None


def _insert_offer(
    session: Session, call: Call, receptionist_id: str, offer_id: str, *, voice: VoiceSettings, now: datetime
) -> bool:
    try:
        with session.begin_nested():
            ring_at = pacing.reserve(session, "ring", per_second=voice.calls_per_second, now=now)
            session.add(
                Offer(
                    id=offer_id,
                    clinic_id=call.clinic_id,
                    call_id=call.id,
                    receptionist_id=receptionist_id,
                    turn=call.turn,
                    created_at=now,
                    ring_until_at=ring_at + timedelta(seconds=voice.ring_seconds + CREATE_GRACE_SECONDS),
                )
            )
            session.flush()
            if not receptionists.claim(session, receptionist_id, call_id=call.id, offer_id=offer_id):
                raise _TakenElsewhere
            session.add(
                CallLeg(
                    clinic_id=call.clinic_id,
                    call_id=call.id,
                    offer_id=offer_id,
                    turn=call.turn,
                    role=LegRole.RECEPTIONIST,
                    started_at=ring_at,
                )
            )
            delay = (ring_at - now).total_seconds()
            tell(session, CommandKind.RING, call, offer_id, now=now, delay_seconds=max(0.0, delay))
    except (IntegrityError, _TakenElsewhere):
        return False
    return True


class _TakenElsewhere(Exception):
    """Rolls the savepoint back."""


def _just_tried(session: Session, call: Call, now: datetime) -> frozenset[str]:
    return frozenset(
        session.scalars(
            select(Offer.receptionist_id).where(
                Offer.call_id == call.id,
                Offer.ended_at > reoffer_cutoff(now),
                Offer.state.in_((OfferState.DECLINED, OfferState.MISSED, OfferState.FAILED)),
            )
        )
    )


def accept_offer(session: Session, offer_id: str, *, carrier_call_sid: str, now: datetime) -> bool:
    """The softphone was answered, and answering is accepting. One winner: a conditional update, legal from pending
    too, because the callback can come before the create returns. True also when this very leg accepts again."""
    offer = session.get(Offer, offer_id)
    if offer is None:
        return False
    call = locked(session, offer.call_id)
    session.refresh(offer)
    leg = bind_leg(session, offer, carrier_call_sid)
    if offer.state == OfferState.ACCEPTED:
        return call.accepted_offer_id == offer.id and leg is not None
    if call.state != CallState.QUEUED or call.turn != offer.turn or call.accepted_offer_id is not None or leg is None:
        return False
    result = session.execute(
        update(Offer)
        .where(Offer.id == offer_id, Offer.state.in_(OPEN_OFFER_STATES))
        .values(state=OfferState.ACCEPTED, ended_at=now)
        .execution_options(synchronize_session="fetch")
    )
    if not changed_one(result):
        return False
    leg.state = next_leg_state(leg.state, LegState.IN_PROGRESS)
    leg.answered_at = leg.answered_at or now
    call.accepted_offer_id = offer.id
    call.receptionist_id = offer.receptionist_id
    call.check_at = now + timedelta(seconds=lifecycle.CHECK_SOON_SECONDS + JOIN_WITHIN_SECONDS)
    receptionists.start_talking(session, offer.receptionist_id, offer_id=offer.id)
    if recordings.wanted(call) and recordings.live(session, call.id, RecordingKind.CONVERSATION) is None:
        recordings.add_row(session, call, RecordingKind.CONVERSATION, now=now)
    tell(session, CommandKind.CONNECT, call, offer.id, now=now)
    tell(session, CommandKind.CHECK_JOIN, call, offer.id, now=now, delay_seconds=JOIN_WITHIN_SECONDS)
    return True


def bind_leg(session: Session, offer: Offer, carrier_call_sid: str) -> CallLeg | None:
    """The leg of an offer under its carrier SID. A second SID for the same offer is a surplus leg: it is recorded so
    that it is dropped, and None is returned."""
    known = session.scalar(select(CallLeg).where(CallLeg.carrier_call_sid == carrier_call_sid))
    if known is not None:
        return known if known.offer_id == offer.id else None
    for leg in legs_of_offer(session, offer.id):
        if leg.carrier_call_sid is None and leg.ended_at is None:
            leg.carrier_call_sid = carrier_call_sid
            return leg
    surplus = CallLeg(
        clinic_id=offer.clinic_id,
        call_id=offer.call_id,
        offer_id=None,  # nothing that becomes of it says anything about the offer
        turn=offer.turn,
        role=LegRole.RECEPTIONIST,
        carrier_call_sid=carrier_call_sid,
        started_at=offer.created_at,
    )
    session.add(surplus)
    session.flush()
    call = session.get_one(Call, offer.call_id)
    tell(session, CommandKind.DROP_LEG, call, surplus.id, now=offer.created_at)
    return None


def ringing(session: Session, offer: Offer, *, voice: VoiceSettings, now: datetime) -> None:
    """The carrier rings her: the ring time starts now."""
    if offer.state == OfferState.PENDING:
        offer.state = OfferState.RINGING
        offer.ring_until_at = now + timedelta(seconds=voice.ring_seconds + ANSWER_GRACE_SECONDS)


def leg_ended(session: Session, offer: Offer, call: Call, leg: CallLeg, *, now: datetime) -> None:
    """The softphone's leg is over: what that means for the offer. One that ran out meanwhile is judged once more,
    because she may have declined in time and the report of it was late."""
    if _ran_out_after(offer, leg):
        receptionists.undo_break(session, offer.receptionist_id, set_at=offer.ended_at or now, now=now)
    elif offer.state not in OPEN_OFFER_STATES:
        return
    rang_seconds = ((leg.ended_at or now) - leg.started_at).total_seconds()
    if leg.state == LegState.NO_ANSWER and rang_seconds < UNREACHABLE_WITHIN_SECONDS:
        state, reason = OfferState.MISSED, OfferReason.UNREACHABLE
    elif leg.state == LegState.NO_ANSWER:
        state, reason = OfferState.MISSED, OfferReason.NO_ANSWER
    elif leg.state == LegState.FAILED:
        state, reason = OfferState.FAILED, OfferReason.CARRIER_ERROR
    else:
        state, reason = OfferState.DECLINED, OfferReason.REJECTED
    lifecycle.close_offer(session, offer, call, state, reason, now=now)


def _ran_out_after(offer: Offer, leg: CallLeg) -> bool:
    missed = offer.state == OfferState.MISSED and offer.reason == OfferReason.NO_ANSWER
    never_rang = offer.state == OfferState.FAILED and leg.answered_at is None
    if leg.state != LegState.BUSY or not (missed or never_rang) or leg.ended_at is None or offer.ended_at is None:
        return False
    # The carrier's times are whole seconds: only a whole second before is surely before.
    return leg.ended_at + timedelta(seconds=1) <= offer.ended_at


def overdue_offers(session: Session, *, now: datetime) -> list[str]:
    """Offers whose ring time is over."""
    return list(session.scalars(select(Offer.id).where(_OPEN, Offer.ring_until_at <= now).limit(100)))


def expire_offer(session: Session, offer_id: str, *, now: datetime) -> None:
    """No answer within the ring time: missed, on a break, the next one. An offer that never rang is not her fault."""
    offer = session.get(Offer, offer_id)
    if offer is None:
        return
    call = locked(session, offer.call_id)
    session.refresh(offer)
    if offer.ring_until_at > now or offer.state not in OPEN_OFFER_STATES:
        return
    answered = any(leg.answered_at is not None and leg.ended_at is None for leg in legs_of_offer(session, offer.id))
    if answered and now < offer.ring_until_at + timedelta(seconds=CREATE_GRACE_SECONDS):
        return  # her document is on its way, and with it the acceptance
    if offer.state == OfferState.RINGING:
        lifecycle.close_offer(session, offer, call, OfferState.MISSED, OfferReason.NO_ANSWER, now=now)
    else:
        lifecycle.close_offer(session, offer, call, OfferState.FAILED, OfferReason.CARRIER_ERROR, now=now)
