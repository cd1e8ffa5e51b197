"""A recording while it is being heard: the right to hear it is asked for again and again (P20, P28)."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from callcenter.db import transaction
from callcenter.domain.receptionists import Role
from callcenter.domain.recordings import RecordingState
from callcenter.errors import CallcenterError, Gone
from callcenter.models import AccessEntry, ApiKey, Assignment, Recording, User
from callcenter.services import playback
from callcenter.services.playback import Audio
from callcenter.storage.local import CHUNK_BYTES, LocalRecordingStore
from tests.factories import NOW
from tests.web.conftest import TEN_O_CLOCK, SetClock
from tests.web.world import AUDIO, World

SIZE = len(AUDIO)


def begin(world: World) -> Iterator[bytes]:
    """The manager of the hill clinic begins to listen."""
    path = f"/api/v1/recordings/{world.hill.recording.id}/audio?purpose=review"
    headers = {"Authorization": f"Bearer {world.keys['hill_manager']}"}
    return world.app.test_client().get(path, headers=headers).iter_encoded()


def tape(folder: Path, *, chunks: int) -> tuple[Audio, LocalRecordingStore]:
    """A stored recording of so many chunks that expires in 30 days."""
    store, size = LocalRecordingStore(folder), chunks * CHUNK_BYTES
    store.put("0" * 48, [bytes(size)])
    return Audio("id", "0" * 48, size, NOW + timedelta(days=30)), store


def test_a_transfer_breaks_off_when_the_recording_expires_in_the_middle(small_world: World) -> None:
    moments = iter([NOW, NOW, NOW, NOW + timedelta(days=40)])
    heard = Audio("id", small_world.hill.recording.store_key, SIZE, NOW + timedelta(days=30))
    stream: Iterator[bytes] = playback.stream(
        small_world.store, heard, 0, SIZE - 1, now=lambda: next(moments), ask_again=lambda: heard
    )
    assert next(stream)
    assert next(stream)
    with pytest.raises(Gone):
        next(stream)


@pytest.mark.parametrize(("seconds_a_chunk", "times"), [(0.1, 3), (3, 8)])
def test_the_right_to_listen_is_asked_for_after_so_much_time_and_so_many_bytes(
    tmp_path: Path, seconds_a_chunk: float, times: int
) -> None:
    heard, store = tape(tmp_path, chunks=16)
    moments = iter(NOW + timedelta(seconds=seconds_a_chunk * n) for n in range(17))
    asked: list[Audio] = []

    def ask_again() -> Audio:
        asked.append(heard)
        return heard

    stream = playback.stream(store, heard, 0, heard.size_bytes - 1, now=lambda: next(moments), ask_again=ask_again)
    assert sum(map(len, stream)) == heard.size_bytes
    assert len(asked) == times


def test_a_clock_that_is_set_back_does_not_keep_a_listener(tmp_path: Path) -> None:
    heard, store = tape(tmp_path, chunks=3)
    moments = iter([NOW, NOW, NOW - timedelta(days=1)])

    def refuse() -> Audio:
        raise Gone("No more.")

    stream = playback.stream(store, heard, 0, heard.size_bytes - 1, now=lambda: next(moments), ask_again=refuse)
    assert next(stream)
    with pytest.raises(Gone):
        next(stream)


REVOKED: dict[str, Callable[[Session, World], Any]] = {
    "the key": lambda s, w: s.execute(update(ApiKey).where(ApiKey.name == "hill_manager").values(revoked_at=NOW)),
    "the user": lambda s, w: s.execute(update(User).where(User.id == manager(w)).values(disabled_at=NOW)),
    "her role": lambda s, w: s.execute(update(User).where(User.id == manager(w)).values(role=Role.SUPERVISOR)),
    "her assignment": lambda s, w: s.execute(delete(Assignment).where(Assignment.user_id == manager(w))),
    "the recording": lambda s, w: s.execute(update(Recording).values(state=RecordingState.PURGING)),
    "the wish to keep it": lambda s, w: s.execute(update(Recording).values(purge_wanted=True)),
    "its time": lambda s, w: s.execute(update(Recording).values(expires_at=NOW)),
}


def manager(world: World) -> str:
    return world.cast.hill.manager.id


@pytest.mark.parametrize("what", REVOKED)
def test_what_is_taken_away_in_the_middle_ends_the_stream(world: World, set_clock: SetClock, what: str) -> None:
    stream = begin(world)
    assert next(stream)
    with transaction(world.engine) as session:
        REVOKED[what](session, world)
    set_clock(TEN_O_CLOCK + timedelta(seconds=10))
    with pytest.raises(CallcenterError):
        next(stream)


def test_whoever_may_still_listen_hears_it_to_the_end(world: World, set_clock: SetClock) -> None:
    stream = begin(world)
    heard = next(stream)
    for chunk in stream:
        heard += chunk
        set_clock(TEN_O_CLOCK + timedelta(seconds=len(heard) / 6_000))
    assert heard == AUDIO
    assert world.count(AccessEntry) == 1
