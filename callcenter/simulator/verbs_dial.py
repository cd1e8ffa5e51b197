"""Dial: into a conference, or to softphones and telephones."""

import asyncio
from typing import Any

from callcenter.simulator import conferences, legs, recordings, ringing
from callcenter.simulator.model import Conference, Fetch, Hook, Leg, Participant
from callcenter.simulator.running import DocumentFailed, GoTo, HangUp, Run
from callcenter.simulator.twiml import Element
from callcenter.simulator.twiml_rules import NUMBER_URL_VERBS, ROOM_VERBS, VERBS
from callcenter.simulator.verbs_simple import music

_CLIENT_URL_VERBS = VERBS - {"Dial", "Enqueue"}
_RINGING_SLACK_SECONDS = 5


async def dial(run: Run, verb: Element) -> None:
    """Connect the leg; afterwards `action` takes over, or the next verb runs."""
    rooms = [noun for noun in verb.children if noun.name == "Conference"]
    if rooms:
        result = await _conference(run, verb, rooms[0])
    else:
        result = await _targets(run, verb)
    if verb.get("action") and result is not None:
        raise GoTo(run.fetch(verb, **result))


def _owe(run: Run, verb: Element, result: dict[str, str]) -> None:
    if verb.get("action"):
        run.leg.farewells.append(run.fetch(verb, **result))


async def _conference(run: Run, verb: Element, noun: Element) -> dict[str, str] | None:
    """Stay in the conference until it ends or the leg is taken out; None if the leg was not let in."""
    carrier, leg = run.carrier, run.leg
    if noun.get("record", "do-not-record") not in ("do-not-record", "false"):
        raise DocumentFailed(12400, run.url, "<Conference record> is not played by the simulator")
    legs.answer(carrier, leg)
    conference = carrier.conference_named(noun.text) or _new_conference(run, noun)
    who = Participant(
        leg,
        conference,
        noun.get("participantLabel"),
        noun.flag("muted", False),
        coached_sid=noun.get("coach") or None,
        start_on_enter=noun.flag("startConferenceOnEnter", True),
        end_on_exit=noun.flag("endConferenceOnExit", False),
        beep=noun.get("beep", "true"),
    )
    try:
        conferences.enter(carrier, conference, who)
    except conferences.EntryRefused as refused:
        run.alert(refused.code, str(refused))
        return None
    try:
        await _inside(run, noun, conference, who)
    except DocumentFailed as failed:
        carrier.journal.alert(failed.code, f"conference wait: {failed}", call_sid=leg.sid, url=failed.url)
        return None
    except asyncio.CancelledError:
        _owe(run, verb, {"DialCallStatus": "answered"})
        raise
    finally:
        conferences.leave(carrier, who)
    return {"DialCallStatus": "answered"}


def _new_conference(run: Run, noun: Element) -> Conference:
    hook = None
    if noun.get("statusCallback"):
        events = frozenset(noun.get("statusCallbackEvent").split())
        hook = Hook(run.resolve(noun.get("statusCallback")), noun.get("statusCallbackMethod", "POST"), events)
    conference = Conference(noun.text, hook, noun.get("region", "us1"), noun.number("maxParticipants", 250))
    run.carrier.conferences[conference.sid] = conference
    return conference


async def _inside(run: Run, noun: Element, conference: Conference, who: Participant) -> None:
    waiting = asyncio.create_task(_waiting(run, noun, conference))
    started = asyncio.create_task(conference.started.wait())
    gone = asyncio.create_task(who.gone.wait())
    try:
        await asyncio.wait({waiting, started, gone}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and not conference.started.is_set():
            waiting.result()
            await asyncio.wait({started, gone}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await gone
    finally:
        for task in (waiting, started, gone):
            task.cancel()
            task.add_done_callback(_ignore)


def _ignore(task: "asyncio.Task[Any]") -> None:
    """What goes wrong with a wait document after the conference has begun concerns nobody."""
    if not task.cancelled():
        task.exception()


async def _waiting(run: Run, noun: Element, conference: Conference) -> None:
    """What is heard until the conference starts: the wait document once, silence for "", music without one."""
    if conference.started.is_set():
        return
    if "waitUrl" not in noun.attributes:
        await music(run.carrier, run.leg)
    if noun.get("waitUrl"):
        fetch = run.fetch(noun, "waitUrl", "waitMethod")
        params = {"ConferenceSid": conference.sid, "FriendlyName": conference.friendly_name}
        await run.play_document(run.carrier, run.leg, fetch, ROOM_VERBS, lambda: params)


async def _targets(run: Run, verb: Element) -> dict[str, str]:
    """Ring the nouns (all at once, or one after another) and bridge whoever accepts first."""
    nouns = list(verb.children) or [Element("Number", {}, verb.text)]
    groups = [[noun] for noun in nouns] if verb.flag("sequential", False) else [nouns]
    children: list[Leg] = []
    try:
        for group in groups:
            children = [_child(run, verb, noun) for noun in group[:10]]
            winner = await _first_to_accept(run, group, children)
            if winner:
                return await _bridge(run, verb, winner)
        return {"DialCallStatus": children[-1].status, "DialCallSid": children[-1].sid, "DialBridged": "false"}
    except asyncio.CancelledError:
        done = run.leg.answered is not None and any(child.answered for child in children)
        _owe(run, verb, {"DialCallStatus": "completed" if done else "canceled"})
        raise
    finally:
        for child in children:
            legs.end(run.carrier, child, "completed" if child.answered else "canceled", sip_code=487)


def _child(run: Run, verb: Element, noun: Element) -> Leg:
    target = noun.text
    if noun.name == "Client":
        names = [child.text for child in noun.children if child.name == "Identity"]
        custom = "&".join(f"{c.get('name')}={c.get('value')}" for c in noun.children if c.name == "Parameter")
        target = "client:" + (names[0] if names else noun.text) + (f"?{custom}" if custom else "")
    leg = Leg("outbound-dial", verb.get("callerId") or run.leg.from_, target, run.carrier.clock.now())
    leg.parent_sid = run.leg.sid
    leg.hook = run.leg_hook(noun)
    leg.timeout = verb.number("timeout", 30) + _RINGING_SLACK_SECONDS
    return run.carrier.add(leg)


async def _first_to_accept(run: Run, nouns: list[Element], children: list[Leg]) -> Leg | None:
    tasks = {asyncio.create_task(_offer(run, n, c)): c for n, c in zip(nouns, children, strict=False)}
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.result():
                    return tasks[task]
        return None
    finally:
        for task, child in tasks.items():
            task.cancel()
            if not (task.done() and not task.cancelled() and task.exception() is None and task.result()):
                legs.end(run.carrier, child, "canceled", sip_code=487)


async def _offer(run: Run, noun: Element, child: Leg) -> bool:
    """Ring one target and let it run its `url` document; True if it can be bridged."""
    if not await ringing.ring(run.carrier, child):
        return False
    if noun.get("url"):
        allowed = NUMBER_URL_VERBS if noun.name == "Number" else _CLIENT_URL_VERBS
        fetch = Fetch(run.resolve(noun.get("url")), noun.get("method", "POST"))
        try:
            await run.play_document(run.carrier, child, fetch, allowed, dict)
        except HangUp:
            legs.end(run.carrier, child)
        except DocumentFailed as failed:
            run.carrier.journal.alert(failed.code, str(failed), call_sid=child.sid, url=failed.url)
            legs.end(run.carrier, child)
    return child.live


async def _bridge(run: Run, verb: Element, child: Leg) -> dict[str, str]:
    carrier, leg = run.carrier, run.leg
    legs.answer(carrier, leg)
    leg.bridged_to, child.bridged_to = child, leg
    for side in (leg, child):
        side.connected.set()
        side.note(carrier.clock.now(), "connected", to="bridge")
    how = verb.get("record", "do-not-record")
    recording = None
    if how not in ("do-not-record", "false"):
        channels = 2 if how.endswith("dual") else 1
        trim, hook = verb.get("trim", "do-not-trim"), run.recording_hook(verb)
        recording = recordings.start(carrier, leg, source="DialVerb", channels=channels, trim=trim, hook=hook)
    try:
        await asyncio.wait_for(child.over.wait(), carrier.clock.real(verb.number("timeLimit", 14400)))
    except TimeoutError:
        legs.end(carrier, child)
    finally:
        leg.bridged_to = child.bridged_to = None
        leg.connected.clear()
        if recording and recording.live:
            recordings.stop(carrier, recording)
    result = {"DialCallStatus": "completed", "DialCallSid": child.sid, "DialBridged": "true"}
    if recording:
        result["RecordingUrl"] = recordings.url(carrier, recording)
    return result | {"DialCallDuration": str(legs.duration(carrier, child))}
