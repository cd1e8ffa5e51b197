"""Recordings and their audio: who may hear them, why, and until when."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from callcenter.db import transaction
from callcenter.domain.calls import OfferState
from callcenter.domain.recordings import RecordingState
from callcenter.errors import StoreUnavailable
from callcenter.models import AccessEntry
from tests.factories import create_offer
from tests.web.conftest import SetClock
from tests.web.world import AUDIO, World

SIZE = len(AUDIO)


def audio(world: World, purpose: str = "review") -> str:
    return f"/recordings/{world.hill.recording.id}/audio?purpose={purpose}"


def test_a_manager_hears_the_whole_recording(world: World) -> None:
    answer = world.get("hill_manager", audio(world))
    assert (answer.status_code, answer.mimetype, answer.content_length) == (200, "audio/wav", SIZE)
    assert answer.data == AUDIO


def test_audio_is_kept_by_nobody_and_read_by_no_other_page(world: World) -> None:
    headers = world.get("hill_manager", audio(world)).headers
    assert headers["Cache-Control"] == "no-store, private"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Content-Disposition"] == f'inline; filename="recording-{world.hill.recording.id}.wav"'
    assert headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=65000-140000", 65000, 140000),
        ("bytes=255999-", SIZE - 1, SIZE - 1),
        ("bytes=-10", SIZE - 10, SIZE - 1),
        ("bytes=-999999999", 0, SIZE - 1),
        ("bytes=255000-999999999", 255000, SIZE - 1),
    ],
)
def test_a_player_can_ask_for_a_part(small_world: World, wanted: str, first: int, last: int) -> None:
    answer = small_world.get("hill_manager", audio(small_world), headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.data == AUDIO[first : last + 1]
    assert answer.content_length == last - first + 1


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=999999999-"])
def test_a_part_beyond_the_end_is_refused_with_the_size(small_world: World, wanted: str) -> None:
    answer = small_world.get("hill_manager", audio(small_world), headers={"Range": wanted})
    assert (answer.status_code, answer.json["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "seconds=1-2", "bytes=nonsense", "bytes=9-1", "bytes=-0"])
def test_a_range_that_we_do_not_serve_is_answered_with_everything(small_world: World, wanted: str) -> None:
    answer = small_world.get("hill_manager", audio(small_world), headers={"Range": wanted})
    assert (answer.status_code, answer.content_length) == (200, SIZE)


def test_head_tells_the_size_and_sends_nothing(world: World) -> None:
    answer = world.ask("hill_manager", "HEAD", audio(world))
    assert (answer.status_code, answer.content_length, answer.data) == (200, SIZE, b"")


def test_without_a_purpose_there_is_no_audio(world: World) -> None:
    answer = world.get("hill_manager", f"/recordings/{world.hill.recording.id}/audio")
    assert (answer.status_code, answer.json["code"]) == (400, "purpose_required")
    assert world.count(AccessEntry) == 0


def test_an_unknown_purpose_is_refused(world: World) -> None:
    assert world.get("hill_manager", audio(world, "curiosity")).status_code == 422


def test_hearing_a_recording_is_written_down_with_its_purpose(world: World) -> None:
    world.get("hill_manager", audio(world, "incident"))
    ((actor, action, subject, clinic),) = world.entries()
    assert actor.startswith("key:")
    assert (action, subject, clinic) == ("recording.heard", world.hill.recording.id, world.hill.clinic.id)


ALLOWED = {
    "rosie": set[str](),
    "supervisor": {"quality"},
    "hill_manager": {"review", "quality", "rights_request", "incident"},
    "hill_viewer": set[str](),
    "privacy_officer": {"rights_request", "incident"},
    "operator": set[str](),
}
OPENED = {
    "rosie": {"quality"},
    "supervisor": {"quality", "training"},
    "hill_manager": {"review", "quality", "training", "rights_request", "incident"},
    "hill_viewer": {"review", "quality"},
    "privacy_officer": {"rights_request", "incident"},
    "operator": set[str](),
}


@pytest.mark.parametrize(("switches", "table"), [(False, ALLOWED), (True, OPENED)])
def test_role_purpose_and_the_clinic_s_switches_decide_who_hears(
    small_world: World, switches: bool, table: dict[str, set[str]]
) -> None:
    world = small_world
    world.change(
        world.hill.clinic, receptionists_may_listen=switches, viewers_may_listen=switches, training_allowed=switches
    )
    purposes = ("review", "quality", "training", "rights_request", "incident")
    heard = {who: {p for p in purposes if world.get(who, audio(world, p)).status_code == 200} for who in table}
    assert heard == table
    assert world.get("operator", audio(world)).status_code == 403


def test_a_receptionist_hears_only_her_own_calls(world: World) -> None:
    world.change(world.hill.clinic, receptionists_may_listen=True)
    assert world.get("robin", audio(world, "quality")).status_code == 404


@pytest.mark.parametrize("state", ["starting", "recording", "paused", "copying", "failed"])
def test_what_is_not_stored_yet_is_a_conflict(small_world: World, state: str) -> None:
    small_world.change(small_world.hill.recording, state=RecordingState(state))
    answer = small_world.get("hill_manager", audio(small_world))
    assert (answer.status_code, answer.json["code"]) == (409, "not_stored_yet")


@pytest.mark.parametrize("state", ["purging", "purged", "absent", "refused"])
def test_what_was_deleted_or_never_made_is_gone(small_world: World, state: str) -> None:
    small_world.change(small_world.hill.recording, state=RecordingState(state))
    answer = small_world.get("hill_manager", audio(small_world))
    assert (answer.status_code, answer.json["code"]) == (410, "gone")


def test_from_the_instant_of_expiry_nothing_is_heard_though_nothing_was_purged(
    world: World, set_clock: SetClock
) -> None:
    set_clock(world.hill.recording.expires_at - timedelta(seconds=5))
    assert world.get("hill_manager", audio(world)).status_code == 200
    set_clock(world.hill.recording.expires_at)
    assert world.get("hill_manager", audio(world)).status_code == 410
    assert world.get("hill_manager", f"/recordings/{world.hill.recording.id}").json["state"] == "stored"


def test_a_legal_hold_keeps_the_bytes_and_not_the_sound(world: World, set_clock: SetClock) -> None:
    world.change(world.hill.recording, held=True)
    set_clock(world.hill.recording.expires_at)
    assert world.get("hill_manager", audio(world)).status_code == 410


def test_a_recording_that_must_go_early_is_not_heard(world: World) -> None:
    world.change(world.hill.recording, purge_wanted=True)
    assert world.get("hill_manager", audio(world)).status_code == 410


def test_a_call_that_only_rings_for_her_gives_no_receptionist_its_audio(world: World) -> None:
    world.change(world.hill.clinic, receptionists_may_listen=True)
    with transaction(world.engine) as session:
        offer = create_offer(session, world.hill.ended_call, world.cast.robin)
    assert world.get("robin", audio(world, "quality")).status_code == 403
    world.change(offer, state=OfferState.ACCEPTED)
    assert world.get("robin", audio(world, "quality")).status_code == 200


def test_looking_at_a_recording_is_written_down(world: World) -> None:
    world.get("hill_manager", f"/recordings/{world.hill.recording.id}")
    ((_, action, subject, clinic),) = world.entries()
    assert (action, subject, clinic) == ("recording.viewed", world.hill.recording.id, world.hill.clinic.id)


def test_the_operator_sees_of_a_recording_its_ids_and_states(world: World) -> None:
    recording = world.get("operator", f"/recordings/{world.hill.recording.id}").json
    assert (recording["id"], recording["state"]) == (world.hill.recording.id, "stored")
    assert {recording[name] for name in ("carrier_recording_sid", "sha256", "size_bytes", "duration_seconds")} == {None}


def test_a_store_that_does_not_answer_is_said_so_before_any_byte(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object) -> Iterator[bytes]:
        raise StoreUnavailable("The bucket does not answer.")

    monkeypatch.setattr(small_world.store, "read", away)
    answer = small_world.get("hill_manager", audio(small_world))
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")


def test_a_recording_is_shown_with_its_pauses_and_without_its_key(world: World) -> None:
    recording = world.get("hill_manager", f"/recordings/{world.hill.recording.id}").json
    assert recording["call_id"] == world.hill.ended_call.id
    assert (recording["state"], recording["size_bytes"], recording["pauses"]) == ("stored", SIZE, [])
    assert "store_key" not in recording
