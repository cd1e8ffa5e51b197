"""The event table: what the carrier told us, appended before anything is decided (design §4)."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from callcenter.models import Call, CarrierEvent


def note_event(
    session: Session,
    call: Call,
    turn: int,
    key: str,
    kind: str,
    data: dict[str, Any],
    at: datetime | None,
    now: datetime,
) -> bool:
    """Keep the event; False when this very event has been seen before, which is silence, not an error, and when the
    call's personal columns are blanked: nothing is written into it any more (P35)."""
    if call.blanked_at is not None:
        return False
    if session.scalar(select(CarrierEvent.id).where(CarrierEvent.unique_key == key)) is not None:
        return False
    try:
        with session.begin_nested():
            session.add(
                CarrierEvent(
                    clinic_id=call.clinic_id,
                    call_id=call.id,
                    turn=turn,
                    unique_key=key,
                    kind=kind,
                    data=data,
                    occurred_at=at,
                    received_at=now,
                )
            )
    except IntegrityError:
        return False
    return True
