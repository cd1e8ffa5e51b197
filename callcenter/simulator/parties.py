"""People at the other end of a leg: they speak, press keys, wait and hang up as scripted."""

from collections.abc import Callable
from typing import Any

from callcenter.simulator import legs, sounds
from callcenter.simulator.carrier import Behaviour, Carrier
from callcenter.simulator.model import Leg

_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0
_LISTENING_SECONDS = 5.0
STEPS = frozenset({"say", "wait", "press", "wait_for", "hang_up"})


def check_steps(steps: Any) -> list[dict[str, Any]]:
    """Steps as given by a scenario. Raises ValueError naming the step that is wrong."""
    if not isinstance(steps, list):
        raise ValueError("steps must be a list")
    for number, step in enumerate(steps, 1):
        verbs = set(step) & STEPS if isinstance(step, dict) else set()
        if len(verbs) != 1 or set(step) - STEPS - {"timeout"}:
            raise ValueError(f"step {number} must be an object with one of {', '.join(sorted(STEPS))}")
        if any(not _is_seconds(step[name]) for name in ("wait", "timeout") if name in step):
            raise ValueError(f"step {number}: wait and timeout take seconds")
        if "wait_for" in step and str(step["wait_for"]).partition(":")[0] not in CONDITIONS:
            raise ValueError(f"step {number}: wait_for must be one of {', '.join(sorted(CONDITIONS))}")
    return steps


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _said(carrier: Carrier, leg: Leg, text: str) -> bool:
    return any(text.lower() in entry["text"].lower() for entry in leg.transcript if entry["kind"] in ("say", "speech"))


CONDITIONS: dict[str, Callable[[Carrier, Leg, str], bool]] = {
    "answered": lambda carrier, leg, text: leg.answered is not None,
    "queued": lambda carrier, leg, text: leg.queue is not None,
    "connected": lambda carrier, leg, text: leg.connected.is_set(),
    "held": lambda carrier, leg, text: leg.participant is not None and leg.participant.hold,
    "said": _said,
    "recording": lambda carrier, leg, text: any(r.live for r in carrier.recordings_of(leg)),
    "ended": lambda carrier, leg, text: not leg.live,
}


async def wait_for(carrier: Carrier, leg: Leg, condition: str, seconds: float = _PATIENCE_SECONDS) -> bool:
    """Wait until something is so; False when it was not in time, or the leg ended first."""
    name, _, text = condition.partition(":")
    until = carrier.clock.now() + seconds
    while not CONDITIONS[name](carrier, leg, text):
        if carrier.clock.now() > until or not leg.live:
            leg.note(carrier.clock.now(), "waited in vain", condition=condition)
            return False
        await carrier.clock.sleep(_LOOK_SECONDS)
    return True


async def press(carrier: Carrier, leg: Leg, digits: str, patience: float = _LISTENING_SECONDS) -> bool:
    """Press keys as soon as the line listens for them, at the latest when patience ends (then they are lost)."""
    until = carrier.clock.now() + patience
    while not leg.listening and leg.live and carrier.clock.now() < until:
        await carrier.clock.sleep(_LOOK_SECONDS / 2)
    return sounds.press(carrier, leg, digits)


async def act(carrier: Carrier, leg: Leg, steps: list[dict[str, Any]]) -> None:
    """Do the steps one after another; then stay on the line."""
    for step in steps:
        if not leg.live:
            return
        if "say" in step:
            await sounds.speak(carrier, leg, str(step["say"]))
        elif "wait" in step:
            await carrier.clock.sleep(float(step["wait"]))
        elif "press" in step:
            await press(carrier, leg, str(step["press"]), float(step.get("timeout", _LISTENING_SECONDS)))
        elif "wait_for" in step:
            await wait_for(carrier, leg, str(step["wait_for"]), float(step.get("timeout", _PATIENCE_SECONDS)))
        elif step["hang_up"]:
            hang_up(carrier, leg)


def hang_up(carrier: Carrier, leg: Leg) -> None:
    """The party puts the phone down; before an answer the call counts as not answered (inbound) or declined."""
    leg.note(carrier.clock.now(), "hangs up")
    if leg.answered is not None:
        legs.end(carrier, leg)
    elif leg.direction == "inbound":
        legs.end(carrier, leg, "canceled")
    else:
        legs.end(carrier, leg, "busy", sip_code=486)


async def behave(carrier: Carrier, leg: Leg, behaviour: Behaviour) -> None:
    """What a called party does after picking up: its steps, then its sentence once connected, then hang up in time."""
    await act(carrier, leg, behaviour.steps)
    if behaviour.say or behaviour.hang_up_after_seconds is not None:
        await wait_for(carrier, leg, "connected", 3600)
    began = carrier.clock.now()
    if behaviour.say:
        await sounds.speak(carrier, leg, behaviour.say)
    if behaviour.hang_up_after_seconds is not None:
        await carrier.clock.sleep(began + behaviour.hang_up_after_seconds - carrier.clock.now())
        hang_up(carrier, leg)
