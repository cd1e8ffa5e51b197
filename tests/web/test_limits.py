"""Whoever asks more often than a person can need it is told to wait, by any process, and nobody else is (S36)."""

from datetime import timedelta

import pytest

from callcenter.services.access import LISTENINGS_PER_MINUTE, TOKENS_PER_MINUTE
from callcenter.web.app import create_app
from tests.web.conftest import TEN_O_CLOCK, SetClock
from tests.web.world import World


def listen(world: World, who: str) -> int:
    path = f"/recordings/{world.hill.recording.id}/audio?purpose=quality"
    answer = world.get(who, path, headers={"Range": "bytes=0-9"})
    return int(answer.status_code)


def token(world: World, who: str) -> int:
    return int(world.post(who, f"/receptionists/{world.cast.rosie.user_id}/token").status_code)


def test_listening_is_limited_for_each_key_and_goes_on_after_a_minute(world: World, set_clock: SetClock) -> None:
    set_clock(TEN_O_CLOCK)
    heard = [listen(world, "supervisor") for _ in range(LISTENINGS_PER_MINUTE + 2)]
    assert heard == [206] * LISTENINGS_PER_MINUTE + [429] * 2
    assert listen(world, "hill_manager") == 206
    set_clock(TEN_O_CLOCK + timedelta(minutes=2))
    assert listen(world, "supervisor") == 206


def test_softphone_tokens_are_limited_and_another_process_knows(world: World, set_clock: SetClock) -> None:
    set_clock(TEN_O_CLOCK)
    assert [token(world, "rosie") for _ in range(TOKENS_PER_MINUTE)] == [200] * TOKENS_PER_MINUTE
    parts = world.app.extensions["callcenter"]
    world.app = create_app(parts.settings, world.engine, world.store)
    answer = world.post("rosie", f"/receptionists/{world.cast.rosie.user_id}/token")
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert token(world, "operator") == 200, "who asks for somebody else has a limit of their own"
    set_clock(TEN_O_CLOCK + timedelta(seconds=61 + TOKENS_PER_MINUTE))
    assert token(world, "rosie") == 200


@pytest.mark.parametrize("who", ["rosie", "operator"])
def test_every_token_is_in_the_access_log(small_world: World, who: str) -> None:
    token(small_world, who)
    assert ("softphone_token.minted", small_world.cast.rosie.user_id) in [
        (action, subject) for _, action, subject, _ in small_world.entries()
    ]
