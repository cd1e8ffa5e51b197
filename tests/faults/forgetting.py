"""A service that records and forgets, with parts that fail, and a book beside it that knows what must be true.

Everything goes through the product's own services, sweep and API; the book does its own arithmetic.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError

from callcenter import clock, config
from callcenter.db import reading, transaction
from callcenter.domain.events import RecordingReport, RecordingReportKind
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.errors import CarrierUnavailable, Conflict
from callcenter.models import Clinic, LegalHold, Recording, new_id
from callcenter.services import recordings, retention_requests
from callcenter.services.access import create_api_key
from callcenter.services.ingest import run_once
from callcenter.storage.s3 import S3RecordingStore
from callcenter.web.app import create_app
from retention.brakes import Uptime
from retention.purge import SweepResult, sweep
from tests.cast import create_cast
from tests.factories import NOW, create_answered_call
from tests.fakes import FakeCarrier, FakeS3, wav

DAY = timedelta(days=1)
GONE_WITHIN = DAY
"""P29."""


class Carrier(FakeCarrier):
    """A carrier that can be down for everybody."""

    down = False

    def _maybe_fail(self, sid: str) -> None:
        if self.down:
            raise CarrierUnavailable("The carrier is down.", status=503)


@dataclass
class Noted:
    """What the book knows of a recording; ``expires_at`` by its own arithmetic."""

    recording_id: str
    clinic_id: str
    key: str
    sid: str
    ended_at: datetime
    days: int
    due_since: datetime | None = None

    @property
    def expires_at(self) -> datetime:
        return self.ended_at + self.days * DAY


class Service:
    """The service and its book. ``uptime`` is what the machine says; a clock that is turned leaves it alone."""

    def __init__(self, engine: Engine, settings: config.Settings) -> None:
        self.engine, self.s3, self.carrier = engine, FakeS3(), Carrier()
        self.store = S3RecordingStore("recordings", client=self.s3.client())
        self.now, self.uptime = NOW, Uptime("boot-1", 1000.0)
        self.book: list[Noted] = []
        self._broken_after: int | None = None
        with transaction(engine) as session:
            cast = create_cast(session)
            self.days = {cast.hill.clinic.id: 30, cast.lake.clinic.id: 30}
            managers = {cast.hill.clinic.id: cast.hill.manager, cast.lake.clinic.id: cast.lake.manager}
            self.keys = {
                clinic: create_api_key(session, name="m", role=user.role, clinics=(), user=user, now=NOW).secret
                for clinic, user in managers.items()
            }
        self.web = create_app(settings, engine, self.store).test_client()
        event.listen(engine, "begin", self._maybe_break)
        self.turn_to(NOW)

    # time

    def turn_to(self, moment: datetime) -> None:
        """Set the clock of every part."""
        self.now = moment
        clock.set_offset((moment - clock.host_now()).total_seconds())

    def live(self, span: timedelta) -> None:
        """Time passes."""
        self.uptime = Uptime(self.uptime.boot, self.uptime.seconds + span.total_seconds())
        self.turn_to(self.now + span)

    # what people and processes do; a database that fails in the middle is part of the game

    def attempt(self, act: Callable[[], Any], *, break_after: int | None = None) -> Any:
        """Do something; with ``break_after`` the database is gone after so many transactions, until it is over."""
        self._broken_after = break_after
        try:
            with suppress(OperationalError):
                return act()
        finally:
            self._broken_after = None
        return None

    def record(self, clinic_id: str, seconds: int) -> None:
        """A call is recorded and over; its callback arrives."""
        sid = f"RE{new_id()}"
        with transaction(self.engine) as session:
            started = self.now - timedelta(seconds=seconds)
            call = create_answered_call(session, session.get_one(Clinic, clinic_id), started_at=started)
            row = recordings.add_row(session, call, RecordingKind.CONVERSATION, now=started)
            report = RecordingReport("r", RecordingReportKind.COMPLETED, sid, None, seconds, 2, started)
            recordings.reported(session, row, report, now=self.now)
        self.carrier.media[sid] = wav(seconds, rate=50)
        self.book.append(Noted(row.id, clinic_id, row.store_key, sid, self.now, self.days[clinic_id]))

    def copy(self) -> None:
        """The worker copies until nothing is due."""
        for _ in range(20):
            if not run_once(self.engine, self.carrier.carrier(), self.store, clock.now()):
                return

    def sweep(self, *, confirmed: bool = False) -> SweepResult:
        """The retention process sweeps."""
        return sweep(self.engine, self.store, self.carrier.carrier(), clock=clock.now, confirmed=confirmed)

    def hold(self, one: Noted) -> None:
        """Somebody wants it kept."""
        review_on = (self.now + 9 * DAY).date()
        with suppress(Conflict), transaction(self.engine) as session:
            retention_requests.place_hold(
                session,
                recording_id=one.recording_id,
                reason="Kept",
                review_on=review_on,
                actor_id="x",
                now=self.now,
            )

    def release(self, one: Noted) -> None:
        """Nobody wants it kept any more."""
        with transaction(self.engine) as session:
            theirs = select(LegalHold.id).where(
                LegalHold.recording_id == one.recording_id, LegalHold.released_at.is_(None)
            )
            for hold_id in session.scalars(theirs).all():
                retention_requests.release_hold(session, hold_id=hold_id, reason="Over", actor_id="x", now=self.now)

    def change_policy(self, clinic_id: str, days: int) -> None:
        """The clinic changes its period; a shorter one is for existing recordings too, unless they are going."""
        going = {one.recording_id for one in self.book if self.row(one).state == RecordingState.PURGING}
        with transaction(self.engine) as session:
            retention_requests.change_policy(
                session, clinic_id=clinic_id, days=days, actor_id="x", now=self.now, confirmed=True
            )
        for one in self.book:
            if one.clinic_id == clinic_id and one.recording_id not in going:
                one.days = min(one.days, days)
        self.days[clinic_id] = days

    def play(self, one: Noted) -> int:
        """The manager listens, through the API."""
        address = f"/api/v1/recordings/{one.recording_id}/audio?purpose=review"
        key = {"Authorization": f"Bearer {self.keys[one.clinic_id]}"}
        return self.web.get(address, headers=key, buffered=True).status_code

    def mend(self) -> None:
        """Every part works again."""
        self.s3.forbidden = self.s3.missing = self.carrier.down = False
        self.s3.refused_names.clear()
        self.s3.lost_answers.clear()
        for version in self.s3.versions:
            version.locked = False

    # what is true

    def row(self, one: Noted) -> Recording:
        """The row as it is now."""
        with reading(self.engine) as session:
            return session.get_one(Recording, one.recording_id)

    def is_somewhere(self, one: Noted) -> bool:
        """Whether the audio exists, here or at the carrier."""
        return one.sid in self.carrier.media or one.key in self.s3.names()

    def _maybe_break(self, _connection: Any) -> None:
        if self._broken_after is not None:
            self._broken_after -= 1
            if self._broken_after < 0:
                raise OperationalError("BEGIN", None, Exception("The database is gone."))
