"""Gather and Record: verbs that listen to the party."""

import asyncio

from callcenter.simulator import recordings, sounds
from callcenter.simulator.model import Recording
from callcenter.simulator.running import GoTo, Run
from callcenter.simulator.twiml import Element


def _listen(run: Run) -> None:
    """From now on keys count; those pressed before are lost."""
    while not run.leg.digits.empty():
        run.leg.digits.get_nowait()
    run.leg.listening = True


async def gather(run: Run, verb: Element) -> None:
    """Play what is nested, collect keys, and ask `action`; without input the next verb runs."""
    if "dtmf" not in verb.get("input", "dtmf"):
        run.alert(12400, "<Gather input=speech> hears nothing in the simulator")
    _listen(run)
    try:
        digits, finished = await _collect(run, verb)
    finally:
        run.leg.listening = False
    if digits or verb.flag("actionOnEmptyResult", False):
        params = {"Digits": digits}
        if finished:
            params["FinishedOnKey"] = finished
        raise GoTo(run.fetch(verb, **params))


async def _collect(run: Run, verb: Element) -> tuple[str, str]:
    prompts = asyncio.create_task(_prompts(run, verb))
    first = asyncio.create_task(run.leg.digits.get())
    try:
        await asyncio.wait({prompts, first}, return_when=asyncio.FIRST_COMPLETED)
        if prompts.done():
            prompts.result()  # a prompt that fails, fails the document
    finally:
        if not prompts.done():
            prompts.cancel()  # the first key silences the prompt
        if not first.done():
            first.cancel()
    wanted, stop_key = verb.number("numDigits", 0), verb.get("finishOnKey", "#")
    timeout = run.carrier.clock.real(verb.number("timeout", 5))
    digits, key = "", first.result() if first.done() and not first.cancelled() else None
    while True:
        if key is None:
            try:
                key = await asyncio.wait_for(run.leg.digits.get(), timeout)
            except TimeoutError:
                return digits, ""
        if key == stop_key:
            return digits, key
        digits, key = digits + key, None
        if wanted and len(digits) >= wanted:
            return digits, ""


async def _prompts(run: Run, verb: Element) -> None:
    for child in verb.children:
        await run.perform(run, child)


async def record(run: Run, verb: Element) -> None:
    """Record what the caller says until silence, a key, the limit or hang-up; then ask `action`."""
    if not verb.get("action"):
        run.alert(11100, "<Record> without action asks this document again")
    if verb.flag("playBeep", True):
        await run.carrier.clock.sleep(sounds.beep(run.carrier, run.leg))
    recording = recordings.start(
        run.carrier,
        run.leg,
        source="RecordVerb",
        channels=1,
        track="inbound",
        trim=verb.get("trim", "trim-silence"),
        hook=run.recording_hook(verb),
    )
    _listen(run)
    try:
        digits = await _until_over(run, verb)
    except asyncio.CancelledError:
        if not run.leg.live:
            run.leg.farewells.append(run.fetch(verb, **_result(run, recording, "hangup")))
        raise
    finally:
        run.leg.listening = False
        if recording.live:
            recordings.stop(run.carrier, recording)
    await recording.finished.wait()
    raise GoTo(run.fetch(verb, **_result(run, recording, digits)))


def _result(run: Run, recording: Recording, digits: str) -> dict[str, str]:
    result = {
        "RecordingUrl": recordings.url(run.carrier, recording),
        "RecordingSid": recording.sid,
        "RecordingDuration": str(int(recordings.seconds(recording))),
    }
    return result | {"Digits": digits} if digits else result


async def _until_over(run: Run, verb: Element) -> str:
    """Wait for a finishing key, silence or the limit; returns the key or nothing."""
    carrier, leg = run.carrier, run.leg
    began = carrier.clock.now()
    limit, quiet = verb.number("maxLength", 3600), verb.number("timeout", 5)
    keys = verb.get("finishOnKey", "1234567890*#")
    while carrier.clock.now() < began + limit:
        spoken = max((clip.ends for clip in leg.spoken), default=began)
        silent_at = max(spoken, began) + quiet if quiet else began + limit
        wait = min(silent_at, began + limit) - carrier.clock.now()
        if wait <= 0:
            break
        try:
            key = await asyncio.wait_for(leg.digits.get(), carrier.clock.real(min(wait, 0.5)))
        except TimeoutError:
            continue
        if key in keys:
            return key
    return ""
