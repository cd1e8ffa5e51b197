"""Goals and figures. A ratio to a floor that was measured in the same run survives a busy machine, so only ratios (and
sizes) judge; times are told, and judge nobody."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A promise: ``value`` is at least (or at most) ``limit``. ``judged`` False: told, but not a reason to fail."""

    name: str
    value: float
    limit: float
    at_least: bool
    judged: bool = True

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def told(self) -> dict[str, Any]:
        """As JSON."""
        bound = {"at_least" if self.at_least else "at_most": self.limit}
        return {"goal": self.name, "value": rounded(self.value), **bound, "met": self.met, "judged": self.judged}


@dataclass
class Report:
    """What one benchmark found."""

    name: str
    goals: list[Goal] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def at_least(self, name: str, value: float, limit: float, *, judged: bool = True) -> None:
        """A goal that is better when higher."""
        self.goals.append(Goal(name, value, limit, True, judged))

    def at_most(self, name: str, value: float, limit: float, *, judged: bool = True) -> None:
        """A goal that is better when lower."""
        self.goals.append(Goal(name, value, limit, False, judged))

    @property
    def passed(self) -> bool:
        """Whether every judged goal is met."""
        return all(goal.met for goal in self.goals if goal.judged)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        goals = [goal.told() for goal in self.goals]
        return {"benchmark": self.name, "passed": self.passed, "goals": goals, "figures": self.figures}


Benchmark = Callable[[bool], Report]
"""Measures; ``tiny`` True runs through everything in seconds and is good for nothing but showing that it runs."""


def main(benchmark: Benchmark) -> None:
    """Run one benchmark as a command: JSON on stdout, exit 1 when a judged goal is missed. ``--tiny`` never judges."""
    tiny = "--tiny" in sys.argv[1:]
    report = benchmark(tiny)
    print(json.dumps(report.told(), indent=2), flush=True)
    sys.exit(0 if tiny or report.passed else 1)


def rounded(value: float) -> float:
    """Three figures are more than a noisy machine can say."""
    return float(f"{value:.3g}")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and worst of times in seconds, told in milliseconds."""
    return {
        "p50_ms": rounded(median(values) * 1000),
        "p99_ms": rounded(percentile(values, 0.99) * 1000),
        "worst_ms": rounded(max(values) * 1000),
    }
