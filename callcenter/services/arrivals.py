"""The rows of new calls, inserted in bulk: callers who ring at the same moment share a transaction and its statements
(docs/performance.md). One caller is a bulk of one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Insert, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from callcenter.domain.calls import LegRole, LegState
from callcenter.domain.events import IncomingCall
from callcenter.models import Base, Call, Caller, CallLeg, CarrierEvent, Clinic, ClinicNumber, new_id
from callcenter.services import clinics

NOT_YET_QUEUED_CHECK_SECONDS = 90
Arrival = tuple[IncomingCall, Clinic]


def clinics_by_number(session: Session, numbers: Collection[str]) -> dict[str, Clinic]:
    """Whose numbers these are now (F35); a number that belongs to nobody is not in the answer."""
    owned = select(ClinicNumber.number, Clinic).join(Clinic, ClinicNumber.clinic_id == Clinic.id)
    return dict(session.execute(owned.where(ClinicNumber.number.in_(numbers))).all())


@dataclass(frozen=True)
class NewCall:
    """What was decided about a call when it was inserted."""

    call_id: str
    clinic_was_closed: bool
    recording_wanted: bool


def insert_calls(session: Session, arrivals: Sequence[Arrival], *, now: datetime) -> dict[str, NewCall]:
    """Insert what is new of the arrivals: call, caller's leg and event. Answers these by carrier SID; the others are
    there already, because the same request came before or is under way at the same moment."""
    if not arrivals:
        return {}
    callers = _only_callers(session, arrivals)
    is_open = {clinic.id: clinics.clinic_is_open(session, clinic, now) for _, clinic in arrivals}
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "clinic_id": clinic.id,
            "carrier_call_sid": call.carrier_call_sid,
            "from_number": call.from_number,
            "to_number": call.to_number,
            "caller_id": callers.get((clinic.id, call.from_number or "")),
            "clinic_was_closed": not is_open[clinic.id],
            "recording_wanted": clinic.recording_enabled,
            "started_at": now,
            "check_at": now + timedelta(seconds=NOT_YET_QUEUED_CHECK_SECONDS),
            "expires_at": now + timedelta(days=clinic.call_log_days),
        }
        for call, clinic in sorted(arrivals, key=_sid)  # one order for everybody, so that nobody waits in a circle
    ]
    inserted = set(session.scalars(_insert_new(session, Call).returning(_table(Call).c.id), rows))
    new = [row for row in rows if row["id"] in inserted]
    _insert_parts(session, new, now)
    return {
        row["carrier_call_sid"]: NewCall(row["id"], row["clinic_was_closed"], row["recording_wanted"]) for row in new
    }


def _insert_parts(session: Session, calls: list[dict[str, Any]], now: datetime) -> None:
    if not calls:
        return
    ids = [{"clinic_id": call["clinic_id"], "call_id": call["id"], "turn": 1} for call in calls]
    sids = [call["carrier_call_sid"] for call in calls]
    leg = {"role": LegRole.CALLER, "state": LegState.IN_PROGRESS, "started_at": now, "answered_at": now}
    event = {"kind": "incoming", "data": {}, "received_at": now}
    legs = [{**own, **leg, "carrier_call_sid": sid} for own, sid in zip(ids, sids, strict=True)]
    events = [{**own, **event, "unique_key": f"incoming:{sid}"} for own, sid in zip(ids, sids, strict=True)]
    session.execute(insert(_table(CallLeg)), legs)
    session.execute(_insert_new(session, CarrierEvent), events)


def _only_callers(session: Session, arrivals: Sequence[Arrival]) -> dict[tuple[str, str], str]:
    """The caller of a clinic with a number, where there is exactly one: several are choices, none of them guessed."""
    numbers = {call.from_number for call, _ in arrivals if call.from_number is not None}
    if not numbers:
        return {}
    clinic_ids = {clinic.id for _, clinic in arrivals}
    found = session.execute(
        select(Caller.clinic_id, Caller.number, Caller.id).where(
            Caller.clinic_id.in_(clinic_ids), Caller.number.in_(numbers)
        )
    ).all()
    owners = [(row.clinic_id, row.number) for row in found]
    return {owner: row.id for owner, row in zip(owners, found, strict=True) if owners.count(owner) == 1}


def _sid(arrival: Arrival) -> str:
    return arrival[0].carrier_call_sid


def _insert_new(session: Session, model: type[Base]) -> Insert:
    """An INSERT that leaves rows alone which are there already, on either database."""
    dialect = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return dialect(_table(model)).on_conflict_do_nothing()


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - tells the type checker
    return table
