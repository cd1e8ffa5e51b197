"""The world of retention tests, with what reconciliation compares: the carrier's lists."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.config import VoiceSettings
from callcenter.db import reading, transaction
from callcenter.domain.calls import LegState
from callcenter.domain.events import RecordingReportKind
from callcenter.models import Call, CallLeg, Clinic, ClinicNumber, new_id
from callcenter.ports import CarrierCall, CarrierRecording
from retention.reconcile.report import Report
from retention.reconcile.run import reconcile
from retention.reconcile.work import Wishes
from tests.factories import NOW, create_clinic
from tests.retention.world import AUDIO, World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REPAIR = Wishes(repair=True)
ALL = Wishes(repair=True, delete_recordings=True, delete_objects=True)


class Desk(World):
    """Calls and recordings at the carrier, and one run of reconciliation."""

    def number(self, clinic: Clinic) -> str:
        """The clinic's number."""
        with reading(self.engine) as session:
            return session.scalars(select(ClinicNumber.number).where(ClinicNumber.clinic_id == clinic.id)).one()

    def clinic_of(self, session: Session) -> Clinic:
        """A clinic, within a transaction."""
        return create_clinic(session)

    def rang(self, clinic: Clinic, *, at: datetime = NOW - HOUR, seconds: float = 40, **values: Any) -> CarrierCall:
        """Somebody called the clinic; only the carrier knows."""
        defaults: dict[str, Any] = {
            "carrier_call_sid": f"CA{new_id()}",
            "state": LegState.COMPLETED,
            "to": values.get("to") or self.number(clinic),
            "started_at": at,
            "ended_at": at + timedelta(seconds=seconds),
            "from_number": "+447700900321",
        }
        call = CarrierCall(**defaults | values)
        self.carrier.calls.append(call)
        return call

    def has_recording(
        self, leg_sid: str, *, sid: str | None = None, at: datetime | None = NOW - 2 * DAY, **values: Any
    ) -> str:
        """The carrier has a finished recording of two seconds; answers its SID."""
        sid = sid or f"RE{new_id()}"
        defaults: dict[str, Any] = {
            "kind": RecordingReportKind.COMPLETED,
            "duration_seconds": 2,
            "channels": 2,
            "started_at": at,
        }
        self.carrier.record(CarrierRecording(sid, leg_sid, **defaults | values), AUDIO)
        return sid

    def reconcile(self, wishes: Wishes = REPAIR, **options: Any) -> Report:
        """Compare at ``now``."""
        named: dict[str, Any] = {"now": self.now, "voice": VoiceSettings(), "wishes": wishes}
        return reconcile(self.engine, self.store, self.carrier.carrier(), **named | options)

    def log(self, **where: Any) -> list[Call]:
        """Every call of the log."""
        with reading(self.engine) as session:
            return list(session.scalars(select(Call).filter_by(**where).order_by(Call.started_at)))

    def legs(self, call: Call) -> list[CallLeg]:
        """The legs of a call."""
        with reading(self.engine) as session:
            return list(session.scalars(select(CallLeg).where(CallLeg.call_id == call.id).order_by(CallLeg.role)))

    def add(self, *rows: Any) -> None:
        """Commit rows."""
        with transaction(self.engine) as session:
            session.add_all(rows)


def counts(report: Report) -> dict[str, tuple[int, int]]:
    """Found and repaired, by kind."""
    return {str(kind): (count, report.repaired[kind]) for kind, count in report.found.items()}
