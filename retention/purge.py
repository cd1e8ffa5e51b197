"""The sweep: everything that has expired is removed everywhere, proved to be gone, and only then forgotten (R4).

For each batch of leased recordings: 1. delete every version in the store · 2. prove by a fresh listing that nothing is
left · 3. delete the carrier's copies · 4. in one transaction blank the row and write the ledger. A failure at any step
leaves the recording due, with a later next attempt; every step may be repeated (R6). Correctness comes from the leases:
any number of sweeps may run at once.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.errors import CallcenterError
from callcenter.logs import log
from callcenter.models import Clinic
from callcenter.ports import Carrier, RecordingStore
from retention import brakes
from retention.due import Claimed, Why, claim, count_due, count_held, forget_waiting
from retention.journal import Journal, JournalTrouble, Kind
from retention.ledger import forget, postpone
from retention.removal import Removed, Remover
from retention.trusted_time import trusted_now

BATCH = 100
Answers = dict[str, Removed | CallcenterError]


@dataclass
class SweepResult:
    """What a sweep found and did, in recordings. ``skipped`` is due and was left: claimed by another sweep, waiting for
    its next attempt, or the sweep was stopped. ``brakes`` says in a sentence each why something was braked."""

    due: int = 0
    deleted: int = 0
    failed: int = 0
    held: int = 0
    skipped: int = 0
    braked: int = 0
    dry_run: bool = False
    brakes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing failed and nothing was braked (R13)."""
        return self.failed == 0 and self.braked == 0

    def as_dict(self) -> dict[str, Any]:
        """For output and heartbeats."""
        return asdict(self)


def sweep(
    engine: Engine,
    store: RecordingStore,
    carrier: Carrier,
    *,
    actor_id: str = "retention",
    confirmed: bool = False,
    dry_run: bool = False,
    at_once: bool = False,
    clock: Callable[[], datetime] | None = None,
    journal: Journal | None = None,
    keep_going: Callable[[], bool] = lambda: True,
    progress: Callable[[SweepResult], None] = lambda _: None,
) -> SweepResult:
    """Purge what is due and answer with the counts.

    ``confirmed`` lifts the brakes for this sweep and is logged under ``actor_id``; ``dry_run`` changes nothing;
    ``at_once`` also tries what waits for a later attempt. ``clock`` is the trusted time (default: the database's).
    ``journal`` is told of each purge before the row is blanked (P16). ``keep_going`` is asked before each batch;
    ``progress`` is told after each. Raises ClocksDiffer.
    """
    run = _Sweep(engine, store, carrier, clock or partial(trusted_now, engine), SweepResult(dry_run=dry_run), journal)
    run.look(confirmed=confirmed, actor_id=actor_id)
    if not dry_run:
        if at_once:
            with transaction(engine, wake=False) as session:
                forget_waiting(session, run.started_at)
            crash_point("sweep.hurried")
        run.purge_all(keep_going, progress)
    result = run.result
    result.skipped = max(0, result.due - result.deleted - result.failed - result.braked)
    log("retention").info("sweep", counts={k: v for k, v in result.as_dict().items() if isinstance(v, int)})
    return result


class _Sweep:
    """One run."""

    def __init__(
        self,
        engine: Engine,
        store: RecordingStore,
        carrier: Carrier,
        clock: Callable[[], datetime],
        result: SweepResult,
        journal: Journal | None,
    ) -> None:
        self.engine, self.store, self.clock, self.result = engine, store, clock, result
        self.remover, self.journal = Remover(engine, store, carrier), journal
        self.started_at = clock()
        self.braked_clinics: set[str] = set()
        self.only_wanted = self.confirmed = False

    def look(self, *, confirmed: bool, actor_id: str) -> None:
        """Count what is due at the start of the sweep, and see whether a brake stops it (R11)."""
        now, uptime = self.started_at, brakes.read_uptime()
        with reading(self.engine) as session:
            expired = count_due(session, Why.EXPIRED, now)
            self.result.due = sum(expired.values()) + sum(count_due(session, Why.WANTED, now).values())
            self.result.held = count_held(session, now)
            jump = brakes.jumped_seconds(session, now, uptime)
            too_much = brakes.braked_clinics(session, now)
        self.confirmed = confirmed
        if jump and expired and not confirmed:
            self._brake_all(expired, jump)
        elif not confirmed:
            self._brake(too_much)
        if self.result.dry_run:
            return
        with transaction(self.engine, wake=False) as session:
            if confirmed:
                brakes.log_lifted(session, list(too_much), actor_id=actor_id, now=now)
            if confirmed or not jump:
                brakes.remember_sweep(session, now, uptime, actor_id)
        crash_point("sweep.looked")

    def _brake_all(self, expired: dict[str, int], jump: float) -> None:
        self.only_wanted = True
        self.result.braked = sum(expired.values())
        self.result.brakes.append(brakes.jump_sentence(jump))
        log("retention").error("sweep_braked", kind="clock_jump", seconds=round(jump))

    def _brake(self, too_much: dict[str, int]) -> None:
        """A clinic that was braked once stays so for the rest of this sweep."""
        for clinic_id in too_much.keys() - self.braked_clinics:
            self.braked_clinics.add(clinic_id)
            self.result.braked += too_much[clinic_id]
            self.result.brakes.append(brakes.count_sentence(clinic_id, too_much[clinic_id], "recordings"))
            log("retention").error("sweep_braked", clinic_id=clinic_id, count=too_much[clinic_id])

    def purge_all(self, keep_going: Callable[[], bool], progress: Callable[[SweepResult], None]) -> None:
        """Batch after batch until nothing is left that may be taken."""
        for why in (Why.WANTED,) if self.only_wanted else (Why.WANTED, Why.EXPIRED):
            while keep_going():
                batch = self._claim(why)
                if not batch:
                    break
                store_works = self._purge(batch, why)
                progress(self.result)
                if not store_works:
                    log("retention").error("sweep_paused", count=len(batch))
                    return

    def _claim(self, why: Why) -> list[Claimed]:
        now = self.clock()
        with transaction(self.engine, wake=False) as session:
            clinics = None if why == Why.WANTED or self.confirmed else self._let_through(session)
            claimed = claim(session, why, due_at=self.started_at, now=now, limit=BATCH, of_clinics=clinics)
        crash_point("sweep.claimed")
        return claimed

    def _let_through(self, session: Session) -> set[str]:
        """Clinics whose expired recordings this batch may take. Judged anew each time, because a shorter policy makes
        rows expire while the sweep is under way; it waits for our lock on the clinic, or we see all it did (R12)."""
        expired = count_due(session, Why.EXPIRED, self.started_at)
        shared = select(Clinic.id).where(Clinic.id.in_(expired)).order_by(Clinic.id).with_for_update(read=True)
        session.execute(shared).all()
        self._brake(brakes.braked_clinics(session, self.started_at))
        return expired.keys() - self.braked_clinics

    def _purge(self, batch: list[Claimed], why: Why) -> bool:
        """One batch through all steps. False when everything failed and the store itself is to blame (F6)."""
        answers = self.remover.remove(batch)
        crash_point("purge.unrecorded")
        now = self.clock()
        answers = self._noted(answers, now)
        with transaction(self.engine, wake=False) as session:
            for one in batch:
                answer = answers[one.recording_id]
                if isinstance(answer, Removed):
                    self.result.deleted += forget(session, one, why, answer, now)
                else:
                    self.result.failed += 1
                    postpone(session, one, answer, now)
        crash_point("purge.recorded")
        all_failed = not any(isinstance(answer, Removed) for answer in answers.values())
        return not (all_failed and self.store.check())

    def _noted(self, answers: Answers, now: datetime) -> Answers:
        """The same answers, once the journal has what is gone; without the journal nothing counts as gone (P16)."""
        gone = [recording_id for recording_id, answer in answers.items() if isinstance(answer, Removed)]
        try:
            if self.journal is not None:
                self.journal.note(Kind.RECORDING, gone, now)
        except JournalTrouble as trouble:
            return answers | dict.fromkeys(gone, trouble)
        return answers
