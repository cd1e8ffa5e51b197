"""Who hears what: prompts to one leg, and what parties say to each other."""

from callcenter.simulator.carrier import Carrier
from callcenter.simulator.media import RATE, Clip, Samples, tone
from callcenter.simulator.model import Leg

_CHUNK_SECONDS = 0.25


async def play(carrier: Carrier, leg: Leg, samples: Samples, kind: str, text: str) -> None:
    """Let a leg hear something and wait until it is over; broken off, it stops at that moment."""
    now = carrier.clock.now()
    leg.hears(now, kind, text)
    clip = Clip(now, samples, len(samples))
    leg.heard.append(clip)
    try:
        await carrier.clock.sleep(len(samples) / RATE)
    finally:
        clip.cut(carrier.clock.now())


async def say(carrier: Carrier, leg: Leg, text: str, language: str = "en-US") -> None:
    """Read a text to a leg."""
    await play(carrier, leg, await carrier.speaker.say(text, language.lower()), "say", text)


def beep(carrier: Carrier, leg: Leg, text: str = "beep") -> float:
    """A short tone; returns its length in seconds without waiting."""
    sound = tone(1000, 0.3)
    leg.hears(carrier.clock.now(), "beep", text)
    leg.heard.append(Clip(carrier.clock.now(), sound, len(sound)))
    return len(sound) / RATE


def listeners(leg: Leg) -> list[Leg]:
    """Who hears this party at this moment."""
    if leg.bridged_to:
        return [leg.bridged_to]
    me = leg.participant
    if not me or me.muted or me.hold or me.conference.status != "in-progress":
        return []
    others = [p for p in me.conference.participants.values() if p is not me and not p.hold]
    if me.coached_sid:
        others = [p for p in others if p.leg.sid == me.coached_sid]
    return [p.leg for p in others]


async def speak(carrier: Carrier, leg: Leg, text: str) -> None:
    """The party says something: onto its own track, and to whoever can hear it, piece by piece."""
    samples = await carrier.speaker.say(text)
    began = carrier.clock.now()
    leg.note(began, "says", text=text)
    told: set[str] = set()
    step = round(_CHUNK_SECONDS * RATE)
    for offset in range(0, len(samples), step):
        at, count = began + offset / RATE, min(step, len(samples) - offset)
        leg.spoken.append(Clip(at, samples, count, offset))
        for other in listeners(leg):
            other.heard.append(Clip(at, samples, count, offset))
            if other.sid not in told:
                told.add(other.sid)
                other.hears(carrier.clock.now(), "speech", text)
        await carrier.clock.sleep(at + count / RATE - carrier.clock.now())
        if not leg.live:
            return


def press(carrier: Carrier, leg: Leg, digits: str) -> bool:
    """The party presses keys; False (and the keys are lost) if nothing on the line is listening for them."""
    leg.pressed += digits
    leg.note(carrier.clock.now(), "presses", digits=digits, heard=leg.listening)
    if not leg.listening:
        return False
    for digit in digits:
        leg.digits.put_nowait(digit)
    return True
