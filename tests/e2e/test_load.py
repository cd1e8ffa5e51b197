"""Fifty calls, ten at a time, on four receptionists: everybody is served, nobody twice at once."""

import itertools
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import func, select

from callcenter.db import reading
from callcenter.domain.calls import OPEN_OFFER_STATES, CallState, OfferState, Outcome
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, Offer, Recording
from tests.e2e.rig import Rig, installation
from tests.e2e.watching import watched

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(300)]

CALLS = 50
AT_ONCE = 10
SPEED = 8.0
TALK_SECONDS = 6
SAMPLE_SECONDS = 0.2
Span = tuple[datetime, datetime]


def test_fifty_callers_are_served_by_four_receptionists_one_at_a_time(tmp_path: Path, database_url: str) -> None:
    rigged = installation(tmp_path, database_url, extra_receptionists=2, speed=SPEED, max_wait_seconds=120)
    with rigged as rig, watched(rig) as exchanges, _sampled(rig) as crowded:
        with ThreadPoolExecutor(AT_ONCE) as callers:
            sids = list(callers.map(lambda number: _ring_and_talk(rig, number), range(CALLS)))
        for sid in sids:
            rig.until_settled(sid)
        exchanges.look()
        carrier = requests.get(f"{rig.control}/state", timeout=10).json()
        calls = [rig.call(sid) for sid in sids]

        assert len(set(sids)) == CALLS
        assert {call.state for call in calls if call} == {CallState.ENDED}
        assert [call.outcome for call in calls if call] == [Outcome.ANSWERED] * CALLS
        assert crowded == []
        assert _overlaps(_talks_at_the_carrier(rig)) == []
        assert _overlaps(_offers(rig)) == []
        _recordings_are_kept_once(rig, carrier["recordings"])
        assert carrier["live_calls"] == []
        assert carrier["alerts"] == []
        assert exchanges.failed() == []


def _ring_and_talk(rig: Rig, number: int) -> str:
    """One caller, from ringing to hanging up."""
    talk = [{"wait_for": "connected", "timeout": 3600}, {"wait": TALK_SECONDS}, {"hang_up": True}]
    sid = rig.dial(steps=talk, **{"from": f"+4477009{number:05d}"})
    rig.until("the caller has hung up", lambda: not rig.phone(sid)["live"], seconds=150)
    return sid


@contextmanager
def _sampled(rig: Rig) -> Iterator[list[str]]:
    """Receptionists who were seen with two calls at once while the block ran."""
    crowded: list[str] = []
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(SAMPLE_SECONDS):
            crowded.extend(_holding_two(rig))

    sampler = threading.Thread(target=look_on, daemon=True)
    sampler.start()
    try:
        yield crowded
    finally:
        over.set()
        sampler.join(20)


def _holding_two(rig: Rig) -> list[str]:
    held = Offer.state.in_(OPEN_OFFER_STATES) | (
        (Offer.state == OfferState.ACCEPTED) & (Call.state != CallState.ENDED) & (Call.accepted_offer_id == Offer.id)
    )
    query = select(Offer.receptionist_id).join(Call, Call.id == Offer.call_id).where(held)
    with reading(rig.engine) as session:
        return list(session.scalars(query.group_by(Offer.receptionist_id).having(func.count() > 1)))


def _talks_at_the_carrier(rig: Rig) -> dict[str, list[Span]]:
    """Receptionists' legs, from answer to end, as the carrier timed them."""
    legs: list[dict[str, Any]] = requests.get(f"{rig.control}/calls", timeout=10).json()["calls"]
    return _by_receptionist(
        (leg["identity"], (datetime.fromisoformat(leg["answered_at"]), datetime.fromisoformat(leg["ended_at"])))
        for leg in legs
        if leg["identity"] and leg["answered_at"]
    )


def _offers(rig: Rig) -> dict[str, list[Span]]:
    """Offers from being made to their end, or to the end of the call that they led to."""
    with reading(rig.engine) as session:
        rows = session.execute(select(Offer, Call).join(Call, Call.id == Offer.call_id)).all()
    return _by_receptionist(
        (offer.receptionist_id, (offer.created_at, _let_go_at(offer, call))) for offer, call in rows
    )


def _let_go_at(offer: Offer, call: Call) -> datetime:
    at = call.ended_at if offer.state == OfferState.ACCEPTED else offer.ended_at
    assert at is not None
    return at


def _by_receptionist(spans: Iterable[tuple[str, Span]]) -> dict[str, list[Span]]:
    ordered = sorted(spans)
    return {who: [span for _, span in hers] for who, hers in itertools.groupby(ordered, key=lambda item: item[0])}


def _overlaps(spans: dict[str, list[Span]]) -> list[tuple[str, Span, Span]]:
    assert len(spans) == 4, "all four receptionists have answered"
    return [
        (who, before, after)
        for who, hers in spans.items()
        for before, after in itertools.pairwise(sorted(hers))
        if after[0] < before[1]
    ]


def _recordings_are_kept_once(rig: Rig, at_carrier: list[dict[str, Any]]) -> None:
    with reading(rig.engine) as session:
        ours = list(session.scalars(select(Recording)))
    assert len({recording.call_id for recording in ours}) == len(ours) == CALLS
    assert {recording.state for recording in ours} == {RecordingState.STORED}
    assert rig.stored_objects() == sorted(recording.store_key for recording in ours)
    assert sorted(r["sid"] for r in at_carrier) == sorted(str(recording.carrier_recording_sid) for recording in ours)
    assert {r["status"] for r in at_carrier} == {"deleted"}
