"""Who is rung, and how long a caller may expect to wait."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

from callcenter.domain.receptionists import Activity, Presence, is_reachable

KNOWN_CALLS_FOR_ESTIMATE = 10
"""With fewer calls known nothing is said: a guess that is wrong is worse than silence."""

REOFFER_AFTER_SECONDS = 30
"""Who has just declined or not answered this call is not rung for it again before this."""


LAST_CHANCE_SECONDS = 60
"""How long after the limit a caller waits for a receptionist who is being rung, or is free to be."""


@dataclass(frozen=True)
class Candidate:
    """A receptionist who may serve the clinic, as she is now."""

    receptionist_id: str
    presence: Presence
    activity: Activity
    heartbeat_at: datetime | None
    idle_since_at: datetime


def signed_in(candidate: Candidate, now: datetime) -> bool:
    """Whether she is at work with a softphone that shows signs of life."""
    return candidate.presence != Presence.SIGNED_OUT and is_reachable(candidate.heartbeat_at, now)


def ringable(candidate: Candidate, now: datetime) -> bool:
    """Whether she may be rung right now."""
    return (
        candidate.presence == Presence.AVAILABLE
        and candidate.activity == Activity.IDLE
        and is_reachable(candidate.heartbeat_at, now)
    )


def longest_idle_first(
    candidates: Sequence[Candidate], now: datetime, *, preferred_id: str | None, excluded_ids: frozenset[str]
) -> list[str]:
    """Whom to try, in order: the receptionist who lost this call, then whoever has been idle longest."""
    able = [c for c in candidates if ringable(c, now) and c.receptionist_id not in excluded_ids]
    able.sort(key=lambda c: (c.receptionist_id != preferred_id, c.idle_since_at, c.receptionist_id))
    return [c.receptionist_id for c in able]


@dataclass(frozen=True)
class WaitFacts:
    """What decides whether a waiting caller should be offered voicemail."""

    first_prompt_heard: bool
    being_offered: bool
    overflow_after_at: datetime
    candidates: Sequence[Candidate]


def should_overflow(facts: WaitFacts, now: datetime) -> bool:
    """Design §4.4: nobody signed in → after the first prompt; all busy → at the limit; one in wrap-up → wait.

    While somebody is being rung for this caller, or could be, nobody gives up on them; but for LAST_CHANCE_SECONDS at
    most, so that receptionists who decline, or who cannot be rung after all, keep no caller for ever.
    """
    at_work = [c for c in facts.candidates if signed_in(c, now)]
    if not at_work:
        return facts.first_prompt_heard and not facts.being_offered
    if now < facts.overflow_after_at:
        return False
    if any(c.activity == Activity.WRAPPING_UP and c.presence == Presence.AVAILABLE for c in at_work):
        return False
    last_chance = now < facts.overflow_after_at + timedelta(seconds=LAST_CHANCE_SECONDS)
    return not (last_chance and (facts.being_offered or any(ringable(c, now) for c in at_work)))


def estimate_wait_minutes(handle_seconds: Sequence[float], *, ahead: int, at_work: int) -> int | None:
    """Whole minutes until an answer, or None when nothing honest can be said.

    ``handle_seconds`` are talk plus wrap-up of this clinic's latest answered calls; ``ahead`` counts the callers that
    the same receptionists will answer first; ``at_work`` the receptionists themselves. Each answers one call per
    mean handle time, and calls that go on now are on average half over.
    """
    if len(handle_seconds) < KNOWN_CALLS_FOR_ESTIMATE or at_work == 0:
        return None
    seconds = fmean(handle_seconds) * (ahead + 0.5) / at_work
    return max(1, math.ceil(seconds / 60))


def reoffer_cutoff(now: datetime) -> datetime:
    """Offers that ended after this exclude their receptionist from the same call."""
    return now - timedelta(seconds=REOFFER_AFTER_SECONDS)
