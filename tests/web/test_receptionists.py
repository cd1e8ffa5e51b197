"""Receptionists over the API: presence, heartbeat, token, wrap-up."""

from datetime import timedelta

import pytest
from flask import Flask

from callcenter.config import Settings
from callcenter.domain.receptionists import Activity
from callcenter.web.app import create_app
from tests.factories import NOW
from tests.web.conftest import TEN_O_CLOCK, SetClock
from tests.web.world import World


def path(world: World, who: str = "rosie", rest: str = "") -> str:
    return f"/receptionists/{getattr(world.cast, who).user_id}{rest}"


def test_a_receptionist_sees_herself_and_nobody_else(world: World) -> None:
    assert [person["name"] for person in world.get("rosie", "/receptionists").json["items"]] == ["Rosie"]
    assert world.get("rosie", path(world, "robin")).status_code == 404


def test_a_supervisor_sees_the_receptionists_of_her_clinics_with_these_clinics_only(world: World) -> None:
    people = world.get("supervisor", "/receptionists").json["items"]
    assert [(person["name"], person["clinics"]) for person in people] == [("Robin", ["hill"]), ("Rosie", ["hill"])]


def test_the_operator_sees_everybody(world: World) -> None:
    people = world.get("operator", "/receptionists").json["items"]
    clinics = {person["name"]: person["clinics"] for person in people}
    assert clinics == {"Robin": ["hill"], "Rosie": ["hill", "lake"]}


def test_a_receptionist_is_shown_as_the_contract_says(world: World) -> None:
    rosie = world.get("rosie", path(world)).json
    assert rosie["identity"] == world.cast.rosie.user.identity
    assert (rosie["presence"], rosie["activity"], rosie["reachable"]) == ("available", "talking", False)
    assert rosie["current_call_id"] == world.hill.live_call.id


def test_a_heartbeat_makes_her_reachable_for_thirty_seconds(world: World, set_clock: SetClock) -> None:
    answer = world.post("rosie", path(world, rest="/heartbeat"), {"softphone_session": "tab-1"})
    assert (answer.status_code, answer.json["reachable"]) == (200, True)
    set_clock(TEN_O_CLOCK + timedelta(seconds=40))
    assert world.get("rosie", path(world)).json["reachable"] is False


def test_a_heartbeat_needs_no_body(world: World) -> None:
    assert world.post("rosie", path(world, rest="/heartbeat")).status_code == 200


def test_a_second_softphone_is_refused_until_it_takes_over(world: World) -> None:
    beat = path(world, rest="/heartbeat")
    world.post("rosie", beat, {"softphone_session": "tab-1"})
    answer = world.post("rosie", beat, {"softphone_session": "tab-2"})
    assert (answer.status_code, answer.json["code"]) == (409, "other_session")
    assert world.post("rosie", beat, {"softphone_session": "tab-2", "take_over": True}).status_code == 200


def test_presence_is_what_she_chooses(world: World) -> None:
    answer = world.put("robin", path(world, "robin", "/presence"), {"presence": "on_break", "reason": "lunch"})
    assert (answer.status_code, answer.json["presence"], answer.json["presence_reason"]) == (200, "on_break", "lunch")
    again = world.put("robin", path(world, "robin", "/presence"), {"presence": "available"}).json
    assert (again["presence"], again["presence_reason"]) == ("available", None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"presence": "asleep"},
        {"presence": "on_break", "reason": "x" * 61},
        {"presence": "on_break", "reason": "a\x00b"},
        {"presence": "on_break", "reason": "missed_offer"},
        {"presence": "on_break", "activity": "idle"},
    ],
)
def test_a_presence_that_cannot_be_is_refused_and_changes_nothing(world: World, body: object) -> None:
    assert world.put("robin", path(world, "robin", "/presence"), body).status_code == 422
    assert world.get("robin", path(world, "robin")).json["presence"] == "available"


def test_a_supervisor_changes_the_presence_of_others_and_it_is_written_down(world: World) -> None:
    answer = world.put("supervisor", path(world, "robin", "/presence"), {"presence": "on_break", "reason": "tired"})
    assert (answer.status_code, answer.json["presence_reason"]) == (200, "supervisor")
    assert [entry[1:3] for entry in world.entries()] == [("presence.changed", world.cast.robin.user_id)]


def test_a_token_is_for_her_own_softphone_and_lasts_an_hour_at_most(world: World) -> None:
    token = world.post("rosie", path(world, rest="/token")).json
    assert token["identity"] == world.cast.rosie.user.identity
    assert token["token"].count(".") == 2
    assert token["expires_at"].endswith("Z")


def test_the_operator_may_stand_in_for_a_softphone_while_developing_and_it_is_written_down(world: World) -> None:
    assert world.post("operator", path(world, rest="/token")).status_code == 200
    assert [entry[1:3] for entry in world.entries()] == [("softphone_token.minted", world.cast.rosie.user_id)]


@pytest.mark.parametrize("rest", ["/token", "/heartbeat"])
def test_in_production_nobody_stands_in_for_a_softphone(small_world: World, settings: Settings, rest: str) -> None:
    production = settings.model_copy(update={"environment": "production"})
    app: Flask = create_app(production, small_world.engine, small_world.store)
    small_world.app = app
    assert small_world.post("operator", path(small_world, rest=rest)).status_code == 403
    assert small_world.post("rosie", path(small_world, rest=rest)).status_code == 200


def test_a_supervisor_may_not_stand_in_for_a_softphone(world: World) -> None:
    assert world.post("supervisor", path(world, rest="/token")).status_code == 403


def _wrap_up(world: World) -> None:
    world.change(
        world.cast.rosie,
        activity=Activity.WRAPPING_UP,
        current_call_id=world.hill.ended_call.id,
        wrap_up_ends_at=NOW + timedelta(minutes=61),
    )


@pytest.mark.parametrize("who", ["rosie", "supervisor", "operator"])
def test_a_wrap_up_can_be_finished_early(world: World, who: str) -> None:
    _wrap_up(world)
    answer = world.post(who, path(world, rest="/wrap-up/finish"))
    assert (answer.status_code, answer.json["activity"], answer.json["current_call_id"]) == (200, "idle", None)


def test_a_wrap_up_can_be_extended_once(world: World) -> None:
    _wrap_up(world)
    first, second = (world.post("rosie", path(world, rest="/wrap-up/extend")) for _ in range(2))
    assert (first.status_code, first.json["wrap_up_ends_at"]) == (200, "2026-03-02T10:02:00Z")
    assert (second.status_code, second.json["code"]) == (409, "wrong_state")


@pytest.mark.parametrize("what", ["finish", "extend"])
def test_without_a_wrap_up_there_is_nothing_to_finish_or_extend(world: World, what: str) -> None:
    answer = world.post("robin", path(world, "robin", f"/wrap-up/{what}"))
    assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")


def test_filing_the_outcome_ends_the_wrap_up(world: World) -> None:
    _wrap_up(world)
    world.put("rosie", f"/calls/{world.hill.ended_call.id}/disposition", {"disposition": "enquiry"})
    assert world.get("rosie", path(world)).json["activity"] == "idle"
