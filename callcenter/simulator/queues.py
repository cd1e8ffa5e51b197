"""Queue rules: arrival order, positions, waiting times, dequeuing (twilio-voice.md §4.6, §5.3)."""

from callcenter.simulator import legs
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Fetch, Leg, Queue, QueueMember


def find_or_create(carrier: Carrier, name: str, max_size: int = 1000) -> Queue:
    """The queue of this name, created on first use."""
    queue = carrier.queue_named(name)
    if queue is None:
        queue = Queue(name, max_size=max_size)
        carrier.queues[queue.sid] = queue
    return queue


def join(carrier: Carrier, queue: Queue, leg: Leg) -> QueueMember:
    """Stand at the end of the queue."""
    member = QueueMember(leg, carrier.clock.now())
    queue.members.append(member)
    leg.queue = queue
    leg.note(member.entered, "queued", queue=queue.friendly_name)
    return member


def leave(carrier: Carrier, queue: Queue, member: QueueMember) -> None:
    """Step out of the queue; the waiting time enters the average."""
    if member in queue.members:
        queue.members.remove(member)
        queue.waits.append(carrier.clock.now() - member.entered)
        member.leg.queue = None
        member.leg.note(carrier.clock.now(), "left queue", queue=queue.friendly_name)


def wait_params(carrier: Carrier, queue: Queue, member: QueueMember) -> dict[str, str]:
    """What a wait document is told."""
    position = queue.members.index(member) + 1 if member in queue.members else 0
    return {
        "QueuePosition": str(position),
        "QueueSid": queue.sid,
        "QueueTime": str(int(carrier.clock.now() - member.entered)),
        "AvgQueueTime": str(queue.average_wait),
        "CurrentQueueSize": str(len(queue.members)),
        "MaxQueueSize": str(queue.max_size),
    }


def result_params(carrier: Carrier, queue: Queue, member: QueueMember, result: str) -> dict[str, str]:
    """What the Enqueue action is told."""
    waited = str(int(carrier.clock.now() - member.entered))
    return {"QueueResult": result, "QueueSid": queue.sid, "QueueTime": waited}


def dequeue(carrier: Carrier, queue: Queue, call_sid: str, fetch: Fetch) -> QueueMember | None:
    """Take a member out and give it another document; None if it does not wait here (any more)."""
    member = queue.member(call_sid)
    if member is None or not member.leg.live:
        return None
    leave(carrier, queue, member)
    legs.redirect(member.leg, fetch)
    return member
