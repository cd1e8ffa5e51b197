"""Every call that the carrier knows is in the log, once, with what can be known of it (P34, F1, F2, F20, F35)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState, LegRole, LegState, Outcome
from callcenter.errors import BadInput, CarrierUnavailable
from callcenter.models import Call, ClinicNumber, new_id
from callcenter.ports import CarrierCall
from callcenter.services import replays
from retention.call_log import blank_calls
from retention.reconcile.work import Wishes
from tests.factories import NOW, create_call, create_caller, create_clinic, create_opening_band
from tests.retention.reconciling import DAY, HOUR, Desk, counts


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def test_a_call_that_was_missed_enters_the_log_with_what_is_known(desk: Desk) -> None:
    clinic = desk.clinic()
    with transaction(desk.engine) as session:
        caller = create_caller(session, clinic, number="+447700900321")
    rang = desk.rang(clinic, seconds=40)
    report = desk.reconcile()
    [call] = desk.log()
    assert counts(report) == {"call_not_in_log": (1, 1)}
    assert (call.clinic_id, call.carrier_call_sid) == (clinic.id, rang.carrier_call_sid)
    assert (call.from_number, call.to_number, call.caller_id) == ("+447700900321", rang.to, caller.id)
    assert (call.started_at, call.ended_at) == (rang.started_at, rang.ended_at)
    assert (call.state, call.outcome, call.ended_by) == (CallState.ENDED, Outcome.FAILED, None)
    assert call.expires_at == call.started_at + timedelta(days=365)
    [leg] = desk.legs(call)
    assert (leg.role, leg.state) == (LegRole.CALLER, LegState.COMPLETED)


def test_a_call_that_was_forwarded_says_so_by_its_legs(desk: Desk) -> None:
    rang = desk.rang(desk.clinic())
    leg = CarrierCall(f"CA{new_id()}", LegState.COMPLETED, "+441632960077", NOW - HOUR, NOW - HOUR / 2)
    desk.carrier.forwarded[rang.carrier_call_sid] = [leg]
    desk.reconcile()
    [call] = desk.log()
    assert call.outcome == Outcome.FAILED
    assert [(one.role, one.state) for one in desk.legs(call)] == [
        (LegRole.CALLER, LegState.COMPLETED),
        (LegRole.TRANSFER_TARGET, LegState.COMPLETED),
    ]


@pytest.mark.parametrize(
    ("seconds", "state", "open_on", "outcome"),
    [
        (2, LegState.COMPLETED, None, Outcome.SHORT_ABANDONED),
        (40, LegState.COMPLETED, None, Outcome.FAILED),
        (0, LegState.FAILED, None, Outcome.FAILED),
        (40, LegState.COMPLETED, 5, Outcome.CLOSED),
    ],
)
def test_the_outcome_is_honest(
    desk: Desk, seconds: int, state: LegState, open_on: int | None, outcome: Outcome
) -> None:
    with transaction(desk.engine) as session:
        clinic = create_clinic(session)
        if open_on is not None:
            create_opening_band(session, clinic, open_on, 8 * 60, 18 * 60)
    desk.rang(clinic, seconds=seconds, state=state)
    desk.reconcile()
    assert [call.outcome for call in desk.log()] == [outcome]


def test_a_withheld_number_joins_nobody(desk: Desk) -> None:
    clinic = desk.clinic()
    desk.rang(clinic, from_number=None)
    desk.reconcile()
    assert [(call.from_number, call.caller_id) for call in desk.log()] == [(None, None)]


def test_every_call_is_in_the_log_once_however_often_and_by_how_many_it_is_compared(desk: Desk) -> None:
    clinic = desk.clinic()
    sids = {desk.rang(clinic, at=NOW - HOUR - timedelta(minutes=n)).carrier_call_sid for n in range(30)}
    with ThreadPoolExecutor(3) as threads:
        reports = list(threads.map(lambda _: desk.reconcile(), range(3)))
    assert {call.carrier_call_sid for call in desk.log()} == sids
    assert len(desk.log()) == 30
    assert [report.failed for report in reports] == [0, 0, 0]
    assert counts(desk.reconcile()) == {}


def test_without_repair_nothing_is_changed(desk: Desk) -> None:
    rang = desk.rang(desk.clinic())
    report = desk.reconcile(Wishes())
    assert (counts(report), desk.log()) == ({"call_not_in_log": (1, 0)}, [])
    assert report.remaining == 1
    assert [finding.id for finding in report.findings] == [rang.carrier_call_sid]


def test_a_live_call_and_a_call_to_a_number_of_nobody_are_left_alone(desk: Desk) -> None:
    clinic = desk.clinic()
    desk.rang(clinic, state=LegState.IN_PROGRESS, ended_at=None)
    desk.rang(clinic, to="+441632999999")
    assert (counts(desk.reconcile()), desk.log()) == ({}, [])


def test_a_removed_replay_does_not_come_back(desk: Desk) -> None:
    clinic = desk.clinic()
    rang = desk.rang(clinic)
    with transaction(desk.engine) as session:
        call = create_call(session, clinic, carrier_call_sid=rang.carrier_call_sid)
        replays.remove(session, call, now=NOW)
    assert (counts(desk.reconcile()), desk.log()) == ({}, [])


def test_a_call_that_was_blanked_or_would_be_at_once_does_not_come_back(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        clinic = create_clinic(session, call_log_days=1)
    desk.rang(clinic, at=NOW - 2 * DAY)
    desk.rang(clinic, at=NOW - HOUR)
    desk.reconcile(since=NOW - 3 * DAY)
    assert [call.started_at for call in desk.log()] == [NOW - HOUR]
    desk.now = NOW + DAY
    assert blank_calls(desk.engine, now=desk.now).done == 1
    with transaction(desk.engine) as session:
        session.merge(clinic).call_log_days = 365  # kept for longer from now on
    report = desk.reconcile(since=NOW - 30 * HOUR)
    assert (counts(report), len(desk.log())) == ({}, 1)


def test_a_number_that_moved_keeps_its_old_calls_with_the_old_clinic(desk: Desk) -> None:
    old, new = desk.clinic(), desk.clinic()
    number = desk.number(old)
    with transaction(desk.engine) as session:
        for clinic, at in ((old, NOW - 9 * HOUR), (old, NOW - 6 * HOUR), (new, NOW - 3 * HOUR)):
            create_call(session, clinic, started_at=at, to_number=number, state=CallState.ENDED, ended_at=at)
        moved = update(ClinicNumber).where(ClinicNumber.number == number).values(clinic_id=new.id)
        session.execute(moved)
    known = {call.id for call in desk.log()}
    for hours in (8, 5, 2):
        desk.rang(new, to=number, at=NOW - hours * HOUR)
    report = desk.reconcile()
    entered = {call.started_at: call.clinic_id for call in desk.log() if call.id not in known}
    assert entered == {NOW - 8 * HOUR: old.id, NOW - 2 * HOUR: new.id}
    assert counts(report) == {"call_not_in_log": (2, 2), "call_of_unknown_clinic": (1, 0)}


def test_a_call_whose_end_nobody_told_is_asked_about_at_once(desk: Desk) -> None:
    clinic = desk.clinic()
    rang = desk.rang(clinic)
    with transaction(desk.engine) as session:
        create_call(session, clinic, carrier_call_sid=rang.carrier_call_sid, check_at=NOW + HOUR)
    assert counts(desk.reconcile()) == {"call_not_ended": (1, 1)}
    assert [(call.state, call.check_at) for call in desk.log()] == [(CallState.RINGING, NOW)]


def test_a_list_that_breaks_off_is_no_success_and_goes_on_next_time(desk: Desk) -> None:
    clinic = desk.clinic()
    calls = [desk.rang(clinic, at=NOW - HOUR - timedelta(minutes=n)) for n in range(5)]
    desk.carrier.errors[calls[3].carrier_call_sid] = [CarrierUnavailable("Away.")]
    first = desk.reconcile(everything=False)
    assert (first.failed, dict(first.failures)) == (1, {"carrier_unavailable": 1})
    assert desk.reconcile(everything=False).failed == 0
    assert len(desk.log()) == 5


def test_one_call_that_cannot_be_looked_up_does_not_keep_the_others_out(desk: Desk) -> None:
    clinic = desk.clinic()
    for n in range(4):
        desk.rang(clinic, at=NOW - HOUR - timedelta(minutes=n))
    desk.carrier.errors["forwarded_legs"] = [CarrierUnavailable("Away.")]
    report = desk.reconcile()
    assert (counts(report), report.failed) == ({"call_not_in_log": (4, 3)}, 1)
    assert counts(desk.reconcile()) == {"call_not_in_log": (1, 1)}


def test_after_an_outage_the_quick_comparison_goes_back_to_where_the_last_one_ended(desk: Desk) -> None:
    clinic = desk.clinic()
    desk.reconcile(everything=False)
    desk.rang(clinic, at=NOW + HOUR)
    desk.now = NOW + 9 * DAY
    assert counts(desk.reconcile(everything=False)) == {"call_not_in_log": (1, 1)}
    desk.rang(clinic, at=NOW + HOUR)  # compared before, and long ago: not asked for again
    assert counts(desk.reconcile(everything=False)) == {}
    assert counts(desk.reconcile(since=NOW)) == {"call_not_in_log": (1, 1)}


def test_calls_are_not_compared_further_back_than_what_was_removed_is_remembered(desk: Desk) -> None:
    with pytest.raises(BadInput, match="30 days"):
        desk.reconcile(since=NOW - 31 * DAY)


def test_a_late_request_of_a_call_that_was_entered_meanwhile_finds_it(desk: Desk) -> None:
    """The incoming webhook was on its way for so long that the call is over and compared."""
    from callcenter.config import VoiceSettings
    from callcenter.domain.events import IncomingCall
    from callcenter.domain.steps import SayAndHangUp
    from callcenter.services.calls import receive_call

    clinic = desk.clinic()
    rang = desk.rang(clinic)
    desk.reconcile()
    incoming = IncomingCall(rang.carrier_call_sid, rang.from_number, rang.to)
    with transaction(desk.engine) as session:
        step: Any = receive_call(session, incoming, voice=VoiceSettings(), now=NOW)
    assert isinstance(step, SayAndHangUp)
    with reading(desk.engine) as session:
        assert len(session.scalars(select(Call)).all()) == 1
