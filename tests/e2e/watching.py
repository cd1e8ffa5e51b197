"""Looking on while calls go through: everything that passed between the carrier and us, and what the rows say in the
end."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from sqlalchemy import Select, select

from callcenter.db import reading
from callcenter.models import Call, CallLeg, CarrierEvent, Offer, Recording, RecordingPause
from callcenter.simulator.journal import GIVEN_UP
from tests.e2e.rig import Rig

LOOK_SECONDS = 0.5
LONGEST_ANSWER_MILLISECONDS = 8000
"""What the door may take (``answer_within_seconds`` of the rig): a request that was given up later has failed."""
COUNTS_REQUESTS = frozenset({"wait_rounds", "attempts", "overflow_after_at"})
"""These say how often something was asked, or whether a round of music was, not what came of it."""
HOW_MUCH = ("_seconds", "_sid", "_key", "_token", "_bytes", "sha256", "data")
"""Measured or drawn by lot: no two calls share these, however calm."""


class Exchanges:
    """Gathered while they happen, because the simulator keeps only the last few thousand."""

    def __init__(self, rig: Rig) -> None:
        self._address = f"{rig.control}/exchanges"
        self._seen: dict[int, dict[str, Any]] = {}

    def look(self) -> None:
        """Take in what is new, and what has been answered since the last look."""
        unanswered = [id_ for id_, exchange in self._seen.items() if _is_open(exchange)]
        since = min(unanswered) - 1 if unanswered else max(self._seen, default=0)
        for exchange in requests.get(self._address, params={"since": since}, timeout=10).json()["exchanges"]:
            self._seen[exchange["id"]] = exchange

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All of one kind: callback, control, media, rest, alert."""
        return [exchange for exchange in self._seen.values() if exchange["kind"] == kind]

    def failed(self) -> list[dict[str, Any]]:
        """What was answered with a 5xx or not at all, and every complaint of the carrier. A notification that came at a
        busy moment and was taken when it was repeated has not failed (F2)."""
        assert len(self._seen) == max(self._seen, default=0), "looked too seldom: exchanges were missed"
        taken = {_told(exchange) for exchange in self.of("callback") if not _has_failed(exchange)}
        return [
            exchange
            for exchange in self._seen.values()
            if _has_failed(exchange)
            and not (exchange["kind"] == "callback" and exchange["status"] == 503 and _told(exchange) in taken)
        ]

    def taken(self) -> list[dict[str, Any]]:
        """The notifications that were answered."""
        return [exchange for exchange in self.of("callback") if not _has_failed(exchange)]


def _has_failed(exchange: dict[str, Any]) -> bool:
    given_up = exchange["body"] == GIVEN_UP and exchange["milliseconds"] < LONGEST_ANSWER_MILLISECONDS
    unanswered = exchange["status"] is None and not given_up
    return exchange["kind"] == "alert" or unanswered or (exchange["status"] or 0) >= 500


def _told(exchange: dict[str, Any]) -> str:
    return as_text([exchange["url"], exchange["params"]])


def _is_open(exchange: dict[str, Any]) -> bool:
    return exchange["kind"] != "alert" and exchange["milliseconds"] is None


@contextmanager
def watched(rig: Rig) -> Iterator[Exchanges]:
    """Gather the exchanges of a block."""
    exchanges = Exchanges(rig)
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(LOOK_SECONDS):
            exchanges.look()

    watcher = threading.Thread(target=look_on, daemon=True)
    watcher.start()
    try:
        yield exchanges
    finally:
        over.set()
        watcher.join(20)
        exchanges.look()


def final_state(rig: Rig, sid: str) -> dict[str, list[dict[str, Any]]]:
    """Every row about a call. Of times and references only whether they are there."""
    with reading(rig.engine) as session:
        call = session.scalars(select(Call).where(Call.carrier_call_sid == sid)).one()
        recordings = select(Recording.id).where(Recording.call_id == call.id)
        queries: list[Select[Any]] = [
            select(Call).where(Call.id == call.id),
            *(select(table).where(table.call_id == call.id) for table in (CallLeg, Offer, Recording, CarrierEvent)),
            select(RecordingPause).where(RecordingPause.recording_id.in_(recordings)),
        ]
        rows = [row for query in queries for row in session.scalars(query)]
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        tables.setdefault(row.__tablename__, []).append(_said(row))
    return {name: sorted(said, key=str) for name, said in tables.items()}


def as_text(rows: Any) -> str:
    """Rows or exchanges as text, for comparing and for messages."""
    return json.dumps(rows, indent=1, default=str, sort_keys=True)


def _said(row: Any) -> dict[str, Any]:
    return {
        column.name: value is not None if column.name.endswith(("_at", "_id")) else value
        for column in row.__table__.columns
        if column.name != "id" and column.name not in COUNTS_REQUESTS and not column.name.endswith(HOW_MUCH)
        for value in [getattr(row, column.name)]
    }
