"""Pacing of requests that the carrier limits per second for the whole account, over any number of workers."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.models import Switch


def reserve(session: Session, name: str, *, per_second: float, now: datetime) -> datetime:
    """The next free moment for a request of this kind; it is taken when the transaction commits."""
    key = f"pace:{name}"
    row = session.scalar(
        select(Switch).where(Switch.name == key).with_for_update().execution_options(populate_existing=True)
    )
    if row is None:
        row = Switch(name=key, value={}, changed_at=now, changed_by="system")
        session.add(row)
    free_at = datetime.fromisoformat(str(row.value["free_at"])) if "free_at" in row.value else now
    moment = max(now, min(free_at, now + timedelta(minutes=1)))
    row.value = {"free_at": (moment + timedelta(seconds=1 / per_second)).isoformat()}
    row.changed_at = now
    session.flush()
    return moment
