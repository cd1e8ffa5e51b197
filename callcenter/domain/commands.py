"""What we may have to tell the carrier. A command says what to bring in step with our rows, not a step of a script:
each looks at the row as it is when it runs, so it may run twice, late, or in another order."""

from enum import StrEnum


class CommandKind(StrEnum):
    """One kind per thing that can differ between our rows and the carrier."""

    RING = "ring"
    """Ring the receptionist of a pending offer (subject: offer)."""
    DROP_LEG = "drop_leg"
    """End a leg that should not be up any more (subject: leg)."""
    CONNECT = "connect"
    """Move the waiting caller into the conference of the accepted offer (subject: offer)."""
    CHECK_JOIN = "check_join"
    """Ask whether the caller has joined; if not, the caller is gone (subject: offer)."""
    MOVE_ON = "move_on"
    """Make the caller's leg ask for its next step: out of the queue, or out of a conference (subject: call)."""
    HANG_UP = "hang_up"
    """End the caller's leg and the conference (subject: call)."""
    SYNC_HOLD = "sync_hold"
    """Hold or unhold the caller as the call's row says (subject: call)."""
    SYNC_RECORDING = "sync_recording"
    """Pause, resume or stop-and-delete a recording as its rows say (subject: recording)."""
    ENSURE_RECORDING = "ensure_recording"
    """Start the recording by REST when nothing shows that it runs (subject: recording)."""
    CHECK_RECORDING = "check_recording"
    """Ask what became of a recording whose last callback is missing (subject: recording)."""
    VERIFY_CALL = "verify_call"
    """Ask the carrier what became of a call that has been silent too long (subject: call)."""
    SWEEP_LEGS = "sweep_legs"
    """After the end: no leg and no conference of the call may be left (subject: call)."""


class CommandState(StrEnum):
    """``failed`` means: given up for now, after a final refusal or too many failures; revived later for a day."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
