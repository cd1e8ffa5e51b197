"""After a restore: what was forgotten since the backup is forgotten again, from the journal (P16).

A recording becomes due at once, and is hidden from this moment on; the next sweep removes and proves as ever, and no
brake stops it. A call is blanked here. All of it may run twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from callcenter import homes
from callcenter.crash_points import crash_point
from callcenter.db import transaction
from callcenter.domain.recordings import RecordingState
from callcenter.logs import log
from callcenter.models import Call, LegalHold, Recording
from retention.call_log import blank
from retention.journal import Journal, Kind, Line

BATCH = 500
ACTOR = "replay-ledger"


@dataclass
class Replayed:
    """What was in the restored database again."""

    recordings: int = 0
    calls: int = 0


def replay(engine: Engine, journals: Iterable[Journal], *, now: datetime) -> Replayed:
    """Forget again all that the journals name; then the database is at home here. Raises JournalTrouble."""
    result = Replayed()
    for journal in journals:
        lines = journal.lines()
        while batch := list(islice(lines, BATCH)):
            with transaction(engine, wake=False) as session:
                result.recordings += _make_due(session, [line for line in batch if line.kind == Kind.RECORDING], now)
                result.calls += _blank(session, [line.id for line in batch if line.kind == Kind.CALL], now)
            crash_point("replay.applied")
    homes.claim(engine, anew=True)
    log("retention").info("replayed", counts={"recordings": result.recordings, "calls": result.calls})
    return result


def _make_due(session: Session, lines: Sequence[Line], now: datetime) -> int:
    """A hold that is still in force in the backup was released before the purge."""
    forgotten_at = {line.id: line.at for line in lines}
    query = select(Recording).where(Recording.id.in_(forgotten_at), Recording.state != RecordingState.PURGED)
    rows = session.scalars(query.with_for_update()).all()
    for row in rows:
        row.expires_at = min(row.expires_at, forgotten_at[row.id])
        row.purge_wanted, row.held, row.next_attempt_at = True, False, now
    open_holds = update(LegalHold).where(
        LegalHold.recording_id.in_([row.id for row in rows]), LegalHold.released_at.is_(None)
    )
    session.execute(open_holds.values(released_at=now, released_by=ACTOR, release_reason="Purged before the restore."))
    return len(rows)


def _blank(session: Session, ids: Sequence[str], now: datetime) -> int:
    query = select(Call.id).where(Call.id.in_(ids), Call.blanked_at.is_(None))
    found = session.scalars(query.with_for_update()).all()
    blank(session, found, now)
    return len(found)
