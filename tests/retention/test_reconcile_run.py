"""Reconciliation as a whole: brakes, the timetable, two at once, stopped half-way (R11, R13, R14, F22, F23)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.errors import StoreUnavailable
from callcenter.models import AccessEntry, JobHeartbeat
from retention import brakes
from retention.brakes import Uptime
from retention.reconcile.work import Wishes
from retention.scheduler import SCHEDULE, Parts, run_job
from retention.trusted_time import ClocksDiffer
from tests.factories import NOW
from tests.retention.reconciling import ALL, DAY, HOUR, Desk, counts
from tests.retention.test_reconcile_objects import key, put, stored

CONFIRMED = Wishes(repair=True, delete_recordings=True, delete_objects=True, confirmed=True)
UNKNOWN_LEG = "CA" + "9" * 32


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def job(name: str) -> Any:
    return next(one for one in SCHEDULE if one.name == name)


def heartbeat(desk: Desk, name: str) -> JobHeartbeat:
    with reading(desk.engine) as session:
        return session.get_one(JobHeartbeat, name)


def parts(desk: Desk) -> Parts:
    return Parts(desk.engine, desk.store, desk.carrier.carrier(), lambda: True)


def test_more_than_fifty_deletions_of_a_kind_stop_and_ask(desk: Desk) -> None:
    for _ in range(51):
        desk.has_recording(UNKNOWN_LEG)
    put(desk, key())
    report = desk.reconcile(ALL)
    assert counts(report) == {"recording_unexplained": (51, 0), "object_without_row": (1, 1)}
    assert (report.braked, len(desk.carrier.media), desk.carrier.deletions) == (51, 51, [])
    assert "51 × recording_unexplained" in report.brakes[0]
    report = desk.reconcile(CONFIRMED, actor_id="command-line")
    assert (counts(report), desk.carrier.media) == ({"recording_unexplained": (51, 51)}, {})


def test_who_repairs_by_hand_or_lifts_the_brakes_stands_in_the_access_log(desk: Desk) -> None:
    desk.reconcile(Wishes(), actor_id="command-line")
    desk.reconcile(ALL)
    desk.reconcile(ALL, actor_id="command-line")
    desk.reconcile(CONFIRMED, actor_id="command-line")
    with reading(desk.engine) as session:
        entries = session.execute(select(AccessEntry.action, AccessEntry.actor_id).order_by(AccessEntry.action)).all()
    assert [tuple(entry) for entry in entries] == [
        ("reconcile.repair", "command-line"),
        ("reconcile.repair", "command-line"),
        ("retention.brake_lifted", "command-line"),
    ]


def test_after_a_jump_of_the_clock_the_log_is_completed_and_nothing_is_deleted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(desk.engine) as session:
        brakes.remember_sweep(session, NOW - DAY, Uptime("boot", 1000.0), "retention")
    monkeypatch.setattr(brakes, "read_uptime", lambda: Uptime("boot", 1060.0))
    desk.rang(desk.clinic())
    desk.has_recording(UNKNOWN_LEG)
    report = desk.reconcile(ALL)
    assert counts(report) == {"call_not_in_log": (1, 1), "recording_unexplained": (1, 0)}
    assert (report.braked, len(desk.carrier.media)) == (1, 1)


def test_while_the_clocks_of_host_and_database_differ_nothing_is_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_now = clock.host_now
    monkeypatch.setattr(clock, "host_now", lambda: true_now() + HOUR)
    with pytest.raises(ClocksDiffer):
        desk.reconcile(ALL, now=None)


def test_recordings_that_are_missing_by_the_dozen_mean_that_the_store_is_the_wrong_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retention.reconcile.objects.BRAKE_COUNT", 4)
    recordings = [stored(desk) for _ in range(7)]
    desk.store.delete([desk.row(one).store_key for one in recordings])
    elsewhere = put(desk, key())
    report = desk.reconcile(ALL)
    assert counts(report) == {"object_missing": (5, 0), "object_without_row": (1, 0)}
    assert "RECORDINGS_URL" in report.brakes[0]
    assert desk.s3.names() == [elsewhere]


def test_ten_at_once_do_everything_once(desk: Desk) -> None:
    clinic = desk.clinic()
    for n in range(10):
        desk.rang(clinic, at=NOW - HOUR - timedelta(minutes=n))
        desk.has_recording(UNKNOWN_LEG)
        put(desk, key())
    with ThreadPoolExecutor(10) as threads:
        reports = list(threads.map(lambda _: desk.reconcile(ALL), range(10)))
    assert (len(desk.log()), desk.carrier.media, desk.s3.names()) == (10, {}, [])
    assert {report.braked for report in reports} == {0}
    assert {report.failed for report in reports} == {0}


def test_a_run_that_is_stopped_says_so_and_the_next_one_does_the_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retention.reconcile.work.batches.__defaults__", (2,))
    clinic = desk.clinic()
    for n in range(6):
        desk.rang(clinic, at=NOW - HOUR - timedelta(minutes=n))
    asked = iter([True, True, True, False])
    report = desk.reconcile(keep_going=lambda: next(asked, False))
    assert (report.complete, len(desk.log())) == (False, 4)
    assert desk.reconcile().complete
    assert len(desk.log()) == 6


def test_a_store_that_is_away_does_not_keep_calls_and_recordings_from_being_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise StoreUnavailable("Away.")

    monkeypatch.setattr(desk.store, "contents", away)
    desk.rang(desk.clinic())
    desk.has_recording(UNKNOWN_LEG)
    report = desk.reconcile(ALL)
    assert counts(report) == {"call_not_in_log": (1, 1), "recording_unexplained": (1, 1)}
    assert dict(report.failures) == {"store_unavailable": 1}


def test_the_quick_job_completes_the_log_within_the_hour(desk: Desk) -> None:
    assert job("reconcile_calls").interval_seconds + job("reconcile_calls").limit_seconds <= 3600
    at = clock.now() - timedelta(minutes=10)
    desk.rang(desk.clinic(), at=at)
    run_job(job("reconcile_calls"), parts(desk))
    beat = heartbeat(desk, "reconcile_calls")
    assert len(desk.log()) == 1
    assert beat.last_success_at is not None
    assert beat.result is not None
    assert beat.result["repaired"] == {"call_not_in_log": 1}
    assert "objects" not in beat.result["looked_at"]


def test_the_daily_job_deletes_nothing_that_is_not_explained_and_is_no_success_while_something_is_left(
    desk: Desk,
) -> None:
    long_ago = clock.now() - 2 * DAY
    desk.has_recording(UNKNOWN_LEG, at=long_ago)
    orphan = put(desk, key(), long_ago)
    run_job(job("reconcile"), parts(desk))
    beat = heartbeat(desk, "reconcile")
    assert (beat.last_success_at, beat.last_failure) == (None, "2 remaining")
    assert (len(desk.carrier.media), desk.s3.names()) == (1, [orphan])


def test_what_goes_wrong_in_a_job_is_no_success(desk: Desk) -> None:
    desk.s3.forbidden = True
    run_job(job("reconcile"), parts(desk))
    beat = heartbeat(desk, "reconcile")
    assert (beat.last_success_at, beat.last_failure) == (None, "2 failed")


def test_no_number_stands_in_report_or_heartbeat(desk: Desk) -> None:
    rang = desk.rang(desk.clinic(), at=clock.now() - HOUR)
    run_job(job("reconcile_calls"), parts(desk))
    told = f"{heartbeat(desk, 'reconcile_calls').result}{desk.reconcile(Wishes()).findings}"
    assert (rang.from_number or "")[1:] not in told
    assert rang.to[1:] not in told


def test_memory_does_not_grow_with_what_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retention.reconcile.report.MOST_LISTED", 10)
    for _ in range(60):
        desk.has_recording(UNKNOWN_LEG)
    report = desk.reconcile(ALL)
    assert (report.found["recording_unexplained"], len(report.findings)) == (60, 10)
