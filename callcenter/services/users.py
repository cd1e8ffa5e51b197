"""Users: adding the people who work with the service, and finding them."""

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
from callcenter.models import Assignment, Clinic, Receptionist, User, new_id


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
