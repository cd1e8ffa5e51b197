"""Access: API keys, who stands behind one, and the log of who looked at what."""

import hashlib
import math
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from callcenter.domain.permissions import Actor
from callcenter.domain.receptionists import Role
from callcenter.domain.text_rules import clean_text
from callcenter.errors import BadInput, Conflict, NotFound, TooOften
from callcenter.models import AccessEntry, ApiKey, ApiKeyClinic, Assignment, Clinic, User
from callcenter.services.rows import find_row

KEY_PREFIX = "cck_"
LONGEST_KEY = 100
KEY_ACTOR = "key:"
"""What the actor id of a key begins with; the key's id follows."""


RATE_SECONDS = 60
LISTENINGS_PER_MINUTE = 120
"""Of one key at one clinic. A player asks for a recording in several parts, each of which counts."""
TOKENS_PER_MINUTE = 10
"""For one softphone; it needs one an hour, and one after each reload."""


@dataclass(frozen=True)
class NewApiKey:
    """A key that has just been made; ``secret`` is shown once and never stored."""

    row: ApiKey
    secret: str


def create_api_key(
    session: Session,
    *,
    name: str,
    role: Role,
    clinics: Collection[Clinic],
    user: User | None,
    now: datetime,
) -> NewApiKey:
    """A new bearer key. Raises BadInput when role, clinics and user do not fit together.

    A receptionist's key needs ``user`` and reaches only that receptionist. The key of a user without clinics reaches
    those that the user is assigned to now; which they are is written down, so that no key ever grows by itself. Every
    other key but the operator's needs at least one clinic; the operator's reaches all and takes none.
    """
    name = clean_text(name, field="The name", limit=120)
    _check_fit(session, role, clinics, user)
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    row = ApiKey(name=name, key_hash=_hash(secret), role=role, user_id=user.id if user else None, created_at=now)
    session.add(row)
    session.flush()
    reach = {clinic.id for clinic in clinics}
    if user is not None and not reach:
        reach = set(clinic_ids_of_user(session, user.id))
    session.add_all(ApiKeyClinic(api_key_id=row.id, clinic_id=clinic_id) for clinic_id in reach)
    session.flush()
    return NewApiKey(row, secret)


def list_api_keys(session: Session) -> list[ApiKey]:
    """All keys, newest first, revoked ones too."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id)))


def clinic_ids_of_key(session: Session, key: ApiKey) -> frozenset[str] | None:
    """The clinics that a key reaches now; None means all (operators only).

    They are those written down for it, and no others: a key for which none is left reaches nothing. A key of a user
    never reaches a clinic that the user is not assigned to (any more): P20.
    """
    if key.role == Role.OPERATOR:
        return None
    own = frozenset(session.scalars(select(ApiKeyClinic.clinic_id).where(ApiKeyClinic.api_key_id == key.id)))
    return own if key.user_id is None else own & clinic_ids_of_user(session, key.user_id)


def clinic_ids_of_user(session: Session, user_id: str) -> frozenset[str]:
    """The clinics that a user is assigned to now."""
    return frozenset(session.scalars(select(Assignment.clinic_id).where(Assignment.user_id == user_id)))


def revoke_api_key(session: Session, api_key_id: str, *, now: datetime) -> ApiKey:
    """The key is refused from the next request on. Raises NotFound, or Conflict when it was revoked before."""
    key = find_row(session, ApiKey, api_key_id)
    if key is None:
        raise NotFound("There is no such API key.")
    if key.revoked_at is not None:
        raise Conflict("The API key has been revoked already.")
    key.revoked_at = now
    session.flush()
    return key


def actor_for_key(session: Session, secret: str) -> Actor | None:
    """Who stands behind a key, or None when it is unknown or revoked or its user is disabled."""
    if not secret.startswith(KEY_PREFIX) or len(secret) > LONGEST_KEY:
        return None
    return _actor_of_key(session, session.scalar(select(ApiKey).where(ApiKey.key_hash == _hash(secret))))


def present_actor(session: Session, actor: Actor) -> Actor | None:
    """The same actor with the rights of this moment, or None when key or user have ended since (P20).

    For work that outlasts its request, such as a stream. Only keys last; whoever else acts is asked at every request.
    """
    key_id = actor.actor_id.removeprefix(KEY_ACTOR)
    return _actor_of_key(session, session.get(ApiKey, key_id)) if key_id != actor.actor_id else None


def _actor_of_key(session: Session, key: ApiKey | None) -> Actor | None:
    if key is None or key.revoked_at is not None:
        return None
    if key.user_id is not None:
        user = session.get(User, key.user_id)
        if user is None or user.disabled_at is not None or user.role != key.role:
            return None
    return Actor(f"{KEY_ACTOR}{key.id}", key.role, clinic_ids_of_key(session, key), key.user_id)


def in_view(actor: Actor, clinic_id: Any) -> ColumnElement[bool]:
    """The condition that a column of clinic ids names a clinic in the actor's view."""
    condition: ColumnElement[bool] = true() if actor.clinic_ids is None else clinic_id.in_(actor.clinic_ids)
    return condition


def record_access(
    session: Session,
    actor: Actor,
    action: str,
    *,
    subject_kind: str,
    subject_id: str | None,
    clinic_id: str | None,
    now: datetime,
    purpose: str | None = None,
) -> None:
    """Append to the access log (P21): ids only. ``action`` is a fixed word such as ``recording.heard``."""
    entry = AccessEntry(
        clinic_id=clinic_id,
        actor_id=actor.actor_id,
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        purpose=purpose,
        at=now,
    )
    session.add(entry)
    session.flush()


def limit_rate(
    session: Session, actor: Actor, action: str, most: int, *conditions: ColumnElement[bool], now: datetime
) -> None:
    """Raise TooOften when the access log says that the actor has done this ``most`` times within RATE_SECONDS (S36).

    The log is in the database, so that the limit holds over all processes; ``conditions`` name the clinic or the
    subject, by which the log is indexed. Two requests at the same moment may both be let through.
    """
    since = now - timedelta(seconds=RATE_SECONDS)
    recent = (AccessEntry.actor_id == actor.actor_id, AccessEntry.action == action, AccessEntry.at > since, *conditions)
    count, first_at = session.execute(select(func.count(), func.min(AccessEntry.at)).where(*recent)).one()
    if count >= most:
        wait = RATE_SECONDS - (now - first_at).total_seconds()
        raise TooOften("This was asked too often; try again in a moment.", retry_after_seconds=max(math.ceil(wait), 1))


def _check_fit(session: Session, role: Role, clinics: Collection[Clinic], user: User | None) -> None:
    if role == Role.RECEPTIONIST and user is None:
        raise BadInput("A key with role receptionist needs the user it belongs to.")
    if role == Role.OPERATOR and clinics:
        raise BadInput("A key with role operator reaches all clinics; name none.")
    if user is None:
        if role != Role.OPERATOR and not clinics:
            raise BadInput(f"A key with role {role} needs at least one clinic.")
        return
    if user.role != role:
        raise BadInput(f"The user has the role {user.role}, so the key cannot have the role {role}.")
    if not {clinic.id for clinic in clinics} <= clinic_ids_of_user(session, user.id) and role != Role.OPERATOR:
        raise BadInput("The user is not assigned to every clinic that was named.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
