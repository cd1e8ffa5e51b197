"""How long to wait before the next try (R15)."""

import random

CAP_SECONDS = 15 * 60
LONGEST_WAIT_SECONDS = 24 * 3600
"""Whoever asks for more gets this. So a wait or a lease that ends later was written by a clock that was wrong, and does
not count once the clock is right again (F22)."""


def backoff_seconds(attempts: int, *, base_seconds: float = 1.0, at_least_seconds: float | None = None) -> float:
    """Exponential with full jitter, capped at 15 minutes; never less than what the other side asked for (Retry-After).

    ``attempts`` counts the tries made so far (≥ 1).
    """
    ceiling = min(CAP_SECONDS, base_seconds * 2 ** min(attempts - 1, 20))
    waited = random.uniform(ceiling / 4, ceiling)
    return min(max(waited, at_least_seconds or 0.0), LONGEST_WAIT_SECONDS)
