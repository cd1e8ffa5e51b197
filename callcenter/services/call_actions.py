"""What the receptionist does to a call that she talks on: hold it, hang it up; and what the carrier says of the hold.

Pausing and refusing a recording are in ``recordings``.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from callcenter.domain.calls import CallState, HoldState
from callcenter.domain.commands import CommandKind
from callcenter.domain.recordings import PauseReason, RecordingKind
from callcenter.errors import Conflict
from callcenter.models import Call
from callcenter.services import lifecycle, recordings
from callcenter.services.call_rows import locked
from callcenter.services.commands import tell


def request_hang_up(session: Session, call_id: str, *, now: datetime) -> Call:
    """The receptionist ends the call: the intent is recorded before any leg is dropped, which tells a hang-up from a
    lost softphone (design §4.7). Raises Conflict ``wrong_state`` when nobody is connected."""
    call = locked(session, call_id)
    if call.state != CallState.CONNECTED:
        raise Conflict("Only a connected call can be hung up.", code="wrong_state")
    call.hang_up_requested_at = call.hang_up_requested_at or now
    lifecycle.check_soon(call, now)
    tell(session, CommandKind.HANG_UP, call, call.id, now=now)
    return call


def request_hold(session: Session, call_id: str, *, held: bool, now: datetime) -> Call:
    """Put the caller on hold or take them back; the recording is silent meanwhile."""
    call = locked(session, call_id)
    if call.state != CallState.CONNECTED:
        raise Conflict("Only a connected call can be held.", code="wrong_state")
    call.hold_wanted = held
    if held and call.hold != HoldState.HELD:
        call.hold = HoldState.REQUESTED
    tell(session, CommandKind.SYNC_HOLD, call, call.id, now=now)
    recording = recordings.live(session, call.id, RecordingKind.CONVERSATION)
    if recording is not None and held:
        recordings.open_pause(session, recording, PauseReason.HOLD, now=now)
        tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
    return call


def hold_failed(session: Session, call: Call, *, now: datetime) -> None:
    """The carrier did not hold the caller: they talk on, and what they say is recorded again."""
    if call.hold == HoldState.REQUESTED:
        call.hold = HoldState.FAILED
    call.hold_wanted = call.hold == HoldState.HELD
    recording = recordings.live(session, call.id, RecordingKind.CONVERSATION)
    if recording is not None and not call.hold_wanted:
        recordings.close_pauses(session, recording, (PauseReason.HOLD,), now=now)
        tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)


def hold_reported(session: Session, call: Call, *, held: bool, at: datetime, now: datetime) -> None:
    """The carrier has confirmed a hold or its end. Recording goes on only after the caller is really back."""
    if held and call.held_since_at is None:
        call.held_since_at = at
    if not held and call.held_since_at is not None:
        call.hold_seconds += max(0.0, (at - call.held_since_at).total_seconds())
        call.held_since_at = None
    call.hold = HoldState.HELD if held else HoldState.NONE
    recording = recordings.live(session, call.id, RecordingKind.CONVERSATION)
    if recording is not None and not held and not call.hold_wanted:
        recordings.close_pauses(session, recording, (PauseReason.HOLD,), now=now)
        tell(session, CommandKind.SYNC_RECORDING, call, recording.id, now=now)
