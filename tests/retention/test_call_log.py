"""Old calls lose what leads to a person and keep what is counted (P35)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from callcenter.db import reading, transaction
from callcenter.domain.bookings import LinkAction
from callcenter.domain.calls import CallState, Disposition, LegRole, Outcome
from callcenter.domain.commands import CommandKind
from callcenter.models import (
    Base,
    BookingLink,
    Call,
    CallLeg,
    CarrierCommand,
    CarrierEvent,
    LegalHold,
    Offer,
    Recording,
    ReplayedCall,
    Search,
)
from retention.call_log import blank_calls, remove_expired_rows
from tests.factories import (
    NOW,
    create_answered_call,
    create_booking,
    create_booking_link,
    create_caller,
    create_clinic,
    create_legal_hold,
    create_offer,
    create_receptionist,
    create_recording,
)

CANARY = "+447700900987"


@pytest.fixture
def full_call(engine: Engine) -> str:
    """A call with everything around it, which expires now; answers its id."""
    with transaction(engine) as session:
        clinic = create_clinic(session)
        receptionist = create_receptionist(session, clinic)
        call = create_answered_call(
            session, clinic,
            from_number=CANARY, caller_id=create_caller(session, clinic, number=CANARY).id, expires_at=NOW,
            receptionist_id=receptionist.user_id, disposition=Disposition.OTHER, disposition_reason=CANARY,
            needs_link=False,
        )  # fmt: skip
        offer = create_offer(session, call, receptionist)
        call.accepted_offer_id = offer.id
        plain: dict[str, Any] = {"clinic_id": clinic.id, "call_id": call.id}
        session.add(
            CallLeg(
                **plain, offer_id=offer.id, turn=1, role=LegRole.RECEPTIONIST, carrier_call_sid="CA1", started_at=NOW
            )
        )
        session.add(
            CarrierEvent(**plain, turn=1, unique_key=f"{CANARY}:x", kind="leg", data={"from": CANARY}, received_at=NOW)
        )
        session.add(
            CarrierCommand(**plain, kind=CommandKind.RING, subject_id=offer.id, next_attempt_at=NOW, created_at=NOW)
        )
        create_booking_link(session, call, create_booking(session, clinic), LinkAction.BOOKED)
        recording = create_recording(session, call)
        hold = create_legal_hold(session, recording, reason=CANARY, released_at=NOW, release_reason=CANARY)
        recording.held = hold.released_at is None
        return call.id


def test_everything_that_leads_to_a_person_goes(engine: Engine, full_call: str) -> None:
    assert blank_calls(engine, now=NOW).done == 1
    with reading(engine) as session:
        call = session.get_one(Call, full_call)
        assert (call.from_number, call.caller_id, call.receptionist_id, call.disposition_reason) == (None,) * 4
        assert (call.carrier_call_sid, call.accepted_offer_id, call.blanked_at) == (None, None, NOW)
        assert session.scalar(select(CallLeg.carrier_call_sid)) is None
        for table in (Offer, CarrierEvent, CarrierCommand, BookingLink):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        assert session.scalar(select(LegalHold.reason)) == ""


def test_a_planted_number_is_found_nowhere_but_with_its_caller(engine: Engine, full_call: str) -> None:
    blank_calls(engine, now=NOW)
    with reading(engine) as session:
        holding = {
            table.name
            for table in Base.metadata.sorted_tables
            for row in session.execute(select(table))
            if CANARY in str(tuple(row))
        }
    assert holding == {"callers"}


def test_what_is_counted_stays(engine: Engine, full_call: str) -> None:
    with reading(engine) as session:
        before = session.get_one(Call, full_call)
    blank_calls(engine, now=NOW)
    with reading(engine) as session:
        after = session.get_one(Call, full_call)
    counted = ("clinic_id", "state", "outcome", "disposition", "started_at", "connected_at", "ended_at", "talk_seconds")
    assert [getattr(after, name) for name in counted] == [getattr(before, name) for name in counted]
    assert (after.outcome, after.disposition) == (Outcome.ANSWERED, Disposition.OTHER)


def test_a_call_is_blanked_once(engine: Engine, full_call: str) -> None:
    blank_calls(engine, now=NOW)
    assert blank_calls(engine, now=NOW + timedelta(days=1)).done == 0


@pytest.mark.parametrize(
    "values",
    [{"expires_at": NOW + timedelta(microseconds=1)}, {"state": CallState.CONNECTED, "ended_at": None}],
    ids=["not expired", "still running"],
)
def test_other_calls_are_left_alone(engine: Engine, values: dict[str, Any]) -> None:
    with transaction(engine) as session:
        create_answered_call(session, create_clinic(session), **{"expires_at": NOW, **values})
    assert blank_calls(engine, now=NOW).done == 0


def test_a_call_with_a_held_recording_waits(engine: Engine, full_call: str) -> None:
    with transaction(engine) as session:
        hold = session.scalars(select(LegalHold)).one()
        hold.released_at = None
        recording = session.get_one(Recording, hold.recording_id)
        recording.held = True
    assert blank_calls(engine, now=NOW).done == 0


def test_many_calls_go_in_batches(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retention.call_log.BATCH", 3)
    with transaction(engine) as session:
        clinic = create_clinic(session)
        for _ in range(7):
            create_answered_call(session, clinic, expires_at=NOW)
    assert blank_calls(engine, now=NOW).done == 7


def test_expired_searches_and_replays_are_removed(engine: Engine) -> None:
    with transaction(engine) as session:
        for until in (NOW, NOW + timedelta(seconds=1)):
            session.add(Search(owner_id="u1", criteria={"number": CANARY}, created_at=NOW, expires_at=until))
            session.add(ReplayedCall(sid_hash=f"{until}", seen_at=NOW, expires_at=until))
    assert remove_expired_rows(engine, now=NOW).done == 2
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Search)) == 1
