"""Starts calls: from the public network to one of our numbers, and from the REST API to a party."""

from callcenter.simulator import legs, parties, ringing
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Fetch, Hook, Leg
from callcenter.simulator.scenarios import Scenario
from callcenter.simulator.twiml_runner import live


def place(carrier: Carrier, scenario: Scenario) -> Leg:
    """A caller phones a number and acts as scripted. Raises KeyError if nobody has that number."""
    number = carrier.numbers[scenario.to]
    leg = Leg("inbound", scenario.from_, scenario.to, carrier.clock.now(), number_sid=number.sid)
    leg.status = "ringing"
    if number.status_callback:
        leg.hook = Hook(number.status_callback, number.status_callback_method, frozenset({"completed"}))
    if number.voice_fallback_url:
        leg.fallback = Fetch(number.voice_fallback_url, number.voice_fallback_method)
    carrier.add(leg)
    leg.note(carrier.clock.now(), "calls", scenario=scenario.name)
    if not number.voice_url:
        carrier.journal.alert(21402, f"{number.phone_number} has no voice URL", call_sid=leg.sid)
        legs.end(carrier, leg, "failed", sip_code=404)
        return leg
    carrier.spawn(live(carrier, leg, Fetch(number.voice_url, number.voice_method)))
    carrier.spawn(parties.act(carrier, leg, scenario.steps), leg)
    return leg


def dial(carrier: Carrier, leg: Leg, first: Fetch) -> None:
    """Queue a leg made by REST that runs `first` once answered: calls leave at the account's rate, excess waits."""
    now = carrier.clock.now()
    slot = max(now, carrier.next_call_slot)
    carrier.next_call_slot = slot + 1 / carrier.settings.calls_per_second
    leg.queue_time = round((slot - now) * 1000)
    carrier.add(leg)
    carrier.spawn(_outgoing(carrier, leg, first, slot - now))


async def _outgoing(carrier: Carrier, leg: Leg, first: Fetch, wait_seconds: float) -> None:
    if wait_seconds > 0:
        await carrier.clock.sleep(wait_seconds)
    if await ringing.ring(carrier, leg):
        await live(carrier, leg, first)
