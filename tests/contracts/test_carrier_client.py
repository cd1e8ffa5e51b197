"""What our client promises (ports.Carrier), kept against the simulator over HTTP."""

import io
import wave
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from callcenter.carrier import callbacks
from callcenter.domain.calls import LegState
from callcenter.domain.events import RecordingReportKind
from callcenter.errors import CarrierError, CarrierNotFound, CarrierRefused, CarrierUnavailable
from tests.contracts.carrier_rig import (
    BASE,
    CALL,
    CONFERENCE,
    IDENTITY,
    LEG,
    OFFER,
    RECORDED,
    RECORDING,
    World,
    carrier_at,
)
from tests.contracts.simulator_rig import CLINIC, Rig, rig

NOBODY = "CA" + "0" * 32
TALK = ({"say": "I need an appointment"}, {"wait": 2}, {"hang_up": True})


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig, tmp_path: Path) -> World:
    return World(shared, tmp_path)


def test_a_whole_call_with_our_documents_raises_no_complaint_at_the_carrier(world: World) -> None:
    caller, receptionist = world.connected(*TALK, say="Good morning")
    world.rig.ended(caller)
    world.rig.ended(receptionist)
    assert world.rig.heard(caller)[:2] == ["Welcome & hello", "You are number 1"]
    assert world.rig.heard(caller, "speech") == ["Good morning"]
    world.recorded()
    assert (world.rig.door.forged, world.rig.alerts()) == (0, [])


def test_a_softphone_is_told_which_offer_rings_and_reports_every_state(world: World) -> None:
    world.softphone(answer_after_seconds=1)
    leg = world.ring()
    assert world.rig.call(leg)["custom_parameters"] == {"offer": OFFER}
    assert world.rig.call(leg)["from"] == CLINIC
    world.joined(leg)
    world.carrier.end_call(leg)
    world.rig.door.wait_for(LEG, lambda params: params["CallStatus"] == "completed")
    reports = [callbacks.parse_leg(params) for params in world.rig.door.of(LEG)]
    assert {report.state for report in reports if report} == {
        LegState.INITIATED,
        LegState.RINGING,
        LegState.IN_PROGRESS,
        LegState.COMPLETED,
    }
    assert len({report.key for report in reports if report}) == 4


def test_legs_to_a_softphone_are_found_again_after_a_create_of_unknown_result(world: World) -> None:
    before = datetime.now(UTC)
    world.softphone(answer_after_seconds=None)
    leg = world.ring()
    found = world.carrier.rings_since(IDENTITY, before)
    assert [(ring.carrier_call_sid, ring.to) for ring in found] == [(leg, f"client:{IDENTITY}?offer={OFFER}")]
    assert world.carrier.rings_since("receptionist_" + "2" * 32, before) == []
    assert world.carrier.rings_since(IDENTITY, before + timedelta(hours=1)) == []


@pytest.mark.parametrize("answer_after_seconds", [None, 0])
def test_a_leg_is_ended_whether_it_rings_or_was_answered(world: World, answer_after_seconds: int | None) -> None:
    world.softphone(answer_after_seconds=answer_after_seconds)
    leg = world.ring()
    wanted = "ringing" if answer_after_seconds is None else "in-progress"
    world.rig.until(leg, lambda state: state["status"] == wanted)
    world.carrier.end_call(leg)
    expected = LegState.CANCELLED if answer_after_seconds is None else LegState.COMPLETED
    assert world.carrier.call(leg).state == expected
    assert world.carrier.call(leg).ended_at is not None


def test_ending_a_leg_that_is_over_is_success(world: World) -> None:
    caller, _ = world.waiting()
    world.carrier.end_call(caller)
    world.carrier.end_call(caller)
    world.carrier.end_call(NOBODY)


def test_a_caller_is_taken_out_of_the_queue_once(world: World) -> None:
    caller, queue = world.waiting()
    world.carrier.dequeue(queue, caller, call_id=CALL, turn=1)
    world.joined(caller)
    with pytest.raises(CarrierNotFound):
        world.carrier.dequeue(queue, caller, call_id=CALL, turn=1)


def test_moving_on_a_leg_that_is_over_says_so(world: World) -> None:
    caller, _ = world.waiting()
    world.carrier.end_call(caller)
    with pytest.raises(CarrierNotFound):
        world.carrier.ask_next_step(caller, call_id=CALL, turn=1)
    with pytest.raises(CarrierNotFound):
        world.carrier.call(NOBODY)


def test_a_conference_is_found_by_its_name_and_ended_for_everybody(world: World) -> None:
    caller, receptionist = world.connected()
    conference = world.carrier.conference(CONFERENCE)
    assert conference is not None
    inside = {who.carrier_call_sid for who in world.carrier.participants(conference)}
    assert inside == {caller, receptionist}
    world.carrier.end_conference(conference)
    world.carrier.end_conference(conference)
    assert world.carrier.participants(conference) == []
    assert world.carrier.conference(CONFERENCE) is None
    assert world.carrier.participants("CF" + "0" * 32) == []


def test_a_caller_on_hold_hears_the_hold_document_and_comes_back(world: World) -> None:
    caller, _ = world.connected({"wait": 60})
    conference = world.carrier.conference(CONFERENCE)
    assert conference is not None
    assert world.carrier.hold(conference, caller, held=True, call_id=CALL, turn=1)
    world.rig.door.wait_for(BASE + "hold")
    assert [request.method for request in world.rig.door.received if request.path == BASE + "hold"] == ["POST"]
    assert [who.held for who in world.carrier.participants(conference) if who.carrier_call_sid == caller] == [True]
    assert not world.carrier.hold(conference, caller, held=False, call_id=CALL, turn=1)


def test_a_pause_is_believed_only_from_the_answer_and_a_stop_may_come_twice(world: World) -> None:
    caller, _ = world.connected({"wait": 60})
    started = world.rig.door.wait_for(RECORDED, lambda params: params["RecordingStatus"] == "in-progress")
    recording = started["RecordingSid"]
    assert world.carrier.pause_recording(caller, recording, paused=True)
    assert not world.carrier.pause_recording(caller, recording, paused=False)
    world.carrier.stop_recording(caller, recording)
    world.carrier.stop_recording(caller, recording)
    assert [found.carrier_recording_sid for found in world.carrier.recordings_of(caller)] == [recording]


def test_a_recording_can_be_started_later_and_reports_to_its_own_address(world: World) -> None:
    caller, _ = world.waiting()
    sid = world.carrier.start_recording(caller, recording_id=RECORDING)
    assert world.carrier.recording(sid).kind is None
    world.rig.control("POST", f"/calls/{caller}/say", {"text": "I have been waiting for a while now"})
    world.carrier.end_call(caller)
    report = callbacks.parse_recording(world.recorded())
    assert report is not None
    assert (report.carrier_recording_sid, report.kind) == (sid, RecordingReportKind.COMPLETED)
    assert world.carrier.recording(sid).kind == RecordingReportKind.COMPLETED


def test_a_recording_is_downloaded_on_two_channels_and_deleted(world: World) -> None:
    world.connected(*TALK, say="Good morning")
    told = world.recorded()
    media = world.carrier.open_media(told["RecordingSid"], channels=2)
    audio = b"".join(media.chunks)
    assert (media.channels, media.size_bytes) == (2, len(audio))
    with wave.open(io.BytesIO(audio)) as file:
        assert file.getnchannels() == 2
    world.carrier.delete_recording(told["RecordingSid"])
    for gone in (world.carrier.delete_recording, world.carrier.recording):
        with pytest.raises(CarrierNotFound) as proof:
            gone(told["RecordingSid"])
        assert (proof.value.status, proof.value.carrier_code) == (404, 20404)
    with pytest.raises(CarrierNotFound):
        world.carrier.open_media(told["RecordingSid"], channels=2)


def test_a_message_of_one_channel_is_downloaded_as_it_is(world: World) -> None:
    record = f'<Record action="/after" recordingStatusCallback="{world.rig.door.url}{RECORDED}"/>'
    world.rig.door.answers["/incoming"] = f"<Response>{record}</Response>"
    world.rig.place({"wait_for": "recording"}, {"say": "Please call me back"}, {"hang_up": True})
    told = world.rig.door.wait_for(RECORDED)
    assert world.carrier.open_media(told["RecordingSid"], channels=2).channels == 1


def test_a_live_recording_cannot_be_deleted_yet(world: World) -> None:
    caller, _ = world.waiting()
    sid = world.carrier.start_recording(caller, recording_id=RECORDING)
    with pytest.raises(CarrierUnavailable) as early:
        world.carrier.delete_recording(sid)
    assert (early.value.carrier_code, early.value.maybe_done) == (20009, False)


@pytest.mark.parametrize(
    ("rule", "wait", "maybe_done"),
    [
        ({"action": "status", "status": 429, "retry_after": 7}, 7.0, False),
        ({"action": "status", "status": 429}, None, False),
        ({"action": "status", "status": 500}, None, True),
        ({"action": "status", "status": 503, "retry_after": 3}, 3.0, True),
    ],
)
def test_trouble_at_the_carrier_says_when_to_try_again_and_whether_it_may_be_done(
    world: World, rule: dict[str, object], wait: float | None, maybe_done: bool
) -> None:
    world.rig.control("PUT", "/faults", {"rules": [{"match": {"kind": "rest", "path_contains": "/Calls"}, **rule}]})
    with pytest.raises(CarrierUnavailable) as trouble:
        world.ring()
    assert (trouble.value.retry_after_seconds, trouble.value.maybe_done) == (wait, maybe_done)


@pytest.mark.parametrize("mode", ["short_body", "short_file"])
def test_a_download_that_breaks_off_never_looks_whole(world: World, mode: str) -> None:
    world.connected(*TALK, say="Good morning")
    told = world.recorded()
    rule = {"match": {"kind": "media"}, "action": "truncate", "mode": mode}
    world.rig.control("PUT", "/faults", {"rules": [rule]})
    whole = world.carrier.recording(told["RecordingSid"]).duration_seconds or 0
    try:
        audio = b"".join(world.carrier.open_media(told["RecordingSid"], channels=2).chunks)
    except CarrierUnavailable:
        return
    assert len(audio) < whole * 8000 * 2 * 2


def test_what_the_carrier_refuses_for_good_is_told_apart_and_quotes_no_number(world: World) -> None:
    with pytest.raises(CarrierRefused) as refused:
        world.carrier.ring(
            identity=IDENTITY, from_number="+447700900555", call_id=CALL, turn=1, offer_id=OFFER, ring_seconds=15
        )
    assert refused.value.carrier_code == 21210
    assert "7700900555" not in str(refused.value)


def test_the_check_names_wrong_credentials_and_an_absent_carrier(world: World, tmp_path: Path) -> None:
    assert world.carrier.check() is None
    door = world.rig.door.url
    wrong = {"TWILIO_REST_KEY_SID": "SK" + "9" * 32, "TWILIO_REST_KEY_SECRET": "not-the-secret"}
    assert "20003" in (carrier_at(world.rig.base, door, tmp_path, **wrong).check() or "")
    assert "could not be reached" in (carrier_at("http://127.0.0.1:9", door, tmp_path).check() or "")


def test_a_carrier_that_cannot_be_reached_has_certainly_done_nothing(tmp_path: Path) -> None:
    nowhere = carrier_at("http://127.0.0.1:9", "http://127.0.0.1:8000", tmp_path)
    with pytest.raises(CarrierUnavailable) as trouble:
        nowhere.call(NOBODY)
    assert not trouble.value.maybe_done
    with pytest.raises(CarrierError):
        nowhere.open_media("RE" + "0" * 32, channels=2)
