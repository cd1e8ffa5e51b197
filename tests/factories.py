"""Rows for tests: each ``create_*`` adds the smallest sensible row and flushes, so that its id is known.

Every column can be given by name; what is not given is plausible. Nothing is committed here.
"""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from callcenter.domain.bookings import LinkAction, occupied_slots
from callcenter.domain.calls import CallState, OfferState, Outcome
from callcenter.domain.receptionists import Presence, Role
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.models import (
    Assignment,
    Booking,
    BookingLink,
    BookingSlot,
    Call,
    Caller,
    Clinic,
    ClinicNumber,
    LegalHold,
    Offer,
    OpeningBand,
    Practitioner,
    Receptionist,
    Recording,
    Service,
    User,
    new_id,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday morning in winter: London time is UTC."""

Row = TypeVar("Row")

_numbers = itertools.count(1)


def create_clinic(session: Session, *, number: str | None = None, **values: Any) -> Clinic:
    """A clinic in London with one number (a fictitious one unless given), always open."""
    n = next(_numbers)
    defaults: dict[str, Any] = {
        "slug": f"clinic-{n}",
        "name": f"Clinic {n}",
        "timezone": "Europe/London",
        "retention_days": 30,
        "call_log_days": 365,
        "created_at": NOW,
    }
    clinic = _add(session, Clinic(**defaults | values))
    _add(session, ClinicNumber(clinic_id=clinic.id, number=number or f"+441632{960000 + n % 1000:06d}"))
    return clinic


def create_opening_band(session: Session, clinic: Clinic, weekday: int, opens: int, closes: int) -> OpeningBand:
    """One band of opening hours: Monday is 0, minutes after midnight in the clinic's time zone."""
    clinic.hours_set_at = clinic.hours_set_at or NOW
    band = OpeningBand(clinic_id=clinic.id, weekday=weekday, opens_minute=opens, closes_minute=closes)
    return _add(session, band)


def create_practitioner(session: Session, clinic: Clinic, **values: Any) -> Practitioner:
    """A practitioner of the clinic."""
    defaults = {"clinic_id": clinic.id, "name": f"Dr Number {next(_numbers)}", "created_at": NOW}
    return _add(session, Practitioner(**defaults | values))


def create_service(session: Session, clinic: Clinic, **values: Any) -> Service:
    """A service of 30 minutes."""
    name = f"Consultation {next(_numbers)}"
    return _add(session, Service(**{"clinic_id": clinic.id, "name": name, "minutes": 30, "created_at": NOW} | values))


def create_user(session: Session, role: Role, *clinics: Clinic, **values: Any) -> User:
    """Somebody with a role, assigned to the clinics; nobody can sign in with the password hash that stands here."""
    n = next(_numbers)
    defaults: dict[str, Any] = {
        "email": f"person-{n}@example.org",
        "name": f"Person {n}",
        "role": role,
        "identity": f"receptionist_{new_id()}",
        "password_hash": "none",
        "second_factor_secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "created_at": NOW,
    }
    user = _add(session, User(**defaults | values))
    for clinic in clinics:
        _add(session, Assignment(user_id=user.id, clinic_id=clinic.id))
    return user


def create_receptionist(
    session: Session, *clinics: Clinic, user: dict[str, Any] | None = None, **values: Any
) -> Receptionist:
    """A receptionist who is available, idle and reachable at NOW; ``user`` holds columns of her User row.

    The row's ``user`` relation is loaded.
    """
    person = create_user(session, Role.RECEPTIONIST, *clinics, **(user or {}))
    defaults: dict[str, Any] = {
        "user_id": person.id,
        "presence": Presence.AVAILABLE,
        "presence_changed_at": NOW,
        "idle_since_at": NOW,
        "heartbeat_at": NOW,
    }
    receptionist = Receptionist(**defaults | values)
    receptionist.user = person
    return _add(session, receptionist)


def create_caller(session: Session, clinic: Clinic, **values: Any) -> Caller:
    """A caller of the clinic with a number of her own (fictitious mobile)."""
    n = next(_numbers)
    defaults: dict[str, Any] = {
        "clinic_id": clinic.id,
        "number": f"+447700900{n % 1000:03d}",
        "name": f"Caller {n}",
        "created_at": NOW,
    }
    return _add(session, Caller(**defaults | values))


def create_booking(
    session: Session,
    clinic: Clinic,
    practitioner: Practitioner | None = None,
    service: Service | None = None,
    caller: Caller | None = None,
    **values: Any,
) -> Booking:
    """A booking tomorrow at ten (UTC) with the slots it occupies; who and what is created when not given."""
    practitioner = practitioner or create_practitioner(session, clinic)
    service = service or create_service(session, clinic)
    starts_at = values.pop("starts_at", NOW + timedelta(days=1, hours=1))
    defaults: dict[str, Any] = {
        "clinic_id": clinic.id,
        "practitioner_id": practitioner.id,
        "service_id": service.id,
        "caller_id": (caller or create_caller(session, clinic)).id,
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(minutes=service.minutes),
        "created_at": NOW,
    }
    booking = _add(session, Booking(**defaults | values))
    for slot in occupied_slots(booking.starts_at, booking.ends_at):
        taken = {"practitioner_id": practitioner.id, "clinic_id": clinic.id, "booking_id": booking.id}
        session.add(BookingSlot(starts_at=slot, **taken))
    session.flush()
    return booking


def create_call(session: Session, clinic: Clinic, **values: Any) -> Call:
    """A call that has just come in (state ringing) from a fictitious mobile."""
    defaults: dict[str, Any] = {
        "clinic_id": clinic.id,
        "carrier_call_sid": f"CA{new_id()}",
        "from_number": "+447700900123",
        "to_number": "+441632960011",
        "started_at": NOW,
        "check_at": NOW + timedelta(minutes=5),
        "expires_at": NOW + timedelta(days=365),
    }
    return _add(session, Call(**defaults | values))


def create_answered_call(session: Session, clinic: Clinic, **values: Any) -> Call:
    """A call that was answered after 20 s, talked for 100 s and has ended without an outcome being filed."""
    started_at = values.get("started_at", NOW)
    defaults: dict[str, Any] = {
        "state": CallState.ENDED,
        "outcome": Outcome.ANSWERED,
        "queued_at": started_at + timedelta(seconds=8),
        "connected_at": started_at + timedelta(seconds=20),
        "ended_at": started_at + timedelta(seconds=120),
        "talk_seconds": 100.0,
        "needs_link": True,
    }
    return create_call(session, clinic, **defaults | values)


def create_offer(session: Session, call: Call, receptionist: Receptionist, **values: Any) -> Offer:
    """An offer that is ringing."""
    defaults: dict[str, Any] = {
        "clinic_id": call.clinic_id,
        "call_id": call.id,
        "receptionist_id": receptionist.user_id,
        "turn": call.turn,
        "state": OfferState.RINGING,
        "created_at": NOW,
        "ring_until_at": NOW + timedelta(seconds=15),
    }
    return _add(session, Offer(**defaults | values))


def create_recording(session: Session, call: Call, **values: Any) -> Recording:
    """A stored conversation of two channels that expires 30 days after its end; no bytes are stored anywhere."""
    started_at = values.get("started_at", call.started_at)
    ended_at = values.get("ended_at", started_at + timedelta(seconds=100))
    defaults: dict[str, Any] = {
        "clinic_id": call.clinic_id,
        "call_id": call.id,
        "turn": call.turn,
        "kind": RecordingKind.CONVERSATION,
        "state": RecordingState.STORED,
        "carrier_call_sid": call.carrier_call_sid,
        "carrier_recording_sid": f"RE{new_id()}",
        "store_key": f"recordings/{new_id()}",
        "channels": 2,
        "duration_seconds": 100,
        "size_bytes": 3_200_044,
        "sha256": "0" * 64,
        "started_at": started_at,
        "ended_at": ended_at,
        "stored_at": ended_at,
        "retention_days": 30,
        "policy_version": 1,
        "expires_at": (ended_at or started_at) + timedelta(days=30),
        "next_attempt_at": started_at,
    }
    return _add(session, Recording(**defaults | values))


def create_legal_hold(session: Session, recording: Recording, **values: Any) -> LegalHold:
    """A hold in force; marks the recording as held."""
    defaults: dict[str, Any] = {
        "clinic_id": recording.clinic_id,
        "recording_id": recording.id,
        "reason": "Complaint under review",
        "placed_by": "command-line",
        "placed_at": NOW,
        "review_on": (NOW + timedelta(days=90)).date(),
    }
    recording.held = True
    return _add(session, LegalHold(**defaults | values))


def create_booking_link(session: Session, call: Call, booking: Booking, action: LinkAction) -> BookingLink:
    """A link that says what the call did to the booking."""
    link = BookingLink(
        clinic_id=call.clinic_id,
        call_id=call.id,
        booking_id=booking.id,
        action=action,
        linked_by="command-line",
        created_at=NOW,
    )
    return _add(session, link)


def _add(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row
