"""The figures of a clinic's calls: one formula each, and the words that explain it (answered by ``GET /stats``)."""

from dataclasses import dataclass

SERVICE_LEVEL_SECONDS = 20
"""Within this many seconds of being queued a call should be answered."""

DEFINITIONS: dict[str, str] = {
    "total": "Calls that came in during the period, by the time they began.",
    "live": "Calls that have not ended yet.",
    "answered": "Ended calls in which a receptionist and the caller were connected.",
    "abandoned": "Calls that ended without a receptionist and without a message, later than the short abandons.",
    "short_abandoned": "Callers who hung up before, or within a few seconds of, being queued "
    "(short_abandon_seconds in twilio_config.yaml).",
    "message_left": "Calls that ended with a recorded message and no receptionist.",
    "callback_requested": "Calls that ended with a request to be called back.",
    "closed": "Calls to a closed clinic that left no message.",
    "blocked": "Calls from a blocked number.",
    "failed": "Calls that could not be served because something of ours or of the carrier's failed.",
    "missed": "Ended calls of every outcome but answered and blocked.",
    "service_level": f"Calls answered within {SERVICE_LEVEL_SECONDS} seconds of being queued, "
    "divided by answered plus abandoned calls. Short abandons are left out.",
    "average_speed_of_answer_seconds": "Mean seconds from being queued to being connected, over answered calls.",
    "abandon_rate": "Abandoned calls divided by answered plus abandoned calls. Short abandons are left out.",
}
"""Name of a figure → what it means."""


@dataclass(frozen=True)
class CallFigures:
    """What is counted of the calls of a period. ``wait_seconds_total`` is summed over answered calls."""

    answered: int = 0
    answered_in_time: int = 0
    wait_seconds_total: float = 0.0
    abandoned: int = 0
    short_abandoned: int = 0
    message_left: int = 0
    callback_requested: int = 0
    closed: int = 0
    blocked: int = 0
    failed: int = 0
    live: int = 0


def total(figures: CallFigures) -> int:
    """Every call of the period."""
    return figures.answered + missed(figures) + figures.blocked + figures.live


def missed(figures: CallFigures) -> int:
    """Every ended call that was neither answered nor blocked (design §6.4)."""
    return (
        figures.abandoned
        + figures.short_abandoned
        + figures.message_left
        + figures.callback_requested
        + figures.closed
        + figures.failed
    )


def service_level(figures: CallFigures) -> float | None:
    """Between 0 and 1; None when nobody stayed long enough to be counted."""
    return _ratio(figures.answered_in_time, figures.answered + figures.abandoned)


def average_speed_of_answer_seconds(figures: CallFigures) -> float | None:
    """Seconds; None when no call was answered."""
    return _ratio(figures.wait_seconds_total, figures.answered)


def abandon_rate(figures: CallFigures) -> float | None:
    """Between 0 and 1; None when nobody stayed long enough to be counted."""
    return _ratio(figures.abandoned, figures.answered + figures.abandoned)


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
