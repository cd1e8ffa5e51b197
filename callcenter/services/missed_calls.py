"""Calls that the carrier knows and we missed, because the door was away or had no database: they enter the log with
what can be known (P34, F1, F20). What was forgotten on purpose does not come back: a removed replay, a call whose
personal columns are blanked, or one that would be blanked at once.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.domain.calls import ENDED_LEG_STATES, CallState, LegRole, LegState, OutcomeFacts, decide_outcome
from callcenter.models import Call, CallLeg, Clinic, ClinicNumber, Switch
from callcenter.ports import CarrierCall
from callcenter.services import callers, clinics, replays
from callcenter.services.carrier_events import note_event

SAME_CALL = timedelta(seconds=60)
"""A blanked call has no SID any more: one to the same number that began within this of ours is taken for ours."""
END_NOTED_WITHIN = timedelta(minutes=2)
"""So soon after its end a call is over in our rows too, unless the notification was lost."""


class Standing(StrEnum):
    """How a call of the carrier's list stands to our log."""

    KNOWN = "known"
    LIVE = "live"
    """Not in the log and not over: looked at again when it is."""
    MISSING = "missing"
    NOT_ENDED = "not_ended"
    """Over at the carrier, live in our rows."""
    FORGOTTEN = "forgotten"
    """Was in the log, and is not to come back."""
    NOBODYS = "nobodys"
    """To a number that no clinic has."""
    OWNER_UNKNOWN = "owner_unknown"
    """The number has moved, and whose it was then cannot be told (F35)."""


@dataclass(frozen=True)
class Judged:
    """A listed call and how it stands; ``call_id`` is our row's, ``clinic_id`` whose call a missing one is."""

    found: CarrierCall
    standing: Standing
    call_id: str | None = None
    clinic_id: str | None = None


def judge(session: Session, listed: Collection[CarrierCall], *, now: datetime) -> list[Judged]:
    """How each call of the carrier's list stands to the log. Changes nothing."""
    sids = [found.carrier_call_sid for found in listed]
    ours = select(Call.carrier_call_sid, Call.id, Call.state).where(Call.carrier_call_sid.in_(sids))
    known = {row.carrier_call_sid: row for row in session.execute(ours)}
    numbers = select(ClinicNumber.number, ClinicNumber.clinic_id)
    unknown_to = {found.to for found in listed if found.carrier_call_sid not in known}
    owners: dict[str, str] = dict(session.execute(numbers.where(ClinicNumber.number.in_(unknown_to))).all())
    replayed = _replayed(session, [sid for sid in sids if sid not in known], now=now)
    judged = []
    for found in listed:
        row = known.get(found.carrier_call_sid)
        if found.carrier_call_sid in replayed:
            judged.append(Judged(found, Standing.FORGOTTEN))
        elif row is None:
            judged.append(_judge_unknown(session, found, owners.get(found.to), now=now))
        else:
            late = row.state != CallState.ENDED and _over_since(found, now - END_NOTED_WITHIN)
            judged.append(Judged(found, Standing.NOT_ENDED if late else Standing.KNOWN, call_id=row.id))
    return judged


def _replayed(session: Session, sids: Collection[str], *, now: datetime) -> set[str]:
    """Those that were removed as replays. Without a key for their hashes none was; here nothing may be written."""
    if not sids or session.get(Switch, replays.KEY_SWITCH) is None:
        return set()
    return replays.seen_among(session, sids, now=now)


def _judge_unknown(session: Session, found: CarrierCall, owner_id: str | None, *, now: datetime) -> Judged:
    if owner_id is None:
        return Judged(found, Standing.NOBODYS)
    if found.state not in ENDED_LEG_STATES or found.started_at is None:
        return Judged(found, Standing.LIVE)
    clinic_id = _owner_then(session, found.to, found.started_at, owner_id)
    if clinic_id is None:
        return Judged(found, Standing.OWNER_UNKNOWN)
    clinic = session.get_one(Clinic, clinic_id)
    outlived = found.started_at + timedelta(days=clinic.call_log_days) <= now
    if outlived or _was_blanked(session, found):
        return Judged(found, Standing.FORGOTTEN)
    return Judged(found, Standing.MISSING, clinic_id=clinic_id)


def enter(
    session: Session,
    found: CarrierCall,
    forwarded: Sequence[CarrierCall],
    *,
    voice: VoiceSettings,
    now: datetime,
) -> Call | None:
    """Put a missing call into the log, once; None when it is not missing any more. ``forwarded`` are the legs that the
    carrier dialled for it.

    Nobody of ours served it, so it has failed: also when it was forwarded and answered at the clinic, which its leg
    says. Out of hours it is closed; who hung up at once, before anything could fail, is a short abandon. Who ended it
    is not known.
    """
    judged = judge(session, [found], now=now)[0]
    if judged.standing != Standing.MISSING or judged.clinic_id is None or found.started_at is None:
        return None
    call = _row(session, found, judged.clinic_id, found.started_at, bool(forwarded), voice, now)
    try:
        with session.begin_nested():
            session.add(call)
            session.flush()
            session.add_all(_legs(call, found, forwarded))
            session.flush()
    except IntegrityError:
        return None  # the same call was entered at the same moment, by somebody else or by a request that was late
    data = {"forwarded": len(forwarded)}
    note_event(session, call, 1, f"missed:{found.carrier_call_sid}", "missed", data, None, now)
    return call


def _row(
    session: Session,
    found: CarrierCall,
    clinic_id: str,
    started_at: datetime,
    was_forwarded: bool,
    voice: VoiceSettings,
    now: datetime,
) -> Call:
    clinic = session.get_one(Clinic, clinic_id)
    ended_at = max(found.ended_at or started_at, started_at)
    was_closed = not clinics.clinic_is_open(session, clinic, started_at)
    matched = callers.match_caller(session, clinic.id, found.from_number)
    too_long = ended_at - started_at >= timedelta(seconds=voice.short_abandon_seconds)
    facts = OutcomeFacts(
        connected_at=None,
        queued_at=None,
        ended_at=ended_at,
        message_recorded=False,
        clinic_was_closed=was_closed,
        failed=was_forwarded or too_long or found.state == LegState.FAILED,
    )
    return Call(
        clinic_id=clinic.id,
        carrier_call_sid=found.carrier_call_sid,
        from_number=found.from_number,
        to_number=found.to,
        caller_id=matched[0].id if len(matched) == 1 else None,
        state=CallState.ENDED,
        outcome=decide_outcome(facts, short_abandon_seconds=voice.short_abandon_seconds),
        clinic_was_closed=was_closed,
        recording_wanted=False,
        started_at=started_at,
        ended_at=ended_at,
        check_at=now,
        expires_at=started_at + timedelta(days=clinic.call_log_days),
    )


def _legs(call: Call, found: CarrierCall, forwarded: Iterable[CarrierCall]) -> list[CallLeg]:
    legs = [(LegRole.CALLER, found), *((LegRole.TRANSFER_TARGET, leg) for leg in forwarded)]
    return [
        CallLeg(
            clinic_id=call.clinic_id,
            call_id=call.id,
            turn=1,
            role=role,
            state=leg.state,
            carrier_call_sid=leg.carrier_call_sid,
            started_at=leg.started_at or call.started_at,
            answered_at=leg.started_at if leg.state == LegState.COMPLETED else None,
            ended_at=leg.ended_at or call.ended_at,
        )
        for role, leg in legs
    ]


def _over_since(found: CarrierCall, at: datetime) -> bool:
    return found.state in ENDED_LEG_STATES and found.ended_at is not None and found.ended_at <= at


def _was_blanked(session: Session, found: CarrierCall) -> bool:
    """Whether a call of which nothing personal is left may be this one."""
    assert found.started_at is not None  # noqa: S101 - judged before
    blanked = select(Call.id).where(
        Call.to_number == found.to,
        Call.blanked_at.is_not(None),
        Call.started_at.between(found.started_at - SAME_CALL, found.started_at + SAME_CALL),
    )
    return session.scalar(blanked.limit(1)) is not None


def _owner_then(session: Session, number: str, at: datetime, owner_id: str) -> str | None:
    """Whose number it was at that time (F35); None when that cannot be told. The log is the witness: a number whose
    calls all went to its present owner has never moved; else the calls before and after must agree."""
    moved = select(Call.id).where(Call.to_number == number, Call.clinic_id != owner_id)
    if session.scalar(moved.limit(1)) is None:
        return owner_id
    before = _neighbour(session, number, Call.started_at <= at, Call.started_at.desc())
    after = _neighbour(session, number, Call.started_at > at, Call.started_at.asc()) or owner_id
    return after if before in (after, None) else None


def _neighbour(session: Session, number: str, side: ColumnElement[bool], order: ColumnElement[datetime]) -> str | None:
    nearest = select(Call.clinic_id).where(Call.to_number == number, side).order_by(order).limit(1)
    return session.scalar(nearest)
