"""Finding and locking the rows of one call. Locks are always taken in the order call → offer → receptionist →
recording, so that two transactions never wait for each other."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.domain.calls import OPEN_OFFER_STATES
from callcenter.errors import NotFound
from callcenter.models import Call, CallLeg, Offer


def locked(session: Session, call_id: str) -> Call:
    """The call, locked for this transaction. Raises NotFound."""
    call = session.scalar(
        select(Call).where(Call.id == call_id).with_for_update().execution_options(populate_existing=True)
    )
    if call is None:
        raise NotFound("There is no such call.")
    return call


def locked_by_sid(session: Session, carrier_call_sid: str) -> Call | None:
    """The call whose caller's leg has this SID, locked; None when we do not know it."""
    return session.scalar(
        select(Call)
        .where(Call.carrier_call_sid == carrier_call_sid)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def open_offers(session: Session, call_id: str) -> list[Offer]:
    """Offers of the call that are still ringing or about to."""
    return list(session.scalars(select(Offer).where(Offer.call_id == call_id, Offer.state.in_(OPEN_OFFER_STATES))))


def legs_of_offer(session: Session, offer_id: str) -> list[CallLeg]:
    """The legs that were created for an offer."""
    return list(session.scalars(select(CallLeg).where(CallLeg.offer_id == offer_id)))


def caller_leg(session: Session, call: Call) -> CallLeg | None:
    """The leg of the caller."""
    return session.scalar(select(CallLeg).where(CallLeg.carrier_call_sid == call.carrier_call_sid))


def legs_of_call(session: Session, call_id: str) -> list[CallLeg]:
    """All legs of a call."""
    return list(session.scalars(select(CallLeg).where(CallLeg.call_id == call_id).order_by(CallLeg.started_at)))
