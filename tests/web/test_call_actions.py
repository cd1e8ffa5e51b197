"""The buttons of a live call."""

import pytest

from callcenter.domain.calls import CallState
from callcenter.models import CarrierCommand
from tests.web.world import World

ACTIONS = ("hold", "unhold", "hang-up", "recording/pause", "recording/resume", "recording/refuse")


@pytest.mark.parametrize("action", ACTIONS)
def test_the_receptionist_of_a_live_call_has_every_button(world: World, action: str) -> None:
    answer = world.post("rosie", f"/calls/{world.hill.live_call.id}/{action}")
    assert (answer.status_code, answer.json["id"]) == (202, world.hill.live_call.id)
    assert world.count(CarrierCommand) > 0


@pytest.mark.parametrize("action", ACTIONS)
def test_a_call_that_is_over_has_no_buttons(world: World, action: str) -> None:
    answer = world.post("rosie", f"/calls/{world.hill.ended_call.id}/{action}")
    assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")
    assert world.count(CarrierCommand) == 0


def test_a_hold_is_requested_before_it_is_held(world: World) -> None:
    assert world.post("rosie", f"/calls/{world.hill.live_call.id}/hold").json["hold"] == "requested"


def test_a_card_pause_is_not_safe_before_the_carrier_says_so(world: World) -> None:
    answer = world.post("rosie", f"/calls/{world.hill.live_call.id}/recording/pause", {"reason": "card"})
    ((pause,),) = [recording["pauses"] for recording in answer.json["recordings"]]
    assert (pause["reason"], pause["confirmed"], pause["to_at"]) == ("card", False, None)


def test_do_not_record_shows_at_once(world: World) -> None:
    answer = world.post("rosie", f"/calls/{world.hill.live_call.id}/recording/refuse").json
    assert answer["recording_refused"] is True
    assert [recording["state"] for recording in answer["recordings"]] == ["refused"]


@pytest.mark.parametrize("body", [{"reason": "hold"}, {"reason": "lunch"}, {"because": "card"}])
def test_only_a_card_is_a_person_s_reason_to_pause(world: World, body: object) -> None:
    assert world.post("rosie", f"/calls/{world.hill.live_call.id}/recording/pause", body).status_code == 422


def test_a_supervisor_may_act_on_any_call_of_her_clinic(world: World) -> None:
    assert world.post("supervisor", f"/calls/{world.hill.live_call.id}/hold").status_code == 202


def test_a_receptionist_may_not_act_on_a_call_that_has_moved_on_to_a_colleague(world: World) -> None:
    world.change(world.hill.live_call, receptionist_id=world.cast.robin.user_id)
    answer = world.post("rosie", f"/calls/{world.hill.live_call.id}/hang-up")
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_a_waiting_caller_cannot_be_put_on_hold(world: World) -> None:
    world.change(world.hill.live_call, state=CallState.QUEUED)
    assert world.post("rosie", f"/calls/{world.hill.live_call.id}/hold").status_code == 409


def test_every_button_is_written_down(world: World) -> None:
    world.post("rosie", f"/calls/{world.hill.live_call.id}/hold")
    assert [entry[1:3] for entry in world.entries()] == [("call.held", world.hill.live_call.id)]
