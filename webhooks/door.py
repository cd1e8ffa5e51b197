"""What every answer of the door needs: settings, database with a deadline, documents, the last good routing."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict, TypeVar, cast

from flask import current_app, g, request
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.carrier.callbacks import Fields
from callcenter.carrier.twiml import CallPlace, TwimlWriter
from callcenter.config import Settings, VoiceSettings
from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.events import IncomingCall
from callcenter.errors import CallcenterError, NotFound
from callcenter.services import calls
from webhooks.snapshot import Refresher, Snapshot
from webhooks.together import Together

DATABASE_THREADS = 10

Answer = TypeVar("Answer")
_ID = re.compile(r"[0-9a-f]{32}")
_TURN = re.compile(r"[1-9][0-9]{0,5}")


class DatabaseAway(CallcenterError):
    """The database did not do the work in time; nothing was changed unless its commit was already under way."""

    code = "database_away"


class Common(TypedDict):
    """What every service of a call takes."""

    voice: VoiceSettings
    now: datetime


@dataclass
class Door:
    """One per process. Database work runs on threads of its own, because only there it can be given up on."""

    settings: Settings
    engine: Engine
    twiml: TwimlWriter
    snapshot: Snapshot
    refresher: Refresher
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="door-database")
    )

    def __post_init__(self) -> None:
        # SQLite has one writer at a time; elsewhere one group is prepared while the other waits for the disk. More at
        # once would be smaller groups.
        at_once = 1 if self.engine.dialect.name == "sqlite" else 2
        self._arrivals = Together(self._threads, self._receive, at_once=at_once)

    @property
    def answer_within_seconds(self) -> float:
        """How long the database may take before an answer is given without it (F1)."""
        return self.settings.voice.answer_within_seconds

    def transact(self, work: Callable[[Session], Answer]) -> Answer:
        """Run ``work`` in one writing transaction and return its result.

        Tried once more when it collided with another one (its changes were rolled back). Raises DatabaseAway after
        ``answer_within_seconds``, and whatever ``work`` raises.
        """
        too_late = threading.Event()
        return self._in_time(lambda: self._attempt(work, too_late.is_set), too_late)

    def receive(self, call: IncomingCall) -> calls.Received | None:
        """A caller has rung: what to do, once the call is in the log; None for a number that belongs to no clinic.
        Callers who ring at the same moment share a transaction. Raises DatabaseAway as ``transact`` does."""
        with _database_trouble():
            return self._arrivals.ask(call, within_seconds=self.answer_within_seconds)

    def _receive(self, arrived: Sequence[IncomingCall], too_late: Callable[[], bool]) -> list[calls.Received | None]:
        return self._attempt(lambda session: calls.receive_calls(session, arrived, **self.common()), too_late)

    def common(self) -> Common:
        """Voice settings and the time."""
        return {"voice": self.settings.voice, "now": clock.now()}

    def database_answers(self) -> bool:
        """Whether the database can be read right now."""

        def ask() -> bool:
            with reading(self.engine) as session:
                return bool(session.scalar(text("SELECT 1")))

        try:
            return self._in_time(ask, threading.Event())
        except DatabaseAway:
            return False

    def close(self) -> None:
        """Let go of the database: end this door's threads and wait for what they are at."""
        self.refresher.stop()
        self._threads.shutdown(cancel_futures=True)

    def _in_time(self, work: Callable[[], Answer], too_late: threading.Event) -> Answer:
        future: Future[Answer] = self._threads.submit(work)
        with _database_trouble():
            try:
                return future.result(timeout=self.answer_within_seconds)
            except TimeoutError:
                too_late.set()
                future.cancel()
                raise

    def _attempt(self, work: Callable[[Session], Answer], too_late: Callable[[], bool]) -> Answer:
        try:
            return self._once(work, too_late)
        except (IntegrityError, OperationalError):
            if too_late():
                raise
            return self._once(work, too_late)

    def _once(self, work: Callable[[Session], Answer], too_late: Callable[[], bool]) -> Answer:
        with transaction(self.engine) as session:
            answer = work(session)
            if too_late():
                # The caller has been given another answer; what we were about to write is not true any more.
                raise DatabaseAway("The answer was given without the database.")
        crash_point("door.committed")
        return answer


@contextmanager
def _database_trouble() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise DatabaseAway("The database did not answer in time.") from error
    except SQLAlchemyError as error:
        raise DatabaseAway("The database could not be used.") from error


def the_door() -> Door:
    """The door of the request at hand."""
    return cast(Door, current_app.extensions["door"])


def the_fields() -> Fields:
    """The checked parameters of the request at hand; empty when they could not be read."""
    return cast(Fields, g.get("fields", {}))


def the_place() -> CallPlace:
    """The call and turn in the address of the request at hand. Raises NotFound for what cannot be one of ours."""
    named = request.view_args or {}
    if not _ID.fullmatch(named["call_id"]) or not _TURN.fullmatch(named["turn"]):
        raise NotFound("There is no such call.")
    return CallPlace(named["call_id"], int(named["turn"]))


def the_offer() -> str:
    """The offer in the address. Raises NotFound."""
    return _the_id("offer_id")


def the_recording() -> str:
    """The recording in the address. Raises NotFound."""
    return _the_id("recording_id")


def _the_id(name: str) -> str:
    value = str((request.view_args or {})[name])
    if not _ID.fullmatch(value):
        raise NotFound("There is no such thing.")
    return value
