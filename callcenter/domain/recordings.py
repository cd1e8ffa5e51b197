"""What a recording is and how it may change."""

from enum import StrEnum


class RecordingKind(StrEnum):
    """What is recorded."""

    CONVERSATION = "conversation"
    VOICEMAIL = "voicemail"


class RecordingState(StrEnum):
    """The life of a recording. Only ``stored`` may ever be heard, and only before ``expires_at`` (R1)."""

    STARTING = "starting"
    RECORDING = "recording"
    PAUSED = "paused"
    COPYING = "copying"
    STORED = "stored"
    ABSENT = "absent"
    REFUSED = "refused"
    PURGING = "purging"
    PURGED = "purged"
    FAILED = "failed"


LIVE_RECORDING_STATES = (RecordingState.STARTING, RecordingState.RECORDING, RecordingState.PAUSED)
FINAL_RECORDING_STATES = (RecordingState.ABSENT, RecordingState.PURGED)


class PauseReason(StrEnum):
    """Recording is paused while at least one of these is open (design §2)."""

    HOLD = "hold"
    CARD = "card"
    LOST = "lost"


class Purpose(StrEnum):
    """Why somebody listens (P8): no purpose, no audio."""

    REVIEW = "review"
    QUALITY = "quality"
    TRAINING = "training"
    RIGHTS_REQUEST = "rights_request"
    INCIDENT = "incident"
