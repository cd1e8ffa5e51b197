"""Conferences of the simulator: who hears whom, who may enter, and when they end."""

from collections.abc import Iterator

import pytest

from tests.contracts.simulator_rig import CLINIC, Params, Rig, connect, fresh, rig


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as started:
        yield started


@pytest.fixture
def world(shared: Rig) -> Rig:
    return fresh(shared)


def room_of(world: Rig) -> str:
    return str(world.client.conferences.list(status="in-progress", friendly_name="c-1")[0].sid)


def left(world: Rig, sid: str) -> Params:
    """The notification that somebody has left; notifications come in any order."""
    return world.door.wait_for(
        "/room", lambda p: p["StatusCallbackEvent"] == "participant-leave" and p["CallSid"] == sid
    )


def test_the_conference_ends_with_the_caller_and_everybody_hears_of_it(world: Rig) -> None:
    caller, receptionist = connect(world, {"hang_up": True})
    over = world.door.wait_for("/room", lambda p: p["StatusCallbackEvent"] == "conference-end")
    assert over["ReasonConferenceEnded"] == "participant-with-end-conference-on-exit-left"
    assert (over["CallSidEndingConference"], over["ParticipantLabelEndingConference"]) == (caller, "caller")
    assert left(world, caller)["ReasonParticipantLeft"] == "participant_hung_up"
    assert left(world, receptionist)["ReasonParticipantLeft"] == "moderator_ended_conference"


def test_a_receptionist_who_leaves_leaves_the_caller_alone_in_the_room(world: Rig) -> None:
    caller, receptionist = connect(world, {"wait": 300}, hang_up_after_seconds=1)
    world.ended(receptionist)
    world.door.wait_for("/room", lambda p: p["StatusCallbackEvent"] == "participant-leave")
    state = world.call(caller)
    assert (state["live"], state["conference"]) == (True, "c-1")


def test_a_held_caller_hears_the_hold_document_once_and_nothing_of_the_talk(world: Rig) -> None:
    caller, receptionist = connect(world, {"wait": 300})
    room = world.client.conferences.list(status="in-progress", friendly_name="c-1")[0]
    held = (
        world.client.conferences(room.sid).participants("caller").update(hold=True, hold_url=world.door.url + "/hold")
    )
    assert held.hold is True
    world.door.wait_for("/hold")
    assert [request.method for request in world.door.received if request.path == "/hold"] == ["GET"]
    world.control("POST", f"/calls/{receptionist}/say", {"text": "What a noise here"})
    assert world.heard(caller, "speech") == []
    world.client.conferences(room.sid).participants(caller).update(hold=False)
    world.control("POST", f"/calls/{receptionist}/say", {"text": "I am back"})
    assert world.heard(caller, "speech") == ["I am back"]
    world.door.wait_for("/room", lambda p: p["StatusCallbackEvent"] == "participant-hold")
    world.door.wait_for("/room", lambda p: p["StatusCallbackEvent"] == "participant-unhold")


def test_end_conference_on_exit_of_a_held_participant_does_not_change(world: Rig) -> None:
    caller, _ = connect(world, {"wait": 300})
    room = world.client.conferences.list(friendly_name="c-1")[0].sid
    who = world.client.conferences(room).participants(caller)
    who.update(hold=True)
    who.update(end_conference_on_exit=False)
    assert who.fetch().end_conference_on_exit is True


def test_a_removed_participant_goes_on_with_the_next_verb(world: Rig) -> None:
    caller, receptionist = connect(world, {"wait": 300})
    room = world.client.conferences.list(friendly_name="c-1")[0].sid
    assert world.client.conferences(room).participants(receptionist).delete()
    world.ended(receptionist)
    assert world.heard(receptionist) == ["Bye"]
    assert world.call(caller)["live"]


def test_ending_the_conference_by_rest_sends_the_caller_to_the_dial_action(world: Rig) -> None:
    caller, _ = connect(world, {"wait": 300})
    room = world.client.conferences.list(friendly_name="c-1")[0].sid
    assert world.client.conferences(room).update(status="completed").status == "completed"
    world.ended(caller)
    assert world.door.of("/after")[0]["DialCallStatus"] == "answered"
    assert world.heard(caller)[-1] == "Afterwards"
    assert world.client.conferences(room).participants.list() == []


def test_a_second_leg_with_the_same_label_is_not_let_in(world: Rig) -> None:
    world.door.answers["/receptionist"] = (
        str(world.door.answers["/caller"]).replace("<Start>", "<Stop>").replace("</Start>", "</Stop>")
    )
    world.door.answers["/incoming"] = "<Response><Redirect>/caller</Redirect></Response>"
    first = world.place({"wait": 300})
    world.until(first, lambda state: state["conference"] == "c-1")
    second = world.place({"wait": 300})
    world.ended(second)
    assert 16025 in world.alerts()
    assert world.call(first)["live"]


def test_nobody_hears_a_muted_participant(world: Rig) -> None:
    caller, receptionist = connect(world, {"wait": 300})
    who = world.client.conferences(room_of(world)).participants(receptionist)
    assert who.update(muted=True).muted is True
    world.control("POST", f"/calls/{receptionist}/say", {"text": "To myself"})
    who.update(muted=False)
    world.control("POST", f"/calls/{receptionist}/say", {"text": "To you"})
    assert world.heard(caller, "speech") == ["To you"]


def test_an_announcement_is_heard_by_all(world: Rig) -> None:
    caller, receptionist = connect(world, {"wait": 300})
    world.client.conferences(room_of(world)).update(announce_url=world.door.url + "/hold")
    world.door.wait_for("/room", lambda p: p["StatusCallbackEvent"] == "announcement-end")
    assert [world.heard(sid)[-1] for sid in (caller, receptionist)] == ["One moment", "One moment"]


def test_a_supervisor_who_coaches_is_heard_by_the_receptionist_only(world: Rig) -> None:
    caller, receptionist = connect(world, {"wait": 300})
    supervisor = "receptionist_" + "2" * 32
    world.control("PUT", f"/clients/{supervisor}", {"answer_after_seconds": 0})
    leg = world.client.calls.create(to=f"client:{supervisor}", from_=CLINIC, url=world.door.url + "/receptionist").sid
    world.until(leg, lambda state: state["connected"])
    who = world.client.conferences(room_of(world)).participants(leg)
    assert who.update(coaching=True, call_sid_to_coach=receptionist).coaching is True
    world.control("POST", f"/calls/{leg}/say", {"text": "Offer Tuesday"})
    assert world.heard(receptionist, "speech") == ["Offer Tuesday"]
    assert world.heard(caller, "speech") == []
