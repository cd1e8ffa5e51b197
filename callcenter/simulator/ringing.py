"""Rings a softphone or telephone, and what comes of it."""

import asyncio

from callcenter.simulator import legs, parties
from callcenter.simulator.carrier import Behaviour, Carrier
from callcenter.simulator.model import Leg

_NOBODY = Behaviour(registered=False)
_TELEPHONE = Behaviour(answer_after_seconds=1.5)


def behaviour_of(carrier: Carrier, leg: Leg) -> Behaviour:
    """How the called party behaves now; a softphone that nobody described is not registered, a telephone answers."""
    if leg.identity is not None:
        return carrier.clients.get(leg.identity, _NOBODY)
    return carrier.phones.get(leg.to, _TELEPHONE)


def _talking(carrier: Carrier, leg: Leg) -> bool:
    """A softphone in a call ignores further invites silently."""
    return leg.identity is not None and any(
        other.identity == leg.identity and other.live and other.answered is not None
        for other in carrier.legs.values()
        if other is not leg
    )


async def ring(carrier: Carrier, leg: Leg) -> bool:
    """Ring until something happens; True if the party picked up. Otherwise the leg has ended."""
    if not leg.live:
        return False
    legs.set_status(carrier, leg, "initiated")
    legs.set_status(carrier, leg, "ringing")
    leg.note(carrier.clock.now(), "rings", seconds=leg.timeout)
    deciding = asyncio.create_task(_decide(carrier, leg))
    over = asyncio.create_task(leg.over.wait())
    try:
        await asyncio.wait(
            {deciding, over}, timeout=carrier.clock.real(leg.timeout), return_when=asyncio.FIRST_COMPLETED
        )
        if leg.live and not deciding.done():
            legs.end(carrier, leg, "no-answer", sip_code=487)
        elif leg.live:
            deciding.result()
    finally:
        deciding.cancel()
        over.cancel()
    return leg.live and leg.answered is not None


async def _decide(carrier: Carrier, leg: Leg) -> None:
    """The party's reaction; returns only after it has answered or refused."""
    behaviour = behaviour_of(carrier, leg)
    if not behaviour.registered:
        await carrier.clock.sleep(0.05)
        legs.end(carrier, leg, "no-answer", sip_code=480)
        return
    if behaviour.answer_after_seconds is None or behaviour.action == "ignore" or _talking(carrier, leg):
        await leg.over.wait()
    await carrier.clock.sleep(behaviour.answer_after_seconds or 0)
    if behaviour.action in ("decline", "busy"):
        legs.end(carrier, leg, "busy", sip_code=486)
    elif leg.live and not _talking(carrier, leg):
        legs.answer(carrier, leg)
        carrier.spawn(parties.behave(carrier, leg, behaviour), leg)
    else:
        await leg.over.wait()
