"""A call whose notifications come three times and shuffled, and whose control requests are repeated, ends like a calm
one."""

import time
from collections import Counter
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select

from callcenter.db import reading
from callcenter.domain.calls import CallState, Outcome
from callcenter.domain.commands import CommandState
from callcenter.domain.receptionists import Activity
from callcenter.domain.recordings import RecordingState
from callcenter.models import CarrierCommand, Receptionist, RecordingPause
from tests.e2e.rig import Rig, installation
from tests.e2e.watching import as_text, final_state, watched

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(240)]

LATE_SECONDS = 3
"""Every copy of a notification comes at its own moment within this span; real seconds."""
STORM = (
    {"match": {"kind": "callback"}, "action": "scatter", "n": 2, "seconds": LATE_SECONDS, "times": None},
    {"match": {"kind": "control"}, "action": "duplicate", "n": 2, "times": None},
)


def test_a_storm_of_notifications_changes_nothing_of_what_a_call_comes_to(tmp_path: Path, database_url: str) -> None:
    with installation(tmp_path, database_url, speed=6) as rig, watched(rig) as exchanges:
        rig.api("PUT", f"/receptionists/{rig.cast.robin.user_id}/presence", {"presence": "signed_out"})
        calm = final_state(rig, _eventful_call(rig))
        rig.faults(*STORM)
        exchanges.look()
        before = len(exchanges.taken())
        sid = _eventful_call(rig)
        time.sleep(LATE_SECONDS + 1)  # the last copies are on their way
        stormy = final_state(rig, sid)
        exchanges.look()

        assert as_text(stormy) == as_text(calm)
        (call,) = stormy["calls"]
        assert (call["outcome"], call["turn"]) == (Outcome.ANSWERED, 2)
        assert [recording["state"] for recording in stormy["recordings"]] == [RecordingState.STORED]
        assert as_text(exchanges.failed()) == "[]"
        copies = Counter(as_text([e["url"], e["params"]]) for e in exchanges.taken()[before:])
        assert copies, "the storm has passed by"
        assert set(copies.values()) == {3}
        rig.until("all that we wanted from the carrier is done", lambda: _unfinished_commands(rig) == 0)


def _eventful_call(rig: Rig) -> str:
    """Waits, is answered, held, paused for a card, loses the receptionist, has her back, and hangs up."""
    sid = rig.dial(steps=[{"wait_for": "connected", "timeout": 120}, {"say": "I would like to book."}])
    call = rig.until_state(sid, CallState.CONNECTED)
    rig.until("it records", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)

    assert rig.api("POST", f"/calls/{call.id}/hold").status_code == 202
    rig.until("held", lambda: rig.api("GET", f"/calls/{call.id}").json()["hold"] == "held")
    rig.until("paused for the hold", lambda: rig.recordings(sid)[0].state == RecordingState.PAUSED)
    assert rig.api("POST", f"/calls/{call.id}/unhold").status_code == 202
    rig.until("back", lambda: rig.api("GET", f"/calls/{call.id}").json()["hold"] == "none")
    rig.until("it records again", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)

    assert rig.api("POST", f"/calls/{call.id}/recording/pause").status_code == 202
    rig.until("the card pause is confirmed", lambda: all(_confirmed(rig, sid)) and len(_confirmed(rig, sid)) == 2)
    assert rig.api("POST", f"/calls/{call.id}/recording/resume").status_code == 202
    rig.until("it records once more", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)

    (hers,) = [leg for leg in _live_legs(rig) if leg["identity"]]
    requests.post(f"{rig.control}/calls/{hers['sid']}/hang_up", timeout=10).raise_for_status()
    rig.until_state(sid, CallState.CONNECTED, turn=2)
    rig.until("it records in the second turn", lambda: rig.recordings(sid)[0].state == RecordingState.RECORDING)
    requests.post(f"{rig.control}/calls/{sid}/hang_up", timeout=10).raise_for_status()
    rig.until_settled(sid)
    rig.until("no leg is up", lambda: not _live_legs(rig))
    rig.until("she is free again", lambda: _activity(rig) == Activity.IDLE)
    return sid


def _live_legs(rig: Rig) -> list[dict[str, str]]:
    legs: list[dict[str, str]] = requests.get(f"{rig.control}/state", timeout=10).json()["live_calls"]
    return legs


def _confirmed(rig: Rig, sid: str) -> list[bool]:
    (recording,) = rig.recordings(sid)
    with reading(rig.engine) as session:
        query = select(RecordingPause.confirmed).where(RecordingPause.recording_id == recording.id)
        return list(session.scalars(query))


def _activity(rig: Rig) -> Activity:
    with reading(rig.engine) as session:
        return session.get_one(Receptionist, rig.cast.rosie.user_id).activity


def _unfinished_commands(rig: Rig) -> int:
    """What we had to tell the carrier and did not; checks that wait for their time are not counted."""
    with reading(rig.engine) as session:
        failed = CarrierCommand.state == CommandState.FAILED
        tried = (CarrierCommand.state == CommandState.PENDING) & (CarrierCommand.attempts > 0)
        return session.scalar(select(func.count()).select_from(CarrierCommand).where(failed | tried)) or 0
