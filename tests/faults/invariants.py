"""What must be true whenever everything has come to rest, whoever was killed before: I1 to I9.

``broken(evidence)`` is all there is to call. It looks at the rows, at what the store and the carrier really hold, at
what the web gives away, and at everything that was written down.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, inspect, or_, select
from sqlalchemy.orm import Session

from callcenter.db import reading
from callcenter.domain.calls import CallState, OfferState
from callcenter.domain.commands import CommandState
from callcenter.domain.recordings import LIVE_RECORDING_STATES, RecordingState
from callcenter.domain.retention import is_audible, is_due
from callcenter.models import Call, CarrierCommand, LedgerEntry, Offer, Recording
from callcenter.services.copy_claims import carrier_copy_due, copyable


@dataclass
class Evidence:
    """What the judge looks at.

    ``stored`` is what the store holds by key, with versions and unfinished uploads; ``at_carrier`` the SIDs of what is
    there; ``calls`` the SIDs of the calls that came in there (None: no calls were made); ``listen`` fetches the audio
    of a recording, for somebody of its clinic or for a stranger, and answers None when refused. ``kept`` and
    ``wanted_gone`` are ids of recordings that were held, or to be deleted early; ``canaries`` are numbers and names
    that may stand nowhere in ``texts``; ``told_deleted`` is how many recordings sweeps have said they deleted.
    """

    engine: Engine
    now: datetime
    stored: Counter[str]
    at_carrier: Collection[str]
    calls: Collection[str] | None = None
    listen: Callable[[str, bool], bytes | None] | None = None
    kept: Collection[str] = ()
    wanted_gone: Collection[str] = ()
    canaries: Collection[str] = ()
    texts: Collection[Path] = ()
    told_deleted: int = 0
    bytes_of: Mapping[str, str] = field(default_factory=dict)


def broken(evidence: Evidence) -> list[str]:
    """Which invariants do not hold, in a sentence each; none if all is well."""
    with reading(evidence.engine) as session:
        recordings = list(session.scalars(select(Recording)))
        ledger = list(session.scalars(select(LedgerEntry)))
        checks = (
            _nobody_hears(evidence, recordings),
            _rows_and_objects(evidence, recordings),
            _held_and_early(evidence, recordings, ledger),
            _ledger(evidence, recordings, ledger),
            _nothing_claimed_that_is_not(evidence, recordings),
            _calls_once(evidence, session),
            _no_canary(evidence, ledger),
            _at_rest(evidence, session, recordings),
        )
        return [sentence for check in checks for sentence in check]


def _nobody_hears(evidence: Evidence, recordings: list[Recording]) -> Iterator[str]:
    if evidence.listen is None:
        return
    for row in recordings:
        audible = is_audible(row.state, row.expires_at, evidence.now, purge_wanted=row.purge_wanted)
        heard = evidence.listen(row.id, False)
        if heard is not None and not audible:
            yield f"I1 {row.id} ({row.state}) can be heard and must not"
        if audible and (heard is None or hashlib.sha256(heard).hexdigest() != row.sha256):
            yield f"I1 {row.id} is stored and cannot be heard as it is"
        if evidence.listen(row.id, True) is not None:
            yield f"I1 {row.id} can be heard by a stranger"


def _rows_and_objects(evidence: Evidence, recordings: list[Recording]) -> Iterator[str]:
    expected = {row.store_key for row in recordings if row.state != RecordingState.PURGED}
    for key in evidence.stored.keys() - expected:
        yield f"I2 the store holds {evidence.stored[key]} of {key}, which no row that is not purged has"
    for row in recordings:
        if row.state == RecordingState.STORED and not evidence.stored[row.store_key]:
            yield f"I2 {row.id} says stored, and the store holds nothing of it"


def _held_and_early(evidence: Evidence, recordings: list[Recording], ledger: list[LedgerEntry]) -> Iterator[str]:
    for row in recordings:
        gone = row.state in (RecordingState.PURGING, RecordingState.PURGED)
        if row.id in evidence.kept and (gone or not evidence.stored[row.store_key]):
            yield f"I3 {row.id} was held and is {row.state}"
        if row.purged_at and row.purged_at < row.expires_at and row.id not in evidence.wanted_gone:
            yield f"I4 {row.id} was deleted before its expiry"
    expiries = {row.id: row.expires_at for row in recordings}
    for entry in ledger:
        if entry.reason == "expired" and entry.purged_at < expiries[entry.recording_id]:
            yield f"I4 the ledger says that {entry.recording_id} had expired, and it had not"


def _ledger(evidence: Evidence, recordings: list[Recording], ledger: list[LedgerEntry]) -> Iterator[str]:
    entries = Counter(entry.recording_id for entry in ledger)
    purged = Counter(row.id for row in recordings if row.state == RecordingState.PURGED)
    if entries != purged:
        yield f"I5 ledger and purged rows differ: {entries - purged} without row, {purged - entries} without entry"
    if evidence.told_deleted > len(ledger):
        yield f"I6 sweeps told of {evidence.told_deleted} deletions, the ledger knows {len(ledger)}"


def _nothing_claimed_that_is_not(evidence: Evidence, recordings: list[Recording]) -> Iterator[str]:
    for row in recordings:
        done = row.carrier_copy_deleted_at is not None or row.state == RecordingState.PURGED
        if done and row.carrier_recording_sid in evidence.at_carrier:
            yield f"I6 the carrier still has the copy of {row.id} that we say is deleted"
        if row.state == RecordingState.STORED and evidence.bytes_of.get(row.id, row.sha256) != row.sha256:
            yield f"I6 {row.id} says stored with other bytes than the carrier sent"


def _calls_once(evidence: Evidence, session: Session) -> Iterator[str]:
    if evidence.calls is None:
        return
    ours = Counter(sid for sid in session.scalars(select(Call.carrier_call_sid)) if sid is not None)
    theirs = Counter(evidence.calls)
    if ours != theirs:
        yield f"I7 the log and the carrier's list differ: {ours - theirs} only here, {theirs - ours} only there"
    accepted = Counter(session.scalars(select(Offer.call_id).where(Offer.state == OfferState.ACCEPTED)))
    for call_id, count in accepted.items():
        turns = session.get_one(Call, call_id).turn
        if count > turns:
            yield f"I7 call {call_id} was accepted {count} times in {turns} turns"


def _no_canary(evidence: Evidence, ledger: list[LedgerEntry]) -> Iterator[str]:
    columns = [column.key for column in inspect(LedgerEntry).columns]
    told = " ".join(str(getattr(entry, name)) for entry in ledger for name in columns)
    texts = {"the ledger": told} | {file.name: file.read_text(errors="replace") for file in evidence.texts}
    for where, text in texts.items():
        for canary in evidence.canaries:
            if canary in text:
                yield f"I8 {where} holds {canary!r}"


def _at_rest(evidence: Evidence, session: Session, recordings: list[Recording]) -> Iterator[str]:
    for row in recordings:
        due = is_due(row.state, row.expires_at, evidence.now, held=row.held, purge_wanted=row.purge_wanted)
        if due or row.state in LIVE_RECORDING_STATES:
            yield f"I9 {row.id} is {row.state} for good"
        if row.lease_until_at is not None and row.lease_until_at > evidence.now:
            yield f"I9 {row.id} is still leased"
    left = or_(copyable(evidence.now), carrier_copy_due(evidence.now))
    for recording_id in session.scalars(select(Recording.id).where(left)):
        yield f"I9 {recording_id} is not copied, or its copy at the carrier not deleted"
    for call_id in session.scalars(select(Call.id).where(Call.state != CallState.ENDED)):
        yield f"I9 call {call_id} never ended"
    overdue = select(CarrierCommand).where(
        CarrierCommand.state == CommandState.PENDING, CarrierCommand.next_attempt_at <= evidence.now
    )
    for command in session.scalars(overdue):
        yield f"I9 the command {command.kind} of call {command.call_id} is still to be carried out"
