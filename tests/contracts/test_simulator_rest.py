"""The simulator's REST API as the official client library sees it."""

from collections.abc import Iterator

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.contracts.simulator_rig import (
    ACCOUNT_SID,
    CLINIC,
    RECEPTIONIST,
    Rig,
    ToSimulator,
    fresh,
    rig,
    ring,
    simulator,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig) -> Rig:
    return fresh(shared)


def test_wrong_credentials_are_refused(world: Rig) -> None:
    stranger = Client(ACCOUNT_SID, "wrong", http_client=ToSimulator(world.base))
    with pytest.raises(TwilioRestException) as refused:
        stranger.calls("CA" + "0" * 32).fetch()
    assert (refused.value.status, refused.value.code) == (401, 20003)


def test_an_api_key_is_accepted_beside_the_auth_token() -> None:
    with simulator(TWILIO_REST_KEY_SID="SK1", TWILIO_REST_KEY_SECRET="secret") as base:
        assert Client("SK1", "secret", ACCOUNT_SID, http_client=ToSimulator(base)).calls.list() == []


def test_the_account_of_another_is_refused(world: Rig) -> None:
    with pytest.raises(TwilioRestException) as refused:
        world.client.api.accounts("AC" + "b" * 32).calls("CA" + "0" * 32).fetch()
    assert refused.value.code == 20003


def test_what_the_simulator_does_not_know_is_refused_loudly(world: Rig) -> None:
    with pytest.raises(TwilioRestException) as refused:
        world.client.messages("SM" + "0" * 32).fetch()
    assert refused.value.status == 501
    assert world.alerts() == [20404]


def test_a_parameter_without_effect_is_refused_loudly(world: Rig) -> None:
    with pytest.raises(TwilioRestException) as refused:
        ring(world, machine_detection="Enable")
    assert refused.value.status == 501


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to": "client:jane.doe@example.org"}, 21211),
        ({"to": "nobody"}, 21211),
        ({"from_": "+15550000000"}, 21210),
        ({"url": "ftp://x"}, 21205),
        ({"url": "https://example.org/", "timeout": 601}, 21218),
    ],
)
def test_a_senseless_call_is_refused_with_its_code(world: Rig, change: dict[str, object], code: int) -> None:
    settings = {"to": f"client:{RECEPTIONIST}", "from_": CLINIC, "url": world.door.url + "/x"} | change
    with pytest.raises(TwilioRestException) as refused:
        world.client.calls.create(**settings)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_an_ended_call_cannot_be_changed(world: Rig) -> None:
    leg = ring(world)
    world.ended(leg)
    with pytest.raises(TwilioRestException) as refused:
        world.client.calls(leg).update(status="completed")
    assert (refused.value.status, refused.value.code) == (400, 21220)


def test_calls_beyond_the_rate_wait_in_the_queue() -> None:
    with rig("--calls-per-second", "0.05") as slow:  # a call every two seconds of ours
        world = fresh(slow)
        legs = [world.client.calls(ring(world)).fetch() for _ in range(4)]
        assert [int(leg.queue_time) > 0 for leg in legs] == [False, True, True, True]


def test_lists_are_filtered_and_paged(world: Rig) -> None:
    for _ in range(5):
        world.ended(ring(world))
    caller = world.place()
    world.until(caller, lambda state: state["status"] == "in-progress")
    assert len(list(world.client.calls.stream(page_size=2))) == 6
    assert [call.sid for call in world.client.calls.list(to=CLINIC, status="in-progress")] == [caller]
    now = world.client.calls(caller).fetch().date_created
    assert [call.sid for call in world.client.calls.list(start_time_after=now, to=CLINIC)] == [caller]
    assert world.client.calls.list(start_time_before=now.replace(year=2000)) == []


def test_a_list_goes_on_where_it_stopped_whatever_was_added_or_deleted_meanwhile(world: Rig) -> None:
    legs = [ring(world) for _ in range(6)]
    for leg in legs:
        world.ended(leg)
    stream = world.client.calls.stream(page_size=2)
    seen = [next(stream).sid, next(stream).sid]
    world.client.calls(legs[5]).delete()
    world.ended(ring(world))
    assert [*seen, *(call.sid for call in stream)] == legs[::-1]


def test_a_deleted_call_is_gone_and_a_live_one_cannot_be_deleted(world: Rig) -> None:
    caller = world.place()
    with pytest.raises(TwilioRestException) as refused:
        world.client.calls(caller).delete()
    assert refused.value.code == 20009
    world.control("POST", f"/calls/{caller}/hang_up")
    assert world.client.calls(caller).delete()
    with pytest.raises(TwilioRestException) as gone:
        world.client.calls(caller).fetch()
    assert gone.value.status == 404


def test_a_recording_is_made_of_a_call_in_progress_only(world: Rig) -> None:
    caller = world.place()
    world.until(caller, lambda state: state["queue"] == "q1")
    recording = world.client.calls(caller).recordings.create(recording_channels="dual")
    assert (recording.status, recording.channels, recording.source) == ("in-progress", 2, "StartCallRecordingAPI")
    with pytest.raises(TwilioRestException) as too_early:
        world.client.recordings(recording.sid).delete()
    assert too_early.value.code == 20009
    world.control("POST", f"/calls/{caller}/hang_up")
    with pytest.raises(TwilioRestException) as refused:
        world.client.calls(caller).recordings.create()
    assert refused.value.code == 21220


def test_queues_show_who_waits(world: Rig) -> None:
    queue = world.client.queues.create(friendly_name="q1")
    caller = world.place()
    world.until(caller, lambda state: state["queue"] == "q1")
    assert world.client.queues(queue.sid).fetch().current_size == 1
    member = world.client.queues(queue.sid).members("Front").fetch()
    assert (member.call_sid, member.position) == (caller, 1)
    assert [m.call_sid for m in world.client.queues(queue.sid).members.list()] == [caller]


def test_numbers_are_listed_and_changed(world: Rig) -> None:
    number = world.client.incoming_phone_numbers.list(phone_number=CLINIC)[0]
    changed = number.update(voice_url="https://new.example.org/voice", voice_method="GET")
    assert world.client.incoming_phone_numbers(number.sid).fetch().voice_url == changed.voice_url
    assert world.control("GET", "/numbers")[CLINIC]["voice_method"] == "GET"


def test_errors_have_twilios_form(world: Rig) -> None:
    answer = requests.get(f"{world.base}/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json", timeout=5)
    assert answer.json() == {
        "code": 20003,
        "message": "Authenticate",
        "more_info": "https://www.twilio.com/docs/errors/20003",
        "status": 401,
    }
