"""Built-in callers, by name."""

from dataclasses import dataclass, field
from typing import Any

from callcenter.simulator.parties import check_steps

DEFAULT_FROM = "+447700900123"
_TALK = [
    {"wait_for": "connected", "timeout": 180},
    {"wait": 2},
    {"say": "Hello, this is Mrs Fletcher. I would like to make an appointment, please."},
    {"wait": 4},
    {"say": "Tomorrow morning would be lovely. Thank you, goodbye."},
    {"wait": 1},
    {"hang_up": True},
]
BUILT_IN: dict[str, dict[str, Any]] = {
    "booking": {"about": "Waits, talks to a receptionist, books an appointment", "steps": _TALK},
    "refuse_recording": {
        "about": "Presses 9 while waiting: do not record me",
        "steps": [{"wait_for": "queued"}, {"press": "9", "timeout": 15}, *_TALK],
    },
    "hang_up_while_waiting": {
        "about": "Gives up after 15 seconds in the queue",
        "steps": [{"wait_for": "queued"}, {"wait": 15}, {"hang_up": True}],
    },
    "short_abandon": {
        "about": "Hangs up as soon as the queue begins",
        "steps": [{"wait_for": "queued"}, {"wait": 1}, {"hang_up": True}],
    },
    "voicemail": {
        "about": "Nobody answers; leaves a message",
        "steps": [
            {"wait_for": "recording", "timeout": 300},
            {"say": "This is Mr Webb. Please call me back about my appointment on Friday."},
            {"wait": 1},
            {"hang_up": True},
        ],
    },
    "withheld": {"about": "Calls without a number", "from": "anonymous", "steps": _TALK},
    "patient_on_the_line": {"about": "Stays until the other side hangs up", "steps": [{"wait_for": "connected"}]},
}
_NAMES = frozenset({"scenario", "name", "about", "from", "to", "steps"})


@dataclass(frozen=True)
class Scenario:
    """Who calls whom, and what the caller does; after the last step the caller stays on the line."""

    from_: str
    to: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    name: str = "inline"


def scenario(described: Any, default_to: str | None) -> Scenario:
    """Read `{"scenario": name}` or an inline scenario; from, to and steps may be overridden. Raises ValueError."""
    if not isinstance(described, dict):
        raise ValueError("a scenario is an object")
    if unknown := set(described) - _NAMES:
        raise ValueError(f"unknown names in scenario: {', '.join(sorted(unknown))}")
    name = described.get("scenario", "inline" if "steps" in described else "booking")
    if name != "inline" and name not in BUILT_IN:
        raise ValueError(f"no scenario is called {name}; there are {', '.join(BUILT_IN)}")
    merged = BUILT_IN.get(name, {}) | described
    to = merged.get("to") or default_to
    if not to:
        raise ValueError("to: no number was given and none is configured")
    return Scenario(str(merged.get("from", DEFAULT_FROM)), str(to), check_steps(merged.get("steps", [])), str(name))
