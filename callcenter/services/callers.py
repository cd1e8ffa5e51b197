"""Callers: the people who ring one clinic. Nothing here ever looks across clinics (P6)."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from callcenter.domain import phone_numbers
from callcenter.domain.permissions import Actor
from callcenter.domain.text_rules import clean_email, clean_text
from callcenter.models import Caller, Clinic
from callcenter.services.access import in_view
from callcenter.services.paging import DEFAULT_LIMIT, Page, after, check_limit, page_of, read_cursor


def match_caller(session: Session, clinic_id: str, number: str | None) -> list[Caller]:
    """The clinic's callers with an E.164 number. One is the caller; several are choices, and none of them is guessed.

    A withheld number (None) matches nobody.
    """
    if number is None:
        return []
    query = select(Caller).where(Caller.clinic_id == clinic_id, Caller.number == number)
    return list(session.scalars(query.order_by(Caller.name, Caller.id)))


def find_or_create_caller(
    session: Session, clinic: Clinic, *, name: str, number: str | None, email: str | None, now: datetime
) -> Caller:
    """The caller of this clinic with this number and name, made when there is none. Raises BadInput.

    Somebody without a number is always a new caller: a name alone would join people who only share it. An email
    address fills a gap and never replaces the one that is known: a correction is an edit of the caller, not a side
    effect of a booking (P41).
    """
    name = clean_text(name, field="The caller's name", limit=120)
    e164 = phone_numbers.normalise(number, field="The caller's number") if number and number.strip() else None
    address = clean_email(email) if email and email.strip() else None
    caller = _find(session, clinic.id, name, e164)
    if caller is None:
        caller = _create(session, Caller(clinic_id=clinic.id, name=name, number=e164, email=address, created_at=now))
    if address is not None and caller.email is None:
        caller.email = address
        caller.version += 1
    return caller


def list_callers(
    session: Session,
    actor: Actor,
    clinic: Clinic | None = None,
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Caller]:
    """Callers of one clinic, or of all in the actor's view, oldest first. Raises BadInput for limit or cursor."""
    query = select(Caller).where(in_view(actor, Caller.clinic_id))
    if clinic is not None:
        query = query.where(Caller.clinic_id == clinic.id)
    last = read_cursor(cursor)
    if last is not None:
        query = query.where(after(last, Caller.created_at, Caller.id))
    query = query.order_by(Caller.created_at, Caller.id).limit(check_limit(limit) + 1)
    return page_of(session.scalars(query).all(), limit, lambda caller: (caller.created_at, caller.id))


def _find(session: Session, clinic_id: str, name: str, number: str | None) -> Caller | None:
    if number is None:
        return None
    query = select(Caller).where(Caller.clinic_id == clinic_id, Caller.number == number, Caller.name == name)
    return session.scalar(query)


def _create(session: Session, caller: Caller) -> Caller:
    """Insert; when the same caller was made at the same moment, take that one."""
    clinic_id, name, number = caller.clinic_id, caller.name, caller.number
    try:
        with session.begin_nested():
            session.add(caller)
            session.flush()
    except IntegrityError:
        other = _find(session, clinic_id, name, number)
        if other is None:
            raise
        return other
    return caller
