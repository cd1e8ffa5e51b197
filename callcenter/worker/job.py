"""What a handler gets and gives: shared by ``execute`` and the handlers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.ports import Carrier


@dataclass(frozen=True)
class Job:
    """One claimed command and the parts to carry it out with."""

    engine: Engine
    carrier: Carrier
    voice: VoiceSettings
    command_id: str
    call_id: str
    subject_id: str
    attempts: int
    told_at: datetime

    def now(self) -> datetime:
        """The time now, aware UTC."""
        return clock.now()


@dataclass(frozen=True)
class Later:
    """A handler's answer: not finished yet by its nature, look again."""

    seconds: float


Handler = Callable[[Job], Later | None]
"""Returns None when done. Raises CarrierUnavailable to be tried again; CarrierRefused and CarrierNotFound end it."""
