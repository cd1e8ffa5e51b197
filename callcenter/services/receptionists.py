"""Receptionists at work: presence, heartbeat, being claimed for a call, wrap-up.

``activity`` and ``current_call_id`` change only by conditional updates, so that nobody ever holds two calls.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, SQLColumnExpression, exists, select, update
from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.db import wake_workers
from callcenter.domain.receptionists import (
    HEARTBEAT_LAPSES_AFTER_SECONDS,
    Activity,
    Presence,
    is_reachable,
)
from callcenter.domain.routing import Candidate
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Assignment, Call, Receptionist, User
from callcenter.services.commands import changed_one

SYSTEM_REASONS = ("missed_offer", "unreachable", "supervisor")


def get(session: Session, user_id: str) -> Receptionist:
    """The working state of a receptionist. Raises NotFound."""
    receptionist = session.get(Receptionist, user_id)
    if receptionist is None:
        raise NotFound("There is no such receptionist.")
    return receptionist


def set_presence(
    session: Session, user_id: str, presence: Presence, reason: str | None, *, now: datetime
) -> Receptionist:
    """Choose a presence. Becoming available starts a new idle time; a call in progress is not touched."""
    receptionist = _locked(session, user_id)
    if reason is not None and len(reason) > 60:
        raise BadInput("A reason may have at most 60 characters.")
    if receptionist.presence != presence:
        receptionist.presence_changed_at = now
        if presence == Presence.AVAILABLE and receptionist.activity == Activity.IDLE:
            receptionist.idle_since_at = now
        wake_workers(session)
    receptionist.presence = presence
    receptionist.presence_reason = reason if presence != Presence.AVAILABLE else None
    return receptionist


def heartbeat(
    session: Session, user_id: str, softphone_session: str | None, *, now: datetime, take_over: bool = False
) -> Receptionist:
    """A sign of life from the softphone. One session at a time: another one is refused while the first is alive,
    unless it takes over (Conflict ``other_session``)."""
    receptionist = _locked(session, user_id)
    present = receptionist.softphone_session
    differs = present is not None and softphone_session is not None and present != softphone_session
    if differs and not take_over and is_reachable(receptionist.heartbeat_at, now):
        raise Conflict("Another softphone session is active; close it or take over.", code="other_session")
    if differs and receptionist.presence_reason == "unreachable":
        # A new softphone has come up where the old one could not be rung: she need not know about it.
        receptionist.presence = Presence.AVAILABLE
        receptionist.presence_reason = None
    if not is_reachable(receptionist.heartbeat_at, now):
        wake_workers(session)
    receptionist.softphone_session = softphone_session or present
    receptionist.heartbeat_at = now
    return receptionist


def candidates(session: Session, clinic_id: str) -> list[Candidate]:
    """Everybody who may serve the clinic, as they are now."""
    rows = session.execute(
        select(
            Receptionist.user_id,
            Receptionist.presence,
            Receptionist.activity,
            Receptionist.heartbeat_at,
            Receptionist.idle_since_at,
        )
        .join(User, User.id == Receptionist.user_id)
        .join(Assignment, Assignment.user_id == User.id)
        .where(Assignment.clinic_id == clinic_id, User.disabled_at.is_(None))
    )
    return [Candidate(*row) for row in rows]


def free_for_clinic(clinic_id: SQLColumnExpression[str], now: datetime) -> ColumnElement[bool]:
    """A condition for queries: somebody who may serve the clinic can be rung right now."""
    alive_since = now - timedelta(seconds=HEARTBEAT_LAPSES_AFTER_SECONDS)
    return exists().where(
        Assignment.clinic_id == clinic_id,
        Assignment.user_id == Receptionist.user_id,
        User.id == Receptionist.user_id,
        User.disabled_at.is_(None),
        Receptionist.presence == Presence.AVAILABLE,
        Receptionist.activity == Activity.IDLE,
        Receptionist.heartbeat_at >= alive_since,
    )


def claim(session: Session, user_id: str, *, call_id: str, offer_id: str) -> bool:
    """Take an idle, available receptionist for an offer; False when somebody was quicker."""
    result = session.execute(
        update(Receptionist)
        .where(
            Receptionist.user_id == user_id,
            Receptionist.presence == Presence.AVAILABLE,
            Receptionist.activity == Activity.IDLE,
            Receptionist.current_call_id.is_(None),
        )
        .values(activity=Activity.RINGING, current_call_id=call_id, current_offer_id=offer_id)
        .execution_options(synchronize_session=False)
    )
    return changed_one(result)


def start_talking(session: Session, user_id: str, *, offer_id: str) -> bool:
    """She has answered: ringing → talking."""
    result = session.execute(
        update(Receptionist)
        .where(Receptionist.user_id == user_id, Receptionist.current_offer_id == offer_id)
        .values(activity=Activity.TALKING)
        .execution_options(synchronize_session=False)
    )
    return changed_one(result)


def release(
    session: Session, user_id: str, *, call_id: str, now: datetime, on_break_because: str | None = None
) -> None:
    """Free her from a call without wrap-up. ``on_break_because`` sets her on break (missed_offer, unreachable).

    Being rung in vain does not cost her place: idle time goes on counting from before.
    """
    values: dict[str, object] = {"activity": Activity.IDLE, "current_call_id": None, "current_offer_id": None}
    if on_break_because is not None:
        values |= {
            "presence": Presence.ON_BREAK,
            "presence_reason": on_break_because,
            "presence_changed_at": now,
        }
    session.execute(
        update(Receptionist)
        .where(Receptionist.user_id == user_id, Receptionist.current_call_id == call_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def undo_break(session: Session, user_id: str, *, set_at: datetime, now: datetime) -> None:
    """Take back the break that was set for her at ``set_at``, unless she has chosen something since."""
    session.execute(
        update(Receptionist)
        .where(
            Receptionist.user_id == user_id,
            Receptionist.presence == Presence.ON_BREAK,
            Receptionist.presence_reason == "missed_offer",
            Receptionist.presence_changed_at == set_at,
        )
        .values(presence=Presence.AVAILABLE, presence_reason=None, presence_changed_at=now)
        .execution_options(synchronize_session=False)
    )


def start_wrap_up(session: Session, user_id: str, *, call_id: str, voice: VoiceSettings, now: datetime) -> None:
    """The talk is over: she has ``wrap_up_seconds`` to file the outcome."""
    session.execute(
        update(Receptionist)
        .where(
            Receptionist.user_id == user_id,
            Receptionist.current_call_id == call_id,
            Receptionist.activity != Activity.WRAPPING_UP,
        )
        .values(
            activity=Activity.WRAPPING_UP,
            wrap_up_ends_at=now + timedelta(seconds=voice.wrap_up_seconds),
            wrap_up_extended=False,
        )
        .execution_options(synchronize_session=False)
    )


def take_for_wrap_up(session: Session, user_id: str, *, call_id: str, voice: VoiceSettings, now: datetime) -> None:
    """Give her the wrap-up of a call that she lost, if nothing else occupies her by now."""
    result = session.execute(
        update(Receptionist)
        .where(
            Receptionist.user_id == user_id,
            Receptionist.activity == Activity.IDLE,
            Receptionist.current_call_id.is_(None),
        )
        .values(current_call_id=call_id)
        .execution_options(synchronize_session=False)
    )
    if changed_one(result):
        start_wrap_up(session, user_id, call_id=call_id, voice=voice, now=now)


def finish_wrap_up(session: Session, user_id: str, *, now: datetime) -> Receptionist:
    """End the wrap-up early. Raises Conflict ``wrong_state`` when there is none."""
    receptionist = _locked_with_call(session, user_id)
    if receptionist.activity != Activity.WRAPPING_UP:
        raise Conflict("There is no wrap-up to finish.", code="wrong_state")
    _end_wrap_up(session, receptionist, now)
    return receptionist


def extend_wrap_up(session: Session, user_id: str, *, voice: VoiceSettings, now: datetime) -> Receptionist:
    """Once per call: another ``wrap_up_seconds``. Raises Conflict ``wrong_state`` otherwise."""
    receptionist = _locked(session, user_id)
    if receptionist.activity != Activity.WRAPPING_UP or receptionist.wrap_up_ends_at is None:
        raise Conflict("There is no wrap-up to extend.", code="wrong_state")
    if receptionist.wrap_up_extended:
        raise Conflict("This wrap-up has been extended once already.", code="wrong_state")
    receptionist.wrap_up_ends_at += timedelta(seconds=voice.wrap_up_seconds)
    receptionist.wrap_up_extended = True
    return receptionist


def finish_wrap_up_of_call(session: Session, call_id: str, *, now: datetime) -> None:
    """Filing an outcome ends the wrap-up of that call, if one is going on (design §4.8)."""
    receptionist = session.scalar(
        select(Receptionist)
        .where(Receptionist.current_call_id == call_id, Receptionist.activity == Activity.WRAPPING_UP)
        .with_for_update()
    )
    if receptionist is not None:
        _end_wrap_up(session, receptionist, now)


def lapsed_wrap_ups(session: Session, *, now: datetime) -> list[str]:
    """Receptionists whose wrap-up time is over."""
    return list(session.scalars(select(Receptionist.user_id).where(Receptionist.wrap_up_ends_at <= now).limit(100)))


def lapse_wrap_up(session: Session, user_id: str, *, now: datetime) -> None:
    """End a wrap-up whose time is over; does nothing when it was extended or finished meanwhile."""
    receptionist = _locked_with_call(session, user_id)
    if receptionist.wrap_up_ends_at is not None and receptionist.wrap_up_ends_at <= now:
        _end_wrap_up(session, receptionist, now)


def _end_wrap_up(session: Session, receptionist: Receptionist, now: datetime) -> None:
    call = session.get(Call, receptionist.current_call_id) if receptionist.current_call_id else None
    if call is not None and call.ended_at is not None and call.wrap_up_seconds is None:
        call.wrap_up_seconds = max(0.0, (now - call.ended_at).total_seconds())
    receptionist.activity = Activity.IDLE
    receptionist.current_call_id = None
    receptionist.current_offer_id = None
    receptionist.wrap_up_ends_at = None
    receptionist.wrap_up_extended = False
    receptionist.idle_since_at = now
    wake_workers(session)


def _locked_with_call(session: Session, user_id: str) -> Receptionist:
    """The receptionist, locked after her call: the order that everybody keeps (see ``call_rows``)."""
    call_id = session.scalar(select(Receptionist.current_call_id).where(Receptionist.user_id == user_id))
    if call_id is not None:
        session.execute(select(Call.id).where(Call.id == call_id).with_for_update())
    receptionist = _locked(session, user_id)
    if receptionist.current_call_id not in (None, call_id):
        raise Conflict("Her call has changed at this moment; try again.", code="conflict")
    return receptionist


def _locked(session: Session, user_id: str) -> Receptionist:
    receptionist = session.scalar(
        select(Receptionist)
        .where(Receptionist.user_id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if receptionist is None:
        raise NotFound("There is no such receptionist.")
    return receptionist
