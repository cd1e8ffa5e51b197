"""Replayed incoming requests: signatures have no time in them, so a captured request can come again (S5, F21).

A call that the carrier reports as over or unknown before its row was created is a replay: the row is removed with
everything that hangs on it, and its SID stays only as a keyed hash until it expires.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from callcenter.domain.calls import CallState
from callcenter.logs import log
from callcenter.models import Call, CallLeg, CarrierCommand, CarrierEvent, Recording, ReplayedCall, Switch

KEEP_DAYS = 30
KEY_SWITCH = "replay-key"
MARGIN_SECONDS = 5
"""A call that was over this long before its row was created never rang us: the request was a replay."""


def never_served(call: Call) -> bool:
    """Whether so far nothing but the first request has come for this call. Out of hours a caller is sent to the
    message at once, without a queue."""
    greeted_only = call.state in (CallState.RINGING, CallState.LEAVING_MESSAGE) and call.queued_at is None
    return greeted_only and not call.message_recorded


def was_over_before(call: Call, ended_at: datetime) -> bool:
    """Whether a call that ended then was over before we heard of it."""
    return ended_at < call.started_at - timedelta(seconds=MARGIN_SECONDS)


def seen_among(session: Session, carrier_call_sids: Iterable[str], *, now: datetime) -> set[str]:
    """Those of the SIDs that were found to be replays before."""
    hashed = {_sid_hash(session, sid, now=now): sid for sid in carrier_call_sids}
    known = select(ReplayedCall.sid_hash).where(ReplayedCall.sid_hash.in_(hashed), ReplayedCall.expires_at > now)
    return {hashed[one] for one in session.scalars(known)}


def remove(session: Session, call: Call, *, now: datetime) -> None:
    """Take a replayed call out of the log; nobody was ever on the line."""
    log("calls").warning("replay_removed", clinic_id=call.clinic_id)
    if call.carrier_call_sid is not None:
        hashed = _sid_hash(session, call.carrier_call_sid, now=now)
        if session.get(ReplayedCall, hashed) is None:
            session.add(ReplayedCall(sid_hash=hashed, seen_at=now, expires_at=now + timedelta(days=KEEP_DAYS)))
    for table in (CarrierCommand, CarrierEvent, Recording, CallLeg):
        session.execute(delete(table).where(table.call_id == call.id))
    session.delete(call)
    session.flush()


def _sid_hash(session: Session, carrier_call_sid: str, *, now: datetime) -> str:
    """The key is random per installation and lives in the database: a hash alone leads back to nobody."""
    row = session.get(Switch, KEY_SWITCH)
    if row is None:
        row = Switch(name=KEY_SWITCH, value={"key": secrets.token_hex(32)}, changed_at=now, changed_by="system")
        session.add(row)
        session.flush()
    return hmac.new(str(row.value["key"]).encode(), carrier_call_sid.encode(), hashlib.sha256).hexdigest()
