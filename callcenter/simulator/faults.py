"""Misbehaviour on request: rules that say which exchange goes wrong, how, and how often."""

import asyncio
from dataclasses import dataclass
from typing import Any

ACTIONS: dict[str, frozenset[str]] = {
    "callback": frozenset({"duplicate", "delay", "drop", "reorder", "scatter"}),
    "control": frozenset({"duplicate", "delay", "drop", "timeout"}),
    "rest": frozenset({"status", "delay", "timeout", "timeout_after_success"}),
    "media": frozenset({"status", "delay", "timeout", "truncate", "media_late"}),
}
_MATCH = frozenset({"kind", "url_contains", "path_contains", "event", "method"})
_RULE = frozenset({"match", "action", "times", "n", "seconds", "status", "retry_after", "mode"})


@dataclass
class Rule:
    """One kind of trouble. `times` None means always; `seconds` are wall-clock seconds."""

    kind: str
    action: str
    contains: str = ""
    event: str = ""
    method: str = ""
    times: int | None = 1
    n: int = 1
    seconds: float = 2.0
    status: int = 500
    retry_after: int | None = None
    mode: str = "short_body"

    def fits(self, kind: str, url: str, event: str | None, method: str) -> bool:
        """Whether this exchange is meant and the rule is not used up."""
        return (
            self.kind == kind
            and self.times != 0
            and self.contains in url
            and self.event in ("", event)
            and self.method in ("", method)
        )


class Faults:
    """The rules in force, first match wins."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._held: list[asyncio.Event] = []

    def replace(self, described: Any) -> None:
        """Put these rules in place of all others. Raises ValueError naming what is wrong."""
        if not isinstance(described, list):
            raise ValueError("rules must be a list")
        self.rules = [_rule(item) for item in described]

    def take(self, kind: str, url: str, *, event: str | None = None, method: str = "") -> Rule | None:
        """The rule for this exchange, used up by one."""
        for rule in self.rules:
            if rule.fits(kind, url, event, method):
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    async def hold_back(self, seconds: float) -> None:
        """Wait until another callback has overtaken this one, or so many wall-clock seconds."""
        overtaken = asyncio.Event()
        self._held.append(overtaken)
        try:
            await asyncio.wait_for(overtaken.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._held.remove(overtaken)

    def delivered(self) -> None:
        """A callback has arrived: those held back may go."""
        for overtaken in self._held:
            overtaken.set()


def _rule(item: Any) -> Rule:
    if not isinstance(item, dict) or not isinstance(item.get("match"), dict):
        raise ValueError("a rule is an object with match and action")
    match = item["match"]
    unknown = (set(item) - _RULE) | {f"match.{name}" for name in set(match) - _MATCH}
    if unknown:
        raise ValueError(f"unknown names in rule: {', '.join(sorted(unknown))}")
    kind, action = match.get("kind"), item.get("action")
    if kind not in ACTIONS:
        raise ValueError(f"match.kind must be one of {', '.join(ACTIONS)}")
    if action not in ACTIONS[kind]:
        raise ValueError(f"action for {kind} must be one of {', '.join(sorted(ACTIONS[kind]))}")
    settings = {name: item[name] for name in item if name not in ("match", "action")}
    for name, value in settings.items():
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        optional = value is None and name in ("times", "retry_after")
        if not (whole or optional or name == "mode"):
            raise ValueError(f"{name} must be a number")
    contains = match.get("url_contains", match.get("path_contains", ""))
    return Rule(kind, action, contains, match.get("event", ""), match.get("method", ""), **settings)
