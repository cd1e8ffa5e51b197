"""Enqueue: wait in a queue while the wait document is played again and again."""

import asyncio

from callcenter.simulator import queues
from callcenter.simulator.model import Fetch, Queue, QueueMember
from callcenter.simulator.running import DocumentFailed, GoTo, HangUp, LeaveQueue, Run
from callcenter.simulator.twiml import Element
from callcenter.simulator.twiml_rules import QUEUE_WAIT_VERBS
from callcenter.simulator.verbs_simple import music


async def enqueue(run: Run, verb: Element) -> None:
    """Stand in the queue until dequeued, redirected, <Leave> or hang-up; `action` is told the QueueResult."""
    carrier = run.carrier
    queue = queues.find_or_create(carrier, verb.text or "default", verb.number("maxQueueSize", 1000))
    if len(queue.members) >= queue.max_size:
        _go_on(run, verb, {"QueueResult": "queue-full", "QueueSid": queue.sid, "QueueTime": "0"})
        return
    member = queues.join(carrier, queue, run.leg)
    try:
        await _wait(run, verb, queue, member)
    except asyncio.CancelledError:
        _broken_off(run, verb, queue, member)
        raise
    except HangUp:
        _owe(run, verb, queues.result_params(carrier, queue, member, "hangup"))
        raise
    except DocumentFailed as failed:
        if not verb.get("action"):
            raise
        run.carrier.journal.alert(failed.code, str(failed), call_sid=run.leg.sid, url=failed.url)
        outcome = "error"
    except LeaveQueue:
        outcome = "leave"
    finally:
        queues.leave(carrier, queue, member)
    _go_on(run, verb, queues.result_params(carrier, queue, member, outcome))


async def _wait(run: Run, verb: Element, queue: Queue, member: QueueMember) -> None:
    if "waitUrl" not in verb.attributes:
        await music(run.carrier, run.leg)
    if not verb.get("waitUrl"):
        await run.leg.over.wait()
    fetch = run.fetch(verb, "waitUrl", "waitUrlMethod")
    while True:
        began = run.carrier.clock.now()
        await run.play_document(
            run.carrier, run.leg, fetch, QUEUE_WAIT_VERBS, lambda: queues.wait_params(run.carrier, queue, member)
        )
        if run.carrier.clock.now() - began < 1:
            await run.carrier.clock.sleep(1)  # an empty wait document must not be asked for in a tight loop


def _broken_off(run: Run, verb: Element, queue: Queue, member: QueueMember) -> None:
    result = "redirected" if run.leg.live else "hangup"
    _owe(run, verb, queues.result_params(run.carrier, queue, member, result))


def _owe(run: Run, verb: Element, params: dict[str, str]) -> None:
    if verb.get("action"):
        run.leg.farewells.append(run.fetch(verb, **params))


def _go_on(run: Run, verb: Element, params: dict[str, str]) -> None:
    if verb.get("action"):
        fetch: Fetch = run.fetch(verb, **params)
        raise GoTo(fetch)
