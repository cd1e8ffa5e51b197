"""How views answer, and the access log entry of everything personal that they show (P21)."""

from collections.abc import Iterable

from flask import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.domain.permissions import Permission, can
from callcenter.models import Clinic
from callcenter.services.access import record_access
from callcenter.services.shapes import Shape
from callcenter.web.auth import actor


def answer(shape: Shape, status: int = 200) -> Response:
    """The shape as JSON."""
    return Response(shape.model_dump_json(by_alias=True), status, mimetype="application/json")


def viewed(session: Session, action: str, subject_kind: str, subject_id: str | None, clinic_id: str | None) -> None:
    """Write that the actor saw this. Roles that are shown ids and states only leave no entry."""
    if can(actor(), Permission.READ_PERSONAL_DATA):
        changed(session, action, subject_kind, subject_id, clinic_id)


def changed(session: Session, action: str, subject_kind: str, subject_id: str | None, clinic_id: str | None) -> None:
    """Write that the actor did this, whatever the role."""
    record_access(
        session,
        actor(),
        action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        clinic_id=clinic_id,
        now=clock.now(),
    )


def viewed_list(session: Session, action: str, subject_kind: str, subject_id: str | None, slugs: Iterable[str]) -> None:
    """As ``viewed`` for a list: one entry in the log of each clinic whose data was shown."""
    for clinic_id in session.scalars(select(Clinic.id).where(Clinic.slug.in_(set(slugs)))).all():
        viewed(session, action, subject_kind, subject_id, clinic_id)
