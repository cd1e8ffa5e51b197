"""The demo's clinics, people, callers and bookings. Every start finds the same ones again.

Passwords and API keys are made once and kept in the state directory, readable by its owner only, so that a second start
can print them again. Numbers are from the ranges that Ofcom keeps for fiction.
"""

import json
import os
import random
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from argon2 import PasswordHasher
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from callcenter.config import Settings
from callcenter.db import transaction
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.domain.receptionists import Role
from callcenter.errors import BadInput, Conflict, NotFound
from callcenter.models import Booking, Clinic
from callcenter.services import clinics
from callcenter.services.access import actor_for_key, create_api_key
from callcenter.services.bookings import make_booking
from callcenter.services.users import add_user, find_user

ACCOUNTS_FILE = "demo-accounts.json"
TIMEZONE = "Europe/London"


@dataclass(frozen=True)
class DemoClinic:
    """A clinic of the demo and what it offers; services are names with their minutes."""

    slug: str
    name: str
    number: str
    practitioners: tuple[str, ...]
    services: tuple[tuple[str, int], ...]


CLINICS = (
    DemoClinic(
        "rosehill",
        "Rosehill Surgery",
        "+441632960011",
        ("Dr Amara Okafor", "Dr James Whitfield", "Nurse Priya Nair"),
        (("Consultation", 15), ("Long consultation", 30), ("Blood test", 10)),
    ),
    DemoClinic(
        "lakeside",
        "Lakeside Dental Practice",
        "+441632960022",
        ("Dr Helen Marsh", "Dr Tomasz Nowak"),
        (("Check-up", 20), ("Hygienist", 30), ("Filling", 45)),
    ),
)

CALLERS = (
    ("Margaret Ellis", "+447700900101"),
    ("David Ellis", "+447700900101"),
    ("Sunita Patel", "+447700900102"),
    ("Owen Hughes", "+447700900103"),
    ("Zoë Lindqvist", "+447700900104"),
    ("Grace Adeyemi", "+447700900105"),
    ("Ronan O'Brien", "+447700900106"),
    ("Chen Wei", "+447700900107"),
)
"""Two of them share a number: a call from it offers both and guesses neither."""


@dataclass(frozen=True)
class DemoPerson:
    """Somebody of the demo with what she signs in with; ``api_key`` is hers and has her role."""

    email: str
    name: str
    role: str
    clinics: tuple[str, ...]
    user_id: str
    identity: str
    password: str
    second_factor_secret: str
    api_key: str


@dataclass(frozen=True)
class DemoAccounts:
    """Everybody of the demo."""

    people: tuple[DemoPerson, ...]

    def of_role(self, role: Role) -> list[DemoPerson]:
        """The people with a role, in the order of PEOPLE."""
        return [person for person in self.people if person.role == role]


PEOPLE: tuple[tuple[str, str, Role, tuple[str, ...]], ...] = (
    ("robot@demo.example", "Demo Receptionist", Role.RECEPTIONIST, ("rosehill", "lakeside")),
    ("rosie@demo.example", "Rosie Clarke", Role.RECEPTIONIST, ("rosehill", "lakeside")),
    ("amir@demo.example", "Amir Hassan", Role.RECEPTIONIST, ("rosehill",)),
    ("supervisor@demo.example", "Beth Turner", Role.SUPERVISOR, ("rosehill", "lakeside")),
    ("manager@rosehill.example", "Karen Doyle", Role.CLINIC_MANAGER, ("rosehill",)),
    ("viewer@rosehill.example", "Luke Barnes", Role.CLINIC_VIEWER, ("rosehill",)),
    ("manager@lakeside.example", "Fiona Reid", Role.CLINIC_MANAGER, ("lakeside",)),
    ("privacy@demo.example", "Nadia Rahman", Role.PRIVACY_OFFICER, ("rosehill", "lakeside")),
    ("operator@demo.example", "Sam Fielding", Role.OPERATOR, ()),
)
"""The first is the one who answers by herself until a person signs in."""


def seed(engine: Engine, settings: Settings, now: datetime) -> DemoAccounts:
    """Make what is missing of the demo's data; answers the accounts, the same ones at every start."""
    file = settings.state_dir / ACCOUNTS_FILE
    known = {person.email: person for person in _read(file)}
    with transaction(engine) as session:
        rows = {one.slug: _clinic(session, one, now) for one in CLINICS}
        people = [
            _person(session, known.get(email), email, name, role, [rows[slug] for slug in slugs], now)
            for email, name, role, slugs in PEOPLE
        ]
        for one in CLINICS:
            _bookings(session, rows[one.slug], now)
    _write(file, people)
    return DemoAccounts(tuple(people))


def _clinic(session: Session, one: DemoClinic, now: datetime) -> Clinic:
    try:
        return clinics.find_clinic(session, one.slug, COMMAND_LINE)
    except NotFound:
        row = clinics.add_clinic(
            session, slug=one.slug, name=one.name, numbers=[one.number], timezone=TIMEZONE, now=now
        )
        for name in one.practitioners:
            clinics.add_practitioner(session, row, name=name, now=now)
        for name, minutes in one.services:
            clinics.add_service(session, row, name=name, minutes=minutes, now=now)
        return row


def _person(
    session: Session,
    known: DemoPerson | None,
    email: str,
    name: str,
    role: Role,
    rows: Sequence[Clinic],
    now: datetime,
) -> DemoPerson:
    """The person with a password and a key that work: those of the file when they do, else new ones."""
    password = known.password if known else secrets.token_urlsafe(12)
    try:
        user = find_user(session, email)
    except NotFound:
        user = add_user(session, email=email, name=name, role=role, clinics=rows, password=password, now=now)
    else:
        if known is None:
            user.password_hash = PasswordHasher().hash(password)
    actor = actor_for_key(session, known.api_key) if known else None
    if known is not None and actor is not None and actor.user_id == user.id:
        key = known.api_key
    else:
        key = create_api_key(session, name=f"Demo: {name}", role=role, clinics=(), user=user, now=now).secret
    return DemoPerson(
        email=email,
        name=name,
        role=role.value,
        clinics=tuple(row.slug for row in rows),
        user_id=user.id,
        identity=user.identity,
        password=password,
        second_factor_secret=user.second_factor_secret,
        api_key=key,
    )


def _bookings(session: Session, clinic: Clinic, now: datetime) -> None:
    """A week of bookings in working hours, when the clinic has none to come."""
    coming = select(Booking.id).where(Booking.clinic_id == clinic.id, Booking.starts_at > now).limit(1)
    if session.scalar(coming) is not None:
        return
    chance = random.Random(clinic.slug)
    people = clinics.list_practitioners(session, COMMAND_LINE, clinic)
    services = clinics.list_services(session, COMMAND_LINE, clinic)
    midnight = now.astimezone(ZoneInfo(clinic.timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(1, 8):
        for practitioner in people:
            for hour in chance.sample(range(9, 17), 3):
                name, number = chance.choice(CALLERS)
                try:
                    make_booking(
                        session,
                        clinic,
                        practitioner_id=practitioner.id,
                        service_id=chance.choice(services).id,
                        starts_at=midnight + timedelta(days=day, hours=hour),
                        caller_name=name,
                        caller_number=number,
                        actor=COMMAND_LINE,
                        now=now,
                    )
                except (BadInput, Conflict):
                    continue  # the clinic has set hours, or the time is taken: fewer bookings do no harm


def _read(file: Path) -> list[DemoPerson]:
    try:
        people = json.loads(file.read_text(encoding="utf-8"))["people"]
        return [DemoPerson(**person | {"clinics": tuple(person["clinics"])}) for person in people]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []  # no file yet, or one of an older form: new passwords and keys are made


def _write(file: Path, people: Sequence[DemoPerson]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        json.dump({"people": [asdict(person) for person in people]}, output, indent=2, ensure_ascii=False)
    part.replace(file)
