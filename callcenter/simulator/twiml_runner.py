"""Runs a leg: gets documents, executes their verbs, falls back when they fail, and ends the call after the last."""

import asyncio
from collections.abc import Callable

from callcenter.simulator import legs, sounds
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Fetch, Leg
from callcenter.simulator.outbound import Answer, RequestFailed
from callcenter.simulator.running import DocumentFailed, GoTo, HangUp, Rejected, Run
from callcenter.simulator.twiml import Document, Element, TwimlError, parse
from callcenter.simulator.verbs_dial import dial
from callcenter.simulator.verbs_enqueue import enqueue
from callcenter.simulator.verbs_keys import gather, record
from callcenter.simulator.verbs_simple import SIMPLE, play_audio

_AS_TWIML = frozenset({"text/xml", "application/xml", "text/html"})
_ANSWERING = frozenset({"Say", "Play", "Gather", "Enqueue", "Record"})
_VERBS = {**SIMPLE, "Gather": gather, "Record": record, "Enqueue": enqueue, "Dial": dial}
_APOLOGY = "We are sorry, an application error has occurred. Goodbye."


async def live(carrier: Carrier, leg: Leg, first: Fetch) -> None:
    """Run documents on a leg until it ends; what interrupts one (REST update, dequeue) supplies the next."""
    step: Fetch | None = first
    while step is not None and leg.live:
        step, leg.takeover = leg.takeover or step, None
        finished = leg.document = asyncio.get_running_loop().create_task(_document(carrier, leg, step))
        try:
            await asyncio.wait({finished})
        finally:
            finished.cancel()
            leg.document = None
        if not finished.cancelled() and (error := finished.exception()):
            carrier.crashed(error, leg)
        await _farewells(carrier, leg)
        step = leg.takeover
    legs.end(carrier, leg)
    await _farewells(carrier, leg)


async def _farewells(carrier: Carrier, leg: Leg) -> None:
    """End the request that is under way, then make those a broken-off verb still owes; their answers steer nothing."""
    if leg.requests:
        await asyncio.wait(set(leg.requests))
    while leg.farewells:
        fetch = leg.farewells.pop(0)
        try:
            await legs.control(carrier, leg, fetch)
        except RequestFailed as failure:
            carrier.journal.alert(failure.code, str(failure), call_sid=leg.sid, url=failure.url)


async def _document(carrier: Carrier, leg: Leg, fetch: Fetch) -> None:
    try:
        try:
            await play_document(carrier, leg, fetch, None, dict)
        except DocumentFailed as failed:
            await _fall_back(carrier, leg, failed)
    except (HangUp, DocumentFailed):
        pass
    except Rejected as rejected:
        legs.end(carrier, leg, rejected.status)
        return
    if leg.takeover is None:
        legs.end(carrier, leg)


async def _fall_back(carrier: Carrier, leg: Leg, failed: DocumentFailed) -> None:
    carrier.journal.alert(failed.code, str(failed), call_sid=leg.sid, url=failed.url)
    if leg.fallback:
        params = {"ErrorCode": str(failed.code), "ErrorUrl": failed.url}
        try:
            fallback = Fetch(leg.fallback.url, leg.fallback.method, params)
            await play_document(carrier, leg, fallback, None, dict)
            return
        except DocumentFailed as again:
            carrier.journal.alert(again.code, f"fallback: {again}", call_sid=leg.sid, url=again.url)
    legs.answer(carrier, leg)
    await sounds.say(carrier, leg, _APOLOGY)


async def play_document(
    carrier: Carrier,
    leg: Leg,
    fetch: Fetch,
    allowed: frozenset[str] | None,
    params: Callable[[], dict[str, str]],
) -> None:
    """Run a document, and those it redirects to, to the end. `params` are added to each request, asked anew.

    Raises DocumentFailed, HangUp, Rejected or LeaveQueue.
    """
    while True:
        try:
            await _one(carrier, leg, fetch, allowed, params())
            return
        except GoTo as go:
            fetch = go.fetch
            await asyncio.sleep(0.01)  # a document that only redirects must not starve the others


async def _one(
    carrier: Carrier, leg: Leg, fetch: Fetch, allowed: frozenset[str] | None, params: dict[str, str]
) -> None:
    url = fetch.url
    if fetch.twiml is None:
        try:
            answer = await legs.control(carrier, leg, fetch, **params)
        except RequestFailed as failure:
            raise DocumentFailed(failure.code, failure.url, str(failure)) from failure
        url, document = answer.url, await _understand(carrier, leg, answer)
    else:
        document = _parsed(fetch.twiml.encode(), url)
    run = Run(carrier, leg, url, fetch.method, _perform, play_document, allowed)
    for code, message in document.warnings:
        run.alert(code, message)
    for verb in document.verbs:
        await _perform(run, verb)


def _parsed(body: bytes, url: str) -> Document:
    try:
        return parse(body)
    except TwimlError as error:
        raise DocumentFailed(error.code, url, str(error)) from error


async def _understand(carrier: Carrier, leg: Leg, answer: Answer) -> Document:
    """Apply the rules on content types (twilio-voice.md §2.1)."""
    if answer.content_type in _AS_TWIML:
        return _parsed(answer.body, answer.url)
    if answer.content_type.startswith("audio/"):
        legs.answer(carrier, leg)
        await play_audio(carrier, leg, answer)
        raise HangUp
    if answer.content_type == "text/plain":
        try:
            return parse(answer.body)
        except TwimlError:
            carrier.journal.alert(12300, "plain text was read aloud", call_sid=leg.sid, url=answer.url)
            legs.answer(carrier, leg)
            await sounds.say(carrier, leg, answer.body.decode("utf-8", "replace"))
            raise HangUp from None
    code = 12300 if answer.content_type else 11200
    raise DocumentFailed(code, answer.url, f"content type {answer.content_type or 'missing'}")


async def _perform(run: Run, verb: Element) -> None:
    if run.allowed is not None and verb.name not in run.allowed:
        code = 13201 if verb.name == "Dial" else 13238
        raise DocumentFailed(code, run.url, f"<{verb.name}> is not allowed in this document")
    if verb.name in _ANSWERING or (verb.name == "Dial" and not verb.flag("answerOnBridge", False)):
        legs.answer(run.carrier, run.leg)
    run.leg.note(run.carrier.clock.now(), "verb", name=verb.name)
    await _VERBS[verb.name](run, verb)
