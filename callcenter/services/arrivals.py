"""The rows of new calls, read and inserted in bulk: callers who ring at the same moment share a transaction and its
statements (docs/performance.md). One caller is a bulk of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, and_, bindparam, exists, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from callcenter.domain.calls import LegRole, LegState
from callcenter.domain.events import IncomingCall
from callcenter.domain.opening_hours import is_open
from callcenter.models import Call, Caller, CallLeg, CarrierEvent, Clinic, ClinicNumber, ReplayedCall, new_id
from callcenter.models.base import table_of
from callcenter.services import clinics

NOT_YET_QUEUED_CHECK_SECONDS = 90


@dataclass(frozen=True)
class Route:
    """Whose call it is, as things stand now (F35). ``caller_id`` is set when exactly one caller of the clinic has the
    number; never guessed."""

    clinic_id: str
    clinic_name: str
    greeting: str | None
    closed: bool
    recording_wanted: bool
    call_log_days: int
    caller_id: str | None
    replays_known: bool
    """Whether any call has ever been found to be a replay; mostly none has."""


_CLINIC, _NUMBER, _CALLER = (table_of(model) for model in (Clinic, ClinicNumber, Caller))
_ROUTES = (
    select(
        _NUMBER.c.number,
        _CLINIC.c.id,
        _CLINIC.c.name,
        _CLINIC.c.greeting,
        _CLINIC.c.timezone,
        _CLINIC.c.hours_set_at,
        _CLINIC.c.recording_enabled,
        _CLINIC.c.call_log_days,
        _CALLER.c.number.label("caller_number"),
        _CALLER.c.id.label("caller_id"),
        exists(select(ReplayedCall.sid_hash)).label("replays_known"),
    )
    .join(_CLINIC, _CLINIC.c.id == _NUMBER.c.clinic_id)
    .outerjoin(
        _CALLER,
        and_(_CALLER.c.clinic_id == _CLINIC.c.id, _CALLER.c.number.in_(bindparam("from_numbers", expanding=True))),
    )
    .where(_NUMBER.c.number.in_(bindparam("to_numbers", expanding=True)))
)
"""Tables, not classes, and made once: on this path the library's own time is what counts (docs/performance.md)."""


def routes(session: Session, arrived: Sequence[IncomingCall], *, now: datetime) -> dict[str, Route]:
    """The route of each call by its carrier SID; a call to nobody's number is not in the answer."""
    from_numbers = {call.from_number for call in arrived if call.from_number is not None}
    asked = {"to_numbers": {call.to_number for call in arrived}, "from_numbers": from_numbers}
    rows = session.connection().execute(_ROUTES, {name: list(numbers) for name, numbers in asked.items()}).all()
    closed = {row.id: _is_closed(session, row, now) for row in {row.id: row for row in rows}.values()}
    found = {}
    for call in arrived:
        ours = [row for row in rows if row.number == call.to_number]
        callers = [row.caller_id for row in ours if row.caller_number == call.from_number]
        if ours:
            found[call.carrier_call_sid] = _route(ours[0], closed, callers if call.from_number else [])
    return found


def _route(row: Row[*tuple[Any, ...]], closed: dict[str, bool], callers: list[str]) -> Route:
    return Route(
        clinic_id=row.id,
        clinic_name=row.name,
        greeting=row.greeting,
        closed=closed[row.id],
        recording_wanted=row.recording_enabled,
        call_log_days=row.call_log_days,
        caller_id=callers[0] if len(callers) == 1 else None,
        replays_known=row.replays_known,
    )


def _is_closed(session: Session, clinic: Row[*tuple[Any, ...]], now: datetime) -> bool:
    if clinic.hours_set_at is None:
        return False
    return not is_open(clinics.stated_bands(session, clinic.id), ZoneInfo(clinic.timezone), now)


_INSERT_LEG = insert(table_of(CallLeg))
_INSERTS = {
    name: (
        dialect.insert(table_of(Call)).on_conflict_do_nothing().returning(table_of(Call).c.id),
        dialect.insert(table_of(CarrierEvent)).on_conflict_do_nothing(),
    )
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
"""Of call and event, by the kind of database; rows that are there already are left alone."""


def insert_calls(session: Session, arrivals: Sequence[tuple[IncomingCall, Route]], *, now: datetime) -> dict[str, str]:
    """Insert what is new of the arrivals: call, caller's leg and event. Answers the new calls' ids by carrier SID; the
    others are there already, because the same request came before or is under way at the same moment."""
    if not arrivals:
        return {}
    rows = [_call(call, route, now) for call, route in arrivals]
    rows.sort(key=lambda row: row["carrier_call_sid"])  # one order for everybody: nobody waits in a circle
    database = session.connection()
    calls, events = _INSERTS[database.dialect.name]
    inserted = set(database.scalars(calls, rows))
    new = [row for row in rows if row["id"] in inserted]
    if new:
        database.execute(_INSERT_LEG, [_leg(row, now) for row in new])
        database.execute(events, [_event(row, now) for row in new])
    return {row["carrier_call_sid"]: row["id"] for row in new}


def _call(call: IncomingCall, route: Route, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "clinic_id": route.clinic_id,
        "carrier_call_sid": call.carrier_call_sid,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "caller_id": route.caller_id,
        "clinic_was_closed": route.closed,
        "recording_wanted": route.recording_wanted,
        "started_at": now,
        "check_at": now + timedelta(seconds=NOT_YET_QUEUED_CHECK_SECONDS),
        "expires_at": now + timedelta(days=route.call_log_days),
    }


def _leg(call: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "clinic_id": call["clinic_id"],
        "call_id": call["id"],
        "turn": 1,
        "role": LegRole.CALLER,
        "state": LegState.IN_PROGRESS,
        "carrier_call_sid": call["carrier_call_sid"],
        "started_at": now,
        "answered_at": now,
    }


def _event(call: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "clinic_id": call["clinic_id"],
        "call_id": call["id"],
        "turn": 1,
        "unique_key": f"incoming:{call['carrier_call_sid']}",
        "kind": "incoming",
        "data": {},
        "received_at": now,
    }
