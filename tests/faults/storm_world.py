"""The real door, the real worker and a real database between lines in virtual time and the people at their ends."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element

import pytest
from sqlalchemy import Engine, exists, literal, or_, select, union_all, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.db import reading, transaction
from callcenter.domain.calls import OPEN_OFFER_STATES, CallState, LegState
from callcenter.domain.commands import CommandState
from callcenter.errors import CallcenterError
from callcenter.models import Call, CarrierCommand, Offer, Receptionist
from callcenter.ports import Carrier
from callcenter.services import commands, ingest
from callcenter.storage.local import LocalRecordingStore
from callcenter.worker.execute import execute
from callcenter.worker.tick import tick, tidy
from tests.cast import Cast, create_cast
from tests.factories import create_receptionist
from tests.faults.storm_model import Leg
from tests.faults.storm_rest import StormCarrier
from tests.faults.storm_time import Agenda
from tests.faults.storm_weather import Weather
from tests.webhooks import door as carriers_side
from webhooks.door import Door

VOICE = VoiceSettings(calls_per_second=10, wrap_up_seconds=25, max_wait_seconds=60, ring_seconds=10)
POLL_SECONDS = 5.0
"""While somebody waits the worker looks this often, and as soon as something has changed or is due."""
IDLE_SECONDS = 60.0
HEARTBEAT_SECONDS = 20.0


@dataclass(frozen=True)
class Captured:
    """A request as it went to the door, for whoever wants to send it again."""

    url: str
    form: Mapping[str, str]
    is_control: bool


class StormWorld:
    """Two clinics, of which the lake clinic does not record; rosie serves both, robin and reed one each."""

    def __init__(self, engine: Engine, folder: Path, weather: Weather, agenda: Agenda) -> None:
        self.engine, self.weather, self.agenda = engine, weather, agenda
        self.cast, self.reed = self._people()
        self.store = LocalRecordingStore(folder / "recordings")
        self.lines = StormCarrier(agenda, weather)
        self.lines.door = self
        self.carrier = cast(Carrier, self.lines)  # what is missing there is not for these tests
        self.site = carriers_side.Carrier.to_new_door(engine, folder)
        self.site.door.settings = self.site.door.settings.model_copy(update={"voice": VOICE})
        self.site.door.refresher.stop()  # a thread of its own would look at the clock whenever it likes
        self.captured: list[Captured] = []
        self.away_until = 0.0
        self.troubled_seconds = 0.0
        """In how many seconds no worker ran."""
        self._work_at = float("inf")
        self._beat()
        self._work()

    def close(self) -> None:
        """Let go of the database."""
        self.site.door.close()

    def _people(self) -> tuple[Cast, Receptionist]:
        with transaction(self.engine) as session:
            cast = create_cast(session)
            reed = create_receptionist(session, cast.lake.clinic, user={"email": "reed@example.org", "name": "Reed"})
            cast.lake.clinic.recording_enabled = False
        return cast, reed

    @property
    def receptionists(self) -> tuple[Receptionist, ...]:
        """Everybody who answers."""
        return self.cast.rosie, self.cast.robin, self.reed

    @property
    def back_at(self) -> float:
        """Since when a worker runs, without a break."""
        return self.away_until

    # storm_lines.Door

    def asked(self, url: str, form: Mapping[str, str]) -> Element:
        """A control request; the answer must be a document that leads on."""
        self.captured.append(Captured(url, form, is_control=True))
        return self._posted(url, form)

    def _posted(self, url: str, form: Mapping[str, str]) -> Element:
        document = carriers_side.twiml(self._post(url, form))
        action, leg = url.partition("#")[0].rpartition("/")[2], self.lines.legs[form["CallSid"]]
        if action == "key" and form["Digits"] == "9" and leg.up and leg.refused is None:
            leg.refused = self.agenda.seconds
        elif action == "consent" and form["Digits"] == "1":
            leg.consented = True
        self.changed()
        return document

    def _post(self, url: str, form: Mapping[str, str]) -> TestResponse:
        return self.site.send(url, {"AccountSid": carriers_side.ACCOUNT, **form})

    def told(self, url: str, form: Mapping[str, str]) -> None:
        """A notification."""
        self.captured.append(Captured(url, form, is_control=False))
        self._told(url, form)

    def _told(self, url: str, form: Mapping[str, str]) -> None:
        response = self._post(url, form)
        assert response.status_code == 204, f"{url} answered {response.status}"
        self.changed()

    def replay(self, captured: Captured) -> None:
        """Somebody sends a request again."""
        if captured.is_control:
            carriers_side.twiml(self._post(captured.url, captured.form))
        else:
            self._told(captured.url, captured.form)
        self.changed()

    # the worker

    def changed(self) -> None:
        """The worker is woken by every change."""
        self._work_again(0.02)

    def _work_again(self, seconds: float) -> None:
        at = max(self.agenda.seconds + seconds, self.away_until)
        if at < self._work_at:
            self._work_at = at
            self.agenda.after(at - self.agenda.seconds, self._work_if_due)

    def _work_if_due(self) -> None:
        if self.agenda.seconds >= self.away_until and self.agenda.seconds >= self._work_at - 1e-4:
            self._work_at = float("inf")
            self._work()

    def _work(self) -> None:
        for _ in range(10):
            tick(self.engine, VOICE)
            with reading(self.engine) as session:
                due = commands.due_ids(session, now=clock.now(), limit=20)
            for command_id in due:
                execute(self.engine, self.carrier, VOICE, command_id)
            if not due:
                break
        self._work_again(max(0.05, self._next_due()))

    def _next_due(self) -> float:
        """When there is something to do again, as far as that is known."""
        now = clock.now()
        free = or_(CarrierCommand.lease_until_at.is_(None), CarrierCommand.lease_until_at < now)
        waiting = Call.state == CallState.QUEUED
        moments = union_all(
            select(CarrierCommand.next_attempt_at).where(CarrierCommand.state == CommandState.PENDING, free),
            select(Offer.ring_until_at).where(Offer.state.in_(OPEN_OFFER_STATES)),
            select(Call.check_at).where(Call.state != CallState.ENDED),
            select(Receptionist.wrap_up_ends_at).where(Receptionist.wrap_up_ends_at.is_not(None)),
            select(literal(now + timedelta(seconds=POLL_SECONDS), Call.check_at.type)).where(
                exists().where(waiting, Call.accepted_offer_id.is_(None))
            ),
        )
        with reading(self.engine) as session:
            found = list(session.scalars(moments))
        return min(((moment - now).total_seconds() for moment in found), default=IDLE_SECONDS)

    def worker_goes_away(self, seconds: float) -> None:
        """No worker runs for a while."""
        self.troubled_seconds += seconds
        self.away_until = max(self.away_until, self.agenda.seconds + seconds)
        self._work_at = float("inf")
        self._work_again(seconds)

    def copies(self) -> None:
        """Copy and delete what is due, as the worker's other threads do."""
        for _ in range(50):
            if not ingest.run_once(self.engine, self.carrier, self.store, clock.now()):
                return

    def tidies(self) -> None:
        """What the worker does once a minute."""
        tidy(self.engine)
        self.changed()

    # the people

    def _beat(self) -> None:
        alive = [r.user_id for r in self.receptionists if r.user.identity not in self.lines.off]
        with transaction(self.engine) as session:
            session.execute(
                update(Receptionist).where(Receptionist.user_id.in_(alive)).values(heartbeat_at=clock.now())
            )
        self.agenda.after(HEARTBEAT_SECONDS, self._beat)

    def dials(self, number: str, *, talkative: bool = True) -> Leg:
        """A caller dials a clinic's number."""
        leg = Leg(self.lines.new_sid("CA"), "+447700900123", number, self.agenda.seconds, talkative=talkative)
        leg.status_url = carriers_side.BASE + leg.status_url
        self.lines.legs[leg.sid] = leg
        self.lines.ask(leg, carriers_side.BASE + "/webhooks/voice/incoming")
        return leg

    def answers(self, leg: Leg) -> None:
        """A receptionist answers; her softphone ignores it while she is in a call (twilio-voice §9.3)."""
        busy = any(
            other.identity == leg.identity and other is not leg for other in self.softphones(LegState.IN_PROGRESS)
        )
        if not busy:
            self.lines.becomes(leg, LegState.IN_PROGRESS)
            self.lines.ask(leg, leg.answer_url)

    def opens_or_closes_browser(self, identity: str) -> None:
        """Her softphone is back; or it is gone, with all its legs."""
        if identity in self.lines.off:
            self.lines.off.discard(identity)
            return
        self.lines.off.add(identity)
        for leg in list(self.lines.legs.values()):
            if leg.up and leg.identity == identity:
                self.lines.end_leg(leg, LegState.COMPLETED if leg.state == LegState.IN_PROGRESS else LegState.NO_ANSWER)

    def does(self, what: Callable[[Session], object]) -> bool:
        """Somebody presses a button; False when it does not fit."""
        done = False
        with suppress(CallcenterError), transaction(self.engine) as session:
            what(session)
            done = True
        self.changed()
        return done

    def callers(self) -> list[Leg]:
        """The callers' legs that are up."""
        return [leg for leg in self.lines.legs.values() if leg.up and leg.is_caller]

    def softphones(self, state: LegState) -> list[Leg]:
        """The softphones' legs in that state."""
        return [leg for leg in self.lines.legs.values() if leg.up and not leg.is_caller and leg.state == state]

    def call_of(self, leg: Leg, session: Session) -> Call | None:
        """Our row."""
        return session.scalar(select(Call).where(Call.carrier_call_sid == leg.sid))

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.agenda.passes(seconds)


@contextmanager
def storm(engine: Engine, folder: Path, weather: Weather) -> Iterator[StormWorld]:
    """A world in this weather, at nine on a Monday. Only its own clock counts: how slow this machine is does not."""
    agenda = Agenda()
    with agenda.is_the_clock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Door, "answer_within_seconds", 60)
        world = StormWorld(engine, folder, weather, agenda)
        try:
            yield world
        finally:
            world.close()
