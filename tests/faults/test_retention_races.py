"""Sweeps, holds, changes of policy and copies at the same moment, on both databases (F23–F25, R5, R12)."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter.db import SERVER_OPTIONS, create_engine_for, transaction
from callcenter.domain.recordings import RecordingState
from callcenter.errors import Conflict
from callcenter.services import retention_requests
from callcenter.services.ingest import run_once
from retention.purge import sweep
from tests.campaigns import runs
from tests.factories import NOW
from tests.fakes import wav
from tests.faults.strict_bucket import SharedS3
from tests.retention.world import World
from tests.services.ingest_desk import Desk

DAY = timedelta(days=1)


@pytest.fixture
def world(engine: Engine) -> World:
    """A database of each kind with a bucket that many may use at once."""
    return World(engine, s3=SharedS3())


def together(*acts: Callable[[], Any]) -> None:
    """All at once, each on a thread of its own; the first error is raised."""
    start, errors = threading.Barrier(len(acts)), list[BaseException]()

    def run(act: Callable[[], Any]) -> None:
        start.wait(60)
        try:
            act()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.campaign
def test_ten_sweeps_at_once_do_each_recording_once(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch, figures: Callable[..., None]
) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 4)
    # Ten of them share one interpreter here; a machine of their own would not keep them from a statement for so long.
    monkeypatch.setitem(SERVER_OPTIONS, "idle_in_transaction_session_timeout", "60s")
    rounds = runs(1, 25)
    for _ in range(rounds):
        clinic = world.clinic()
        before = len(world.ledger())
        ids = [world.recording(clinic) for _ in range(30)]
        asked = len(world.carrier.deletions)
        engines = [create_engine_for(database_url, pool_size=2) for _ in range(10)]
        deleted: list[int] = []
        together(*[partial(_sweep, world, engine, deleted) for engine in engines])
        for engine in engines:
            engine.dispose()
        assert sum(deleted) == 30
        assert {world.states()[one] for one in ids} == {RecordingState.PURGED}
        assert len(world.ledger()) == before + 30
        assert max(Counter(world.carrier.deletions[asked:]).values()) == 1
    figures(rounds=rounds, sweeps_at_once=10, recordings=30 * rounds, entries=len(world.ledger()))


def test_a_sweep_that_was_paused_for_longer_than_its_lease_changes_nothing_when_it_goes_on(world: World) -> None:
    recording_id = world.recording(versions=2)
    bucket = world.s3
    assert isinstance(bucket, SharedS3)
    bucket.hold_up = True
    results: dict[str, Any] = {}
    paused = threading.Thread(target=lambda: results.update(paused=world.sweep(clock=lambda: NOW)))
    paused.start()
    assert bucket.held_up.wait(60)
    world.now += timedelta(minutes=2)
    results["other"] = world.sweep()
    assert (results["other"].deleted, len(world.ledger())) == (1, 1)
    bucket.go_on.set()
    paused.join(60)
    assert (results["paused"].deleted, len(world.ledger())) == (0, 1)
    row = world.row(recording_id)
    assert (row.state, row.next_attempt_at <= world.now, world.s3.names()) == (RecordingState.PURGED, True, [])


@pytest.mark.campaign
def test_holds_placed_and_released_while_sweeps_run_are_never_on_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, figures: Callable[..., None]
) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 2)
    rounds, kept = runs(1, 30), 0
    for _ in range(rounds):
        clinic = world.clinic()
        ids = [world.recording(clinic) for _ in range(16)]
        held = set[str]()
        halves = [partial(_place_all, world, mine, set(ids[::4]), held) for mine in (ids[::-2], ids[-2::-2])]
        sweeps = [lambda: [world.sweep() for _ in range(4)]] * 2
        together(*halves, *sweeps)
        for _ in range(2):
            world.sweep()
        names = set(world.s3.names())
        assert {one for one in ids if world.row(one).store_key in names} == held
        assert {one for one in ids if world.states()[one] == RecordingState.PURGED} == set(ids) - held
        kept += len(held)
    figures(rounds=rounds, recordings=16 * rounds, holds_won=kept, holds_on_nothing=0)


def _sweep(world: World, engine: Engine, deleted: list[int]) -> None:
    deleted.append(sweep(engine, world.store, world.carrier.carrier(), clock=lambda: world.now).deleted)


def _place_all(world: World, ids: list[str], released: set[str], held: set[str]) -> None:
    """Hold these, one after the other, and release some of them at once; ``held`` learns what stays held."""
    for one in ids:
        with suppress(Conflict):
            with transaction(world.engine) as session:
                hold = retention_requests.place_hold(
                    session,
                    recording_id=one,
                    reason="Complaint",
                    review_on=(NOW + 9 * DAY).date(),
                    actor_id="x",
                    now=NOW,
                )
            if one not in released:
                held.add(one)
                continue
            with transaction(world.engine) as session:
                retention_requests.release_hold(session, hold_id=hold.id, reason="Over", actor_id="x", now=NOW)


@pytest.mark.campaign
def test_a_policy_that_changes_while_sweeps_run_deletes_nothing_early(
    world: World, monkeypatch: pytest.MonkeyPatch, figures: Callable[..., None]
) -> None:
    monkeypatch.setattr("retention.purge.BATCH", 2)
    rounds, gone = runs(1, 30), 0
    for _ in range(rounds):
        clinic = world.clinic()
        ages = [2, 5, 9, 29, 31]
        ids = {
            world.recording(
                clinic, started_at=NOW - age * DAY, ended_at=NOW - age * DAY, expires_at=NOW + (30 - age) * DAY
            ): age
            for age in ages * 3
        }

        def change(clinic_id: str = clinic.id) -> None:
            for days in (60, 10, 365, 7):
                with transaction(world.engine) as session:
                    retention_requests.change_policy(
                        session, clinic_id=clinic_id, days=days, actor_id="x", now=NOW, confirmed=True
                    )

        together(change, *[lambda: [world.sweep(confirmed=True) for _ in range(4)]] * 2)
        for one, age in ids.items():
            row = world.row(one)
            assert (row.state == RecordingState.PURGED) <= (age >= 7), "gone before the shortest period of all"
            assert row.expires_at == NOW + (min(row.retention_days, 30) - age) * DAY
        world.sweep(confirmed=True)
        assert {age for one, age in ids.items() if world.states()[one] == RecordingState.PURGED} == {9, 29, 31}
        gone += sum(age >= 7 for age in ids.values())
    assert all(entry.expired_at <= NOW for entry in world.ledger())
    figures(rounds=rounds, recordings=15 * rounds, gone=gone, gone_early=0)


@pytest.mark.campaign
def test_ten_workers_at_once_copy_each_recording_once(
    engine: Engine, database_url: str, figures: Callable[..., None]
) -> None:
    desk = Desk(engine, s3=SharedS3())
    ids = [desk.recording(wav(1.0), duration_seconds=1) for _ in range(runs(20, 300))]
    engines = [create_engine_for(database_url, pool_size=4) for _ in range(10)]

    def work(mine: Engine) -> None:
        while run_once(mine, desk.fake.carrier(), desk.store, NOW):
            pass

    together(*[partial(work, mine) for mine in engines])
    desk.run_to_quiet()
    for one in engines:
        one.dispose()
    assert {desk.row(one).state for one in ids} == {RecordingState.STORED}
    assert desk.s3.requests.count("PutObject") == len(desk.s3.names()) == len(ids)
    assert (desk.fake.media, max(Counter(desk.fake.deletions).values())) == ({}, 1)
    figures(workers_at_once=10, recordings=len(ids), stored_once=len(ids))
