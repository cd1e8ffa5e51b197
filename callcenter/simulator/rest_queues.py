"""REST: Queues and their members."""

from typing import Any

from aiohttp import web

from callcenter.simulator import queues
from callcenter.simulator.model import Fetch, Queue, QueueMember
from callcenter.simulator.rest import Ask, Reply, RestError, Route, not_found
from callcenter.simulator.timing import rfc2822

_LARGEST = 5000


def describe(ask: Ask, queue: Queue) -> dict[str, Any]:
    """A queue as Twilio shows it."""
    uri = f"{ask.uri_base}/Queues/{queue.sid}"
    return {
        "sid": queue.sid,
        "account_sid": ask.carrier.settings.account_sid,
        "friendly_name": queue.friendly_name,
        "current_size": len(queue.members),
        "average_wait_time": queue.average_wait,
        "max_size": queue.max_size,
        "date_created": rfc2822(queue.created_at),
        "date_updated": rfc2822(queue.created_at),
        "uri": uri + ".json",
        "subresource_uris": {"members": f"{uri}/Members.json"},
    }


def describe_member(ask: Ask, queue: Queue, member: QueueMember) -> dict[str, Any]:
    """A waiting call as Twilio shows it; position 0 once it has left."""
    return {
        "call_sid": member.leg.sid,
        "queue_sid": queue.sid,
        "date_enqueued": rfc2822(member.entered_at),
        "position": queue.members.index(member) + 1 if member in queue.members else 0,
        "wait_time": int(ask.carrier.clock.now() - member.entered),
        "uri": f"{ask.uri_base}/Queues/{queue.sid}/Members/{member.leg.sid}.json",
    }


def _the_queue(ask: Ask) -> Queue:
    queue = ask.carrier.queues.get(ask.part("queue_sid"))
    if queue is None:
        raise not_found(f"/Queues/{ask.part('queue_sid')}")
    return queue


async def create(ask: Ask) -> Reply:
    """POST /Queues."""
    ask.only("FriendlyName", "MaxSize")
    name, size = ask.text("FriendlyName"), int(ask.text("MaxSize", "1000"))
    if not 1 <= len(name) <= 64 or not 1 <= size <= _LARGEST:
        raise RestError(400, 22002, "FriendlyName takes 1 to 64 characters and MaxSize 1 to 5000")
    if ask.carrier.queue_named(name):
        raise RestError(400, 22003, f"A queue with the name {name} already exists")
    queue = queues.find_or_create(ask.carrier, name, size)
    return web.json_response(describe(ask, queue), status=201)


async def listing(ask: Ask) -> Reply:
    """GET /Queues."""
    return ask.page("queues", list(ask.carrier.queues.values()), lambda queue: describe(ask, queue))


async def fetch(ask: Ask) -> Reply:
    """GET /Queues/{sid}."""
    return describe(ask, _the_queue(ask))


async def members(ask: Ask) -> Reply:
    """GET /Queues/{sid}/Members, in order of position."""
    queue = _the_queue(ask)
    return ask.page("queue_members", queue.members, lambda member: describe_member(ask, queue, member))


async def member(ask: Ask) -> Reply:
    """GET /Queues/{sid}/Members/{CallSid or Front}."""
    queue = _the_queue(ask)
    waiting = queue.member(ask.part("member"))
    if waiting is None:
        raise not_found(ask.request.path)
    return describe_member(ask, queue, waiting)


async def dequeue(ask: Ask) -> Reply:
    """POST /Queues/{sid}/Members/{CallSid or Front}: take the call out and run the document at Url."""
    queue = _the_queue(ask)
    ask.only("Url", "Method")
    url = ask.url("Url")
    if not url:
        raise RestError(400, 21205, "Url parameter is required.")
    taken = queues.dequeue(ask.carrier, queue, ask.part("member"), Fetch(url, ask.method("Method")))
    if taken is None:
        raise not_found(ask.request.path)
    return describe_member(ask, queue, taken)


_ONE = "/Queues/{queue_sid:QU[0-9a-f]{32}}"
ROUTES: list[Route] = [
    ("POST", "/Queues.json", create),
    ("GET", "/Queues.json", listing),
    ("GET", _ONE + ".json", fetch),
    ("GET", _ONE + "/Members.json", members),
    ("GET", _ONE + "/Members/{member}.json", member),
    ("POST", _ONE + "/Members/{member}.json", dequeue),
]
