"""One call through the real processes, and every way in which it can go."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select

from callcenter import clock
from callcenter.config import SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN
from callcenter.db import reading
from callcenter.domain.calls import CallState, EndedBy, OfferReason, OfferState, Outcome
from callcenter.domain.receptionists import Presence
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.models import Call, Offer, RecordingPause
from tests.databases import SQLiteTemplate
from tests.e2e.rig import Rig, installation

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(180)]

TALK = [{"wait_for": "connected", "timeout": 60}, {"wait": 2}, {"say": "I would like to book."}, {"wait": 2}]
STAY = [{"wait_for": "connected", "timeout": 60}]


@pytest.fixture(scope="module")
def rig(sqlite_template: SQLiteTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory: Path = tmp_path_factory.mktemp("one-call")
    with installation(directory, sqlite_template.copy_to(directory / "callcenter.db")) as rig:
        yield rig


@pytest.fixture(autouse=True)
def calm(rig: Rig) -> Iterator[None]:
    """Every test begins with softphones that answer and a carrier that behaves."""
    rig.faults()
    for receptionist in (rig.cast.rosie, rig.cast.robin):
        rig.softphone(receptionist)
        rig.api("PUT", f"/receptionists/{receptionist.user_id}/presence", {"presence": "available"})
    yield
    rig.faults()
    rig.breaks_last = False


def offers(rig: Rig, call: Call) -> list[Offer]:
    with reading(rig.engine) as session:
        return list(session.scalars(select(Offer).where(Offer.call_id == call.id).order_by(Offer.created_at)))


def test_an_answered_call_is_recorded_stored_and_deleted_at_the_carrier(rig: Rig) -> None:
    rig.faults({"match": {"kind": "rest", "method": "DELETE"}, "action": "status", "status": 503, "times": 1})
    sid = rig.dial(steps=[*TALK, {"hang_up": True}])
    rig.until("stored", lambda: [r for r in rig.recordings(sid) if r.state == RecordingState.STORED])
    (recording,) = rig.recordings(sid)
    carrier = requests.get(
        f"http://127.0.0.1:{rig.simulator_port}/2010-04-01/Accounts/{SIMULATOR_ACCOUNT_SID}"
        f"/Recordings/{recording.carrier_recording_sid}.wav?RequestedChannels=2",
        auth=(SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN),
        timeout=10,
    )
    assert carrier.ok, "the first deletion was refused, so the carrier still has its copy"
    ours = rig.api("GET", f"/recordings/{recording.id}/audio", purpose="quality").content
    assert hashlib.sha256(ours).hexdigest() == hashlib.sha256(carrier.content).hexdigest() == recording.sha256

    call = rig.until_settled(sid)
    assert (call.outcome, call.ended_by, call.turn) == (Outcome.ANSWERED, EndedBy.CALLER, 1)
    assert rig.recordings(sid)[0].carrier_copy_deleted_at is not None
    with reading(rig.engine) as session:
        assert session.scalar(select(func.count()).select_from(Call).where(Call.carrier_call_sid == sid)) == 1


def test_the_times_of_a_call_are_right_to_one_second(rig: Rig) -> None:
    sid = rig.dial(steps=[*STAY, {"wait": 12}, {"hang_up": True}])
    call = rig.until_settled(sid)
    (caller,) = [e["at_seconds"] for e in rig.phone(sid)["events"] if e["event"] == "connected"]
    (end,) = [e["at_seconds"] for e in rig.phone(sid)["events"] if e["event"] == "hangs up"]
    assert call.talk_seconds == pytest.approx((end - caller) / 4.0, abs=1)


def test_a_caller_who_presses_nine_is_served_and_not_recorded(rig: Rig) -> None:
    sid = rig.dial("refuse_recording")
    call = rig.until_settled(sid)
    assert call.outcome == Outcome.ANSWERED
    assert [r.state for r in rig.recordings(sid)] == []
    assert rig.phone(sid)["recordings"] == []


def test_do_not_record_in_mid_call_leaves_nothing_anywhere(rig: Rig) -> None:
    sid = rig.dial(steps=[*STAY, {"wait": 30}, {"hang_up": True}])
    call = rig.until_state(sid, CallState.CONNECTED)
    rig.until("it records", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)
    assert rig.api("POST", f"/calls/{call.id}/recording/refuse").status_code == 202
    rig.until_settled(sid)
    (recording,) = rig.recordings(sid)
    assert (recording.state, recording.size_bytes) == (RecordingState.REFUSED, None)
    assert {r["status"] for r in rig.phone(sid)["recordings"]} == {"deleted"}


def test_a_withheld_number_is_served_and_stays_unknown(rig: Rig) -> None:
    call = rig.until_settled(rig.dial("withheld"))
    assert (call.outcome, call.from_number, call.caller_id) == (Outcome.ANSWERED, None, None)


def test_a_declined_call_reaches_the_next_receptionist(rig: Rig) -> None:
    rig.softphone(rig.cast.rosie, action="decline", answer_after_seconds=1)
    rig.softphone(rig.cast.robin, action="answer")
    for _ in range(2):  # whoever is first: one of the two calls meets rosie before robin
        call = rig.until_settled(rig.dial(steps=[*STAY, {"wait": 2}, {"hang_up": True}]))
        assert call.outcome == Outcome.ANSWERED
        assert call.receptionist_id == rig.cast.robin.user_id


def test_nobody_answering_sets_a_break_and_the_caller_may_leave_a_message(rig: Rig) -> None:
    for receptionist in (rig.cast.rosie, rig.cast.robin):
        rig.api("PUT", f"/receptionists/{receptionist.user_id}/presence", {"presence": "signed_out"})
    sid = rig.dial("voicemail")
    call = rig.until_settled(sid)
    assert call.outcome == Outcome.MESSAGE_LEFT
    assert [(r.kind, r.state) for r in rig.recordings(sid)] == [(RecordingKind.VOICEMAIL, RecordingState.STORED)]


def test_ringing_in_vain_goes_on_to_the_next_and_sets_a_break(rig: Rig) -> None:
    rig.breaks_last = True
    rig.softphone(rig.cast.rosie, action="ignore")
    rig.softphone(rig.cast.robin, action="ignore")
    sid = rig.dial(steps=[{"wait_for": "recording", "timeout": 200}, {"say": "Call me back."}, {"hang_up": True}])
    call = rig.until_settled(sid, seconds=90)
    missed = offers(rig, call)
    assert {(o.state, o.reason) for o in missed[:2]} == {(OfferState.MISSED, OfferReason.NO_ANSWER)}
    assert call.outcome == Outcome.MESSAGE_LEFT


def test_a_caller_who_leaves_while_it_rings_stops_the_ringing(rig: Rig) -> None:
    for receptionist in (rig.cast.rosie, rig.cast.robin):
        rig.softphone(receptionist, answer_after_seconds="never")
    sid = rig.dial(steps=[{"wait_for": "queued"}, {"wait": 8}, {"hang_up": True}])
    call = rig.until_settled(sid)
    (offer,) = offers(rig, call)
    assert (offer.state, offer.reason) == (OfferState.WITHDRAWN, OfferReason.CALLER_GONE)
    rig.until("no leg is up", lambda: requests.get(f"{rig.control}/state", timeout=5).json()["live_calls"] == [])
    with reading(rig.engine) as session:
        assert session.get_one(type(rig.cast.rosie), offer.receptionist_id).presence == Presence.AVAILABLE


def test_a_lost_softphone_keeps_the_caller_who_is_answered_again(rig: Rig) -> None:
    sid = rig.dial(steps=[*STAY, {"wait": 60}, {"hang_up": True}])
    call = rig.until_state(sid, CallState.CONNECTED)
    first = call.receptionist_id
    (leg,) = [
        one
        for one in requests.get(f"{rig.control}/calls", timeout=5).json()["calls"]
        if one["identity"] and one["live"]
    ]
    requests.post(f"{rig.control}/calls/{leg['sid']}/hang_up", timeout=5)
    call = rig.until_state(sid, CallState.CONNECTED, turn=2)
    assert call.receptionist_id == first, "she is offered the call first"
    call = rig.until_settled(sid)
    assert (call.outcome, call.turn) == (Outcome.ANSWERED, 2)
    (recording,) = rig.recordings(sid)
    assert recording.state == RecordingState.STORED
    assert any("interrupted" in str(item["text"]) for item in rig.phone(sid)["heard"])


def test_a_hang_up_by_the_receptionist_ends_the_call(rig: Rig) -> None:
    sid = rig.dial(steps=STAY)
    call = rig.until_state(sid, CallState.CONNECTED)
    assert rig.api("POST", f"/calls/{call.id}/hang-up").status_code == 202
    call = rig.until_settled(sid)
    assert (call.outcome, call.ended_by, call.turn) == (Outcome.ANSWERED, EndedBy.RECEPTIONIST, 1)


def test_hold_is_confirmed_by_the_carrier_and_silences_the_recording(rig: Rig) -> None:
    sid = rig.dial(steps=[*STAY, {"wait": 60}, {"hang_up": True}])
    call = rig.until_state(sid, CallState.CONNECTED)
    rig.until("it records", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)
    rig.api("POST", f"/calls/{call.id}/hold")
    rig.until("held", lambda: rig.api("GET", f"/calls/{call.id}").json()["hold"] == "held")
    rig.until("paused", lambda: rig.recordings(sid)[0].state == RecordingState.PAUSED)
    held_at = clock.now()
    # The carrier tells both times in whole seconds, so a hold must last longer than one to have a length.
    rig.until("the hold has a length", lambda: clock.now() > held_at + timedelta(seconds=1.5))
    rig.api("POST", f"/calls/{call.id}/unhold")
    rig.until("back", lambda: rig.api("GET", f"/calls/{call.id}").json()["hold"] == "none")
    rig.until("records again", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)
    rig.api("POST", f"/calls/{call.id}/hang-up")
    call = rig.until_settled(sid)
    assert call.hold_seconds > 0


def test_a_card_pause_is_confirmed_by_the_carriers_own_answer(rig: Rig) -> None:
    sid = rig.dial(steps=[*STAY, {"wait": 60}, {"hang_up": True}])
    call = rig.until_state(sid, CallState.CONNECTED)
    rig.until("it records", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)
    assert rig.api("POST", f"/calls/{call.id}/recording/pause").status_code == 202

    def pauses() -> list[RecordingPause]:
        with reading(rig.engine) as session:
            query = select(RecordingPause).where(RecordingPause.recording_id == rig.recordings(sid)[0].id)
            return list(session.scalars(query))

    rig.until("confirmed", lambda: [p.confirmed for p in pauses()] == [True])
    assert rig.api("POST", f"/calls/{call.id}/recording/resume").status_code == 202
    rig.until("records again", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)
    rig.api("POST", f"/calls/{call.id}/hang-up")
    rig.until_settled(sid)
    assert rig.recordings(sid)[0].state == RecordingState.STORED


def test_a_pause_that_the_carrier_refuses_marks_the_recording_for_deletion(rig: Rig) -> None:
    sid = rig.dial(steps=[*STAY, {"wait": 60}, {"hang_up": True}])
    call = rig.until_state(sid, CallState.CONNECTED)
    rig.until("it records", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)
    rig.until(
        "there is something to hear",
        lambda: clock.now() > (call.connected_at or call.started_at) + timedelta(seconds=2),
    )
    rig.faults({"match": {"kind": "rest", "path_contains": "/Recordings/"}, "action": "status", "times": None})
    rig.api("POST", f"/calls/{call.id}/recording/pause")
    rig.api("POST", f"/calls/{call.id}/hang-up")
    rig.until_state(sid, CallState.ENDED)
    rig.faults()
    rig.until("marked", lambda: rig.recordings(sid)[0].purge_wanted)
    assert rig.start("sweep", "callcenter.cli", "retention", "sweep").wait(60) == 0
    assert rig.recordings(sid)[0].state == RecordingState.PURGED
    assert {r["status"] for r in rig.phone(sid)["recordings"]} == {"deleted"}
