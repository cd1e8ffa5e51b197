"""Receptionists as the contract shows them to herself, to supervisors of her clinics and to operators."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, false, select
from sqlalchemy.orm import Session, joinedload

from callcenter.domain.permissions import Actor, Permission, can
from callcenter.domain.receptionists import is_reachable
from callcenter.errors import NotFound
from callcenter.models import Assignment, Clinic, Receptionist, User
from callcenter.services.access import in_view
from callcenter.services.shapes import ReceptionistShape


def list_receptionists(session: Session, actor: Actor, *, now: datetime) -> list[ReceptionistShape]:
    """The receptionists in the actor's view by name, disabled ones left out."""
    found = select(Receptionist).join(User).where(*_conditions(actor)).order_by(User.name, User.id)
    return _shape(session, actor, _load(session, found.options(joinedload(Receptionist.user))), now)


def get_receptionist(session: Session, actor: Actor, user_id: str, *, now: datetime) -> ReceptionistShape:
    """One receptionist in view, as the rows are now. Raises NotFound."""
    found = select(Receptionist).join(User).where(Receptionist.user_id == user_id, *_conditions(actor))
    rows = _load(session, found.options(joinedload(Receptionist.user)))
    if not rows:
        raise NotFound("There is no such receptionist.")
    return _shape(session, actor, rows, now)[0]


def _load(session: Session, statement: Select[Receptionist]) -> Sequence[Receptionist]:
    # Working states are changed by statements past the session, so what it remembers of them may be old.
    return session.scalars(statement.execution_options(populate_existing=True)).all()


def _conditions(actor: Actor) -> Iterable[ColumnElement[bool]]:
    yield User.disabled_at.is_(None)
    if can(actor, Permission.OTHERS_PRESENCE):
        if actor.clinic_ids is not None:
            yield exists().where(Assignment.user_id == User.id, in_view(actor, Assignment.clinic_id))
    else:
        yield User.id == actor.user_id if actor.user_id is not None else false()


def _shape(session: Session, actor: Actor, rows: Sequence[Receptionist], now: datetime) -> list[ReceptionistShape]:
    clinics: defaultdict[str, list[str]] = defaultdict(list)
    assigned = (
        select(Assignment.user_id, Clinic.slug)
        .join(Clinic, Clinic.id == Assignment.clinic_id)
        .where(Assignment.user_id.in_([row.user_id for row in rows]), in_view(actor, Clinic.id))
        .order_by(Clinic.slug)
    )
    for user_id, slug in session.execute(assigned):
        clinics[user_id].append(slug)
    return [
        ReceptionistShape(
            id=row.user_id,
            email=row.user.email,
            name=row.user.name,
            identity=row.user.identity,
            presence=row.presence,
            presence_reason=row.presence_reason,
            activity=row.activity,
            reachable=is_reachable(row.heartbeat_at, now),
            current_call_id=row.current_call_id,
            wrap_up_ends_at=row.wrap_up_ends_at,
            clinics=clinics[row.user_id],
        )
        for row in rows
    ]
