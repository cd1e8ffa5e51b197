"""Replayed incoming requests: signatures have no time in them, so a captured request can come again (S5, F21).

A call that the carrier reports as over or unknown before its row was created is a replay: the row is removed with
everything that hangs on it, and its SID stays only as a keyed hash until it expires.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from callcenter.models import Call, CallLeg, CarrierCommand, CarrierEvent, Recording, ReplayedCall, Switch

KEEP_DAYS = 30
KEY_SWITCH = "replay-key"


def seen(session: Session, carrier_call_sid: str, *, now: datetime) -> bool:
    """Whether this SID was found to be a replay before."""
    if session.scalar(select(ReplayedCall.sid_hash).limit(1)) is None:
        return False
    hashed = _sid_hash(session, carrier_call_sid, now=now)
    return (
        session.scalar(
            select(ReplayedCall.sid_hash).where(ReplayedCall.sid_hash == hashed, ReplayedCall.expires_at > now)
        )
        is not None
    )


def remove(session: Session, call: Call, *, now: datetime) -> None:
    """Take a replayed call out of the log; nobody was ever on the line."""
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
