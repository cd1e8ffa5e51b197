"""Callers who keep ringing while something is done to the service, and what must be true of all of them afterwards."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from sqlalchemy import func, select

from callcenter.db import reading
from callcenter.domain.calls import OPEN_OFFER_STATES, CallState, Outcome
from callcenter.domain.receptionists import Activity
from callcenter.domain.recordings import RecordingState
from callcenter.models import Call, Offer, Receptionist, Recording
from tests.campaigns import LONG
from tests.e2e.rig import Rig
from tests.faults.cluster import Cluster

CONNECTED = {"wait_for": "connected", "timeout": 3600}
TALK = [CONNECTED, {"wait": 12}, {"hang_up": True}]
REFUSE = [{"wait_for": "queued"}, {"press": "9", "timeout": 30}, *TALK]
GIVE_UP = [{"wait_for": "queued", "timeout": 120}, {"wait": 16}, {"hang_up": True}]
KINDS = (TALK, TALK, REFUSE, TALK, GIVE_UP)
BUSY = (RecordingState.STARTING, RecordingState.RECORDING, RecordingState.PAUSED, RecordingState.COPYING)


class Stream:
    """The calls that were placed."""

    def __init__(self, rig: Cluster, at_once: int) -> None:
        self.rig = rig
        self.sids: list[str] = []
        self.troubles: list[str] = []
        self._over = threading.Event()
        self._numbers = itertools.count(1)
        self._callers = [threading.Thread(target=self._keep_ringing, daemon=True) for _ in range(at_once)]

    def start(self) -> None:
        """Everybody begins to ring."""
        for caller in self._callers:
            caller.start()

    def stop(self) -> None:
        """Nobody rings again; wait for those who are on the line."""
        self._over.set()
        for caller in self._callers:
            caller.join(400)
            assert not caller.is_alive(), "a call did not come to its end"

    def until_served(self, more: int, *, seconds: float = 180) -> None:
        """Wait until so many more calls were answered."""
        before = self._answered()
        self.rig.until(f"{more} more calls are answered", lambda: self._answered() >= before + more, seconds=seconds)

    def _answered(self) -> int:
        with reading(self.rig.engine) as session:
            return session.scalar(select(func.count()).where(Call.connected_at.is_not(None))) or 0

    def _keep_ringing(self) -> None:
        while not self._over.is_set():
            number = next(self._numbers)
            try:
                sid = self.rig.dial(steps=KINDS[number % len(KINDS)], **{"from": f"+4477009{number:05d}"})
                self.sids.append(sid)
                self._stay(sid)
            except Exception as error:
                self.troubles.append(f"caller {number}: {error!r}")

    def _stay(self, sid: str) -> None:
        until = time.monotonic() + 360
        while self.rig.phone(sid)["live"]:
            if time.monotonic() > until:
                self.troubles.append(f"{sid} is still on the line")
                return
            time.sleep(0.3)


@contextmanager
def ringing(rig: Cluster, at_once: int = 4) -> Iterator[Stream]:
    """While the block runs ``at_once`` callers ring, one call after another; at its end all have hung up."""
    stream = Stream(rig, at_once)
    stream.start()
    try:
        yield stream
    finally:
        stream.stop()


def judge(stream: Stream) -> Counter[str]:
    """No call was lost and nothing is stuck. Answers how the calls came out; ``forwarded`` went to the clinic."""
    rig = stream.rig
    assert stream.troubles == []
    assert len(set(stream.sids)) == len(stream.sids)
    phones = {sid: rig.phone(sid) for sid in stream.sids}
    assert [sid for sid, phone in phones.items() if "application error" in str(phone["heard"])] == []
    forwarded = {sid for sid, phone in phones.items() if _forwarded(rig, phone)}
    outcomes: Counter[str] = Counter()
    hurried: set[str] = set()
    if any(rig.call(sid) is None for sid in forwarded):
        rig.reconcile()
    for sid in stream.sids:
        assert rig.call(sid), f"{sid} is not in the log: {phones[sid]}"
        call = rig.until_state(sid, CallState.ENDED, seconds=180)
        if LONG or call.outcome == Outcome.ANSWERED:
            rig.until_settled(sid, seconds=180)
        else:
            hurried.add(sid)
        assert call.outcome is not None
        assert sid in forwarded or _honest(call, phones[sid]) or _untold(rig, call), (call.outcome, phones[sid])
        outcomes["forwarded" if sid in forwarded else call.outcome.value] += 1
    _kept_once(rig, set(stream.sids) - hurried)
    rig.until("everybody is free", lambda: _stuck(rig) == [], seconds=60)
    return outcomes


def _forwarded(rig: Rig, phone: dict[str, Any]) -> bool:
    """The caller heard that the clinic itself is asked; only without the database."""
    return "forward" in str(phone["heard"]).lower()


def _honest(call: Call, phone: dict[str, Any]) -> bool:
    """The log says what the caller's telephone knows."""
    return any(event["event"] == "connected" for event in phone["events"]) == (call.outcome == Outcome.ANSWERED)


def _untold(rig: Rig, call: Call) -> bool:
    """Whether we refused what the carrier told us of the talk, however often: then a talk of less than five seconds is
    known to nobody in the end."""
    answers = requests.get(f"{rig.control}/exchanges", timeout=10).json()["exchanges"]
    of_talk = [one for one in answers if f"/status/conferences/{call.id}/" in one["url"]]
    return any(one["status"] is None or one["status"] >= 500 for one in of_talk)


def _kept_once(rig: Rig, sids: set[str]) -> None:
    """Every recording of these calls is stored once, and nothing of it is left at the carrier. In a short run they are
    the answered ones: that the carrier has no recording of another call is certain only after two minutes."""
    with reading(rig.engine) as session:
        rows = session.execute(select(Recording, Call.carrier_call_sid).join(Call, Call.id == Recording.call_id)).all()
    objects = rig.stored_objects()
    considered = [row for row, sid in rows if sid in sids]
    assert [row.id for row in considered if row.state in BUSY] == []
    assert set(objects) <= {row.store_key for row, _ in rows}, "nothing without a row"
    stored = {row.store_key for row in considered if row.state == RecordingState.STORED}
    assert [key for key in objects if key in stored] == sorted(stored), "each once"
    state = requests.get(f"{rig.control}/state", timeout=10).json()
    left = {recording["status"] for recording in state["recordings"] if recording["call_sid"] in sids}
    assert left <= {"deleted", "absent"}
    assert state["live_calls"] == []


def _stuck(rig: Rig) -> list[str]:
    """Open offers, calls and receptionists who are not free."""
    with reading(rig.engine) as session:
        offers = session.scalars(select(Offer.id).where(Offer.state.in_(OPEN_OFFER_STATES))).all()
        calls = session.scalars(select(Call.id).where(Call.state != CallState.ENDED)).all()
        busy = session.scalars(select(Receptionist.user_id).where(Receptionist.activity != Activity.IDLE)).all()
        return [*offers, *calls, *busy]
