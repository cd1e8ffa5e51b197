"""How notifications, control requests and REST requests fare: from chance with a seed, or as a test has ordered."""

import random
from collections import defaultdict, deque
from dataclasses import dataclass, field

Fate = tuple[float, ...]
"""After how many seconds a notification arrives, once per copy; nothing: it is lost."""

FATES: dict[str, tuple[Fate, ...]] = {
    "calm": ((0.05,),),
    "late": ((0.05,), (0.05,), (1,), (2.5,), (7,), (0.05, 3), (1, 1, 20), (45,)),
    "lossy": ((0.05,), (0.05,), (2,), (), (0.1, 6)),
    "deaf": ((),),
    "echo": ((0.05, 0.05, 4),),
}
LATENCIES = {"calm": (0.03,), "late": (0.03, 0.03, 0.2, 1.5), "lossy": (0.03, 0.5), "deaf": (0.03,), "echo": (0.03,)}
FAULTS = ("refused", "lost before", "lost after", "slow before", "slow after")
"""What may become of a REST request: 429; never arrived; carried out but not answered; slow on either way."""
LOSSLESS = ("calm", "late", "echo")


@dataclass
class Weather:
    """``kind`` is a key of FATES, ``trouble`` the share of REST requests that fare badly."""

    kind: str = "calm"
    trouble: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    ordered_fates: deque[Fate] = field(default_factory=deque)
    ordered_faults: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    anything_lost: bool = False
    rings_on: tuple[float, ...] = (0, 0.5, 5)
    """How much longer than asked for a softphone rings (twilio-voice §13.20)."""

    def __post_init__(self) -> None:
        self.began = self.kind

    def clears_up(self) -> None:
        """From now on all goes well."""
        self.kind, self.trouble = "calm", 0.0
        self.ordered_fates.clear()
        self.ordered_faults.clear()

    def fate(self) -> Fate:
        """Of the next notification."""
        fate = self.ordered_fates.popleft() if self.ordered_fates else self.chance.choice(FATES[self.kind])
        self.anything_lost = self.anything_lost or not fate
        return fate

    def latency(self) -> float:
        """Of one way between the carrier and the door."""
        return self.chance.choice(LATENCIES[self.kind])

    def fault(self, operation: str) -> str | None:
        """Of the next REST request of this kind."""
        if self.ordered_faults[operation]:
            return self.ordered_faults[operation].popleft()
        return self.chance.choice(FAULTS) if self.chance.random() < self.trouble else None

    def often(self, share: float) -> bool:
        """Something that happens now and then unless all is calm."""
        return self.kind != "calm" and self.chance.random() < share
