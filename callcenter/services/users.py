"""Users: the people who work with the service, the clinics they work for, and when they leave."""

from collections.abc import Collection
from datetime import datetime

from argon2 import PasswordHasher
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from callcenter.domain.passwords import check_password
from callcenter.domain.receptionists import Role
from callcenter.domain.second_factor import new_secret
from callcenter.domain.text_rules import clean_email, clean_text
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import ApiKey, ApiKeyClinic, Assignment, Clinic, Receptionist, User, new_id


def add_user(
    session: Session,
    *,
    email: str,
    name: str,
    role: Role,
    clinics: Collection[Clinic],
    password: str,
    now: datetime,
) -> User:
    """A new user with a second factor; a receptionist also gets her working state, signed out.

    Raises BadInput, or Conflict ``email_taken``. Operators serve all clinics and are assigned to none; everybody else
    needs at least one. The password is stored with Argon2id (S18).
    """
    email = clean_email(email)
    if role == Role.OPERATOR and clinics:
        raise BadInput("An operator serves all clinics; name none.")
    if role != Role.OPERATOR and not clinics:
        raise BadInput(f"A user with role {role} needs at least one clinic.")
    check_password(password, email=email)
    user = User(
        email=email,
        name=clean_text(name, field="The name", limit=120),
        role=role,
        identity=f"receptionist_{new_id()}",
        password_hash=PasswordHasher().hash(password),
        second_factor_secret=new_secret(),
        created_at=now,
        assignments=[Assignment(clinic_id=clinic.id) for clinic in clinics],
    )
    try:
        with session.begin_nested():
            session.add(user)
            session.flush()
    except IntegrityError:
        raise Conflict("There is already a user with this email address.", code="email_taken") from None
    if role == Role.RECEPTIONIST:
        session.add(Receptionist(user_id=user.id, presence_changed_at=now, idle_since_at=now))
        session.flush()
    return user


def find_user(session: Session, email: str) -> User:
    """The user with this address. Raises NotFound, or BadInput for what is no address."""
    user = session.scalar(select(User).where(User.email == clean_email(email)))
    if user is None:
        raise NotFound("There is no such user.")
    return user


def disable_user(session: Session, user: User, *, now: datetime) -> None:
    """The user and her keys are refused, and she is not rung, from the next request on (P20). Raises Conflict when she
    was disabled before."""
    if user.disabled_at is not None:
        raise Conflict("The user has been disabled already.")
    user.disabled_at = now
    session.flush()


def assign_user(session: Session, user: User, clinic: Clinic, *, with_keys: bool = False) -> None:
    """The user works for the clinic from the next request on. Her API keys reach what they were made for, and this
    clinic only ``with_keys``.

    Raises BadInput for an operator, and Conflict when she works for the clinic already.
    """
    if user.role == Role.OPERATOR:
        raise BadInput("An operator serves all clinics and is assigned to none.")
    try:
        with session.begin_nested():
            session.add(Assignment(user_id=user.id, clinic_id=clinic.id))
            session.flush()
    except IntegrityError:
        raise Conflict("The user works for this clinic already.") from None
    if with_keys:
        for key_id in session.scalars(select(ApiKey.id).where(ApiKey.user_id == user.id, ApiKey.revoked_at.is_(None))):
            session.merge(ApiKeyClinic(api_key_id=key_id, clinic_id=clinic.id))
        session.flush()


def unassign_user(session: Session, user: User, clinic: Clinic) -> None:
    """The user and her keys reach nothing of the clinic from the next request on (P20). The last clinic may go too.
    Raises NotFound when she does not work for it."""
    assignment = session.get(Assignment, (user.id, clinic.id))
    if assignment is None:
        raise NotFound("The user does not work for this clinic.")
    session.delete(assignment)
    session.flush()
