"""Random calls, periods, holds, clocks and failing parts: never early, never held, never readable after expiry, always
gone within 24 hours once the parts work, one entry in the ledger, brakes respected (P28–P30, R1–R13, I1–I6, I9)."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, select

from callcenter import clock, config
from callcenter.db import reading
from callcenter.domain.recordings import RecordingState
from callcenter.models import LedgerEntry
from tests.campaigns import runs
from tests.databases import SQLiteTemplate
from tests.faults.forgetting import DAY, GONE_WITHIN, Noted, Service
from tests.services.fresh_engine import FreshEngine

BRAKE = 3
STEP = timedelta(minutes=30)
whole = st.one_of(st.none(), st.none(), st.integers(0, 6))
"""Mostly the database holds; else it is gone after so many transactions."""
spans = st.sampled_from([timedelta(seconds=1), STEP, DAY, DAY, 2 * DAY, 6 * DAY, 30 * DAY - STEP, 40 * DAY])
jumps = st.sampled_from([timedelta(hours=-1), timedelta(hours=1), DAY, -DAY, 3653 * DAY])
periods = st.sampled_from([1, 2, 7, 30, 365])


class Forgetting(RuleBasedStateMachine):
    """One service, played until something untrue shows."""

    def __init__(self, engine: Engine, options: config.Settings, told: Counter[str]) -> None:
        super().__init__()
        self.service, self.told = Service(engine, options), told
        self.right_time = self.service.now
        self.turned = False
        for number, clinic_id in enumerate(sorted(self.service.days)):
            self.service.change_policy(clinic_id, 1 + number)
            for seconds in (1, 60):
                self.service.record(clinic_id, seconds)
        self.service.copy()
        self.service.sweep()  # a clock that was wrong before the first sweep of all has nothing to be compared with

    @rule(clinic=st.integers(0, 1), seconds=st.integers(1, 90))
    def a_call_is_recorded(self, clinic: int, seconds: int) -> None:
        if len(self.service.book) < 12 and not self.turned:
            self.service.record(sorted(self.service.days)[clinic], seconds)

    @rule(break_after=whole)
    def the_worker_copies(self, break_after: int | None) -> None:
        self.service.attempt(self.service.copy, break_after=break_after)

    @rule(confirmed=st.booleans(), break_after=whole)
    def a_sweep_runs(self, confirmed: bool, break_after: int | None) -> None:
        service = self.service
        before = {one.recording_id for one in service.book if service.is_somewhere(one)}
        due = Counter(one.clinic_id for one in service.book if self._may_go(one) and not self._is_gone(one))
        begun = {one.recording_id for one in service.book if service.row(one).state == RecordingState.PURGING}
        # One who confirms has looked at the clock.
        confirmed = confirmed and not self.turned
        service.attempt(lambda: service.sweep(confirmed=confirmed), break_after=break_after)
        for one in service.book:
            went = one.recording_id in before and not service.is_somewhere(one)
            assert not went or self._may_go(one), "early or held (P30)"
            wanted = service.row(one).purge_wanted or one.recording_id in begun
            braked = due[one.clinic_id] > BRAKE and not confirmed and not begun
            assert not (went and braked and not wanted), "the brake was not respected (R11)"
            self.told["forgotten"] += went

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        if not self.turned:
            self.service.live(span)

    @rule(jump=jumps)
    @precondition(lambda self: not self.turned)
    def the_clock_is_turned(self, jump: timedelta) -> None:
        self.right_time = self.service.now
        self.service.turn_to(self.service.now + jump)
        self.turned = True

    @rule()
    @precondition(lambda self: self.turned)
    def the_clock_is_set_right(self) -> None:
        self.service.turn_to(self.right_time)
        self.turned = False

    @rule(which=st.integers(0, 11), release=st.booleans())
    def somebody_holds_or_releases(self, which: int, release: bool) -> None:
        if self.service.book and not self.turned:
            one = self.service.book[which % len(self.service.book)]
            (self.service.release if release else self.service.hold)(one)
            if self.service.row(one).held:
                assert self.service.is_somewhere(one), "a hold on nothing (F24)"

    @rule(clinic=st.integers(0, 1), days=periods)
    def a_clinic_changes_its_period(self, clinic: int, days: int) -> None:
        if not self.turned:
            self.service.change_policy(sorted(self.service.days)[clinic], days)

    @rule(what=st.sampled_from(["forbidden", "missing", "lost", "locked", "refused", "carrier", "mend"]))
    def a_part_fails_or_works_again(self, what: str) -> None:
        s3 = self.service.s3
        match what:
            case "forbidden" | "missing":
                setattr(s3, what, True)
            case "lost":
                s3.lost_answers |= {"DeleteObjects", "PutObject"}
            case "locked":
                for version in s3.versions[:2]:
                    version.locked = True
            case "refused":
                s3.refused_names = {one.key: "InternalError" for one in self.service.book[:2]}
            case "carrier":
                self.service.carrier.down = True
            case "mend":
                self.service.mend()

    @invariant()
    def nothing_untrue_can_be_seen(self) -> None:
        with reading(self.service.engine) as session:
            entries = Counter(session.scalars(select(LedgerEntry.recording_id)))
        for one in self.service.book:
            row = self.service.row(one)
            assert entries[one.recording_id] == (row.state == RecordingState.PURGED), "one final entry (I5)"
            if row.state == RecordingState.PURGED:
                assert not self.service.is_somewhere(one), "called gone and there (I2, I6)"
            else:
                assert row.expires_at == one.expires_at, "another expiry than the book's (R10, R12)"
            assert not row.held or self.service.is_somewhere(one), "held and gone (I3)"
            if clock.now() >= one.expires_at and row.state != RecordingState.PURGED:
                self.told["listened after expiry"] += 1
                assert self.service.play(one) != 200, "readable after its expiry (I1, P28)"

    def teardown(self) -> None:
        """With all parts working, everything that is due is gone within a day, and the rest can be heard."""
        service = self.service
        if self.turned:
            self.the_clock_is_set_right()
        service.mend()
        service.copy()
        service.live(3 * DAY)  # nobody sweeps, and nothing expired is heard
        self.nothing_untrue_can_be_seen()
        mended_at = service.now
        while service.now < mended_at + GONE_WITHIN:
            service.live(timedelta(hours=2))
            service.copy()
            self.told["forgotten"] += service.sweep(confirmed=True).deleted
        for one in service.book:
            row = service.row(one)
            if one.expires_at <= mended_at and not row.held:
                assert row.state == RecordingState.PURGED, "still there after a day (P29)"
            elif row.state == RecordingState.STORED and service.now < one.expires_at:
                assert service.play(one) == 200
                self.told["kept and heard"] += 1
        self.nothing_untrue_can_be_seen()
        self.told["runs"] += 1

    def _may_go(self, one: Noted) -> bool:
        return self.right_time_now() >= one.expires_at and not self.service.row(one).held

    def _is_gone(self, one: Noted) -> bool:
        return self.service.row(one).state == RecordingState.PURGED

    def right_time_now(self) -> datetime:
        """What the time really is, whatever the clock says."""
        return self.right_time if self.turned else clock.now()


@pytest.fixture
def machines(sqlite_template: SQLiteTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FreshEngine]:
    """A database for each run, small brakes, and a clock that is right again afterwards."""
    monkeypatch.setattr("callcenter.domain.retention.BRAKE_COUNT", BRAKE)
    yield FreshEngine(sqlite_template, tmp_path)
    clock.set_offset(0)


@pytest.mark.campaign
@pytest.mark.timeout(3000)
def test_nothing_goes_early_or_held_nothing_expired_is_heard_and_all_is_gone_in_a_day(
    machines: FreshEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: Callable[..., None]
) -> None:
    told: Counter[str] = Counter()
    options = config.load({}, directory=tmp_path)

    class OnItsOwnDatabase(Forgetting):
        def __init__(self) -> None:
            self.database = machines()
            monkeypatch.setattr("retention.brakes.read_uptime", lambda: self.service.uptime)
            super().__init__(self.database.__enter__(), options, told)

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                self.database.__exit__(None, None, None)

    few = settings(
        max_examples=runs(5, 250),
        stateful_step_count=runs(15, 40),
        phases=(Phase.generate,) if runs(1, 0) else tuple(Phase),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(OnItsOwnDatabase, settings=few)
    figures(**told)
