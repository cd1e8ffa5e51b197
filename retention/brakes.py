"""When recordings or calls are kept and somebody is asked (R11): much too much of one clinic at once, or a clock that
jumped. One confirmation, ``retention sweep --confirm``, lifts both for all of them.

A jump is what the wall clock moved further than real time did. Real time is the machine's time since it was started,
which no setting of the clock changes; so a service that was merely switched off is not taken for a jump (F28). After a
restart of the machine there is nothing to compare with, and the count is the only brake.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from callcenter.domain.recordings import RecordingState
from callcenter.domain.retention import BRAKE_JUMP_SECONDS, brakes
from callcenter.models import AccessEntry, Recording, Switch
from retention.due import Why, count_due, totals

LAST_SWEEP = "retention.last_sweep"


@dataclass(frozen=True)
class Uptime:
    """Seconds since this machine was started, and which start that was."""

    boot: str
    seconds: float


def read_uptime() -> Uptime | None:
    """From the kernel (Linux); None elsewhere."""
    try:
        seconds = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return Uptime(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(), seconds)
    except (OSError, ValueError):
        return None


def jumped_seconds(session: Session, now: datetime, uptime: Uptime | None) -> float:
    """How much further than real time the clock has moved since the last sweep, if that is more than it may; else 0.
    A clock that was put back deletes less, not more, and is no reason to stop."""
    last = session.get(Switch, LAST_SWEEP)
    if last is None or uptime is None or last.value.get("boot") != uptime.boot:
        return 0.0
    by_clock = (now - last.changed_at).total_seconds()
    jump = by_clock - (uptime.seconds - float(last.value["uptime_seconds"]))
    return jump if jump > BRAKE_JUMP_SECONDS else 0.0


def jump_sentence(jump: float) -> str:
    """Why nothing that expired is deleted; ``jump`` in seconds."""
    return f"The clock has jumped {jump / 3600:.1f} h since the last sweep; is it right?"


def count_sentence(clinic_id: str, count: int, what: str) -> str:
    """Why nothing of this clinic is deleted; ``what`` is counted, in the plural."""
    return f"Clinic {clinic_id}: {count} {what} are due at once, more than is deleted unasked."


def remember_sweep(session: Session, now: datetime, uptime: Uptime | None, actor_id: str) -> None:
    """This sweep's time was believed: the next one is compared with it. Two sweeps may be the first at once."""
    value: dict[str, Any] = {"boot": uptime.boot, "uptime_seconds": uptime.seconds} if uptime else {}
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = {"value": value, "changed_at": now, "changed_by": actor_id}
    first = insert(Switch).values(name=LAST_SWEEP, **row)
    session.execute(first.on_conflict_do_update(index_elements=[Switch.name], set_=row))


def braked_clinics(session: Session, now: datetime) -> dict[str, int]:
    """Clinics of which too much has expired at once, with how many. What is being purged already was let through
    before and does not count."""
    under_way = Recording.state == RecordingState.PURGING
    expired = count_due(session, Why.EXPIRED, now)
    if not expired:
        return {}
    begun = count_due(session, Why.EXPIRED, now, only=under_way)
    of_all = totals(session, list(expired))
    new = {clinic_id: count - begun.get(clinic_id, 0) for clinic_id, count in expired.items()}
    return too_much(new, of_all)


def too_much(due: dict[str, int], of_all: dict[str, int]) -> dict[str, int]:
    """Of the counts by clinic those that are too high to be deleted at once; ``of_all`` is what each clinic has, which
    may be nothing any more when another sweep was quicker."""
    return {clinic_id: count for clinic_id, count in due.items() if brakes(count, of_all.get(clinic_id, 0))}


def log_lifted(
    session: Session, clinic_ids: list[str], *, actor_id: str, now: datetime, subject_kind: str = "sweep"
) -> None:
    """Somebody confirmed that it may go on: it stands in the access log, for each clinic it mattered to."""
    subjects: list[str | None] = [*clinic_ids] or [None]
    for clinic_id in subjects:
        session.add(
            AccessEntry(
                clinic_id=clinic_id,
                actor_id=actor_id,
                action="retention.brake_lifted",
                subject_kind=subject_kind,
                subject_id=None,
                at=now,
            )
        )
