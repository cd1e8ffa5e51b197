"""A leg's life: what is said about it in requests, its status events, its answer and its end."""

import asyncio

from callcenter.simulator import recordings
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Fetch, Leg
from callcenter.simulator.outbound import Answer, RequestFailed
from callcenter.simulator.timing import rfc2822, utc_now

_EVENT_OF_STATUS = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}
_GEOGRAPHY = {"City": "LITTLE WHINGING", "State": "Surrey", "Zip": "KT22 0XX", "Country": "GB"}


def request_params(carrier: Carrier, leg: Leg) -> dict[str, str]:
    """The fields of every voice request (twilio-voice.md §3.1), with made-up geography for inbound calls."""
    params = {
        "CallSid": leg.sid,
        "AccountSid": carrier.settings.account_sid,
        "From": leg.from_,
        "To": leg.to,
        "Caller": leg.from_,
        "Called": leg.to,
        "CallStatus": leg.status,
        "ApiVersion": "2010-04-01",
        "Direction": leg.direction,
    }
    if leg.parent_sid:
        params["ParentCallSid"] = leg.parent_sid
    if leg.direction == "inbound":
        for who in ("From", "To", "Caller", "Called"):
            params.update({who + part: value for part, value in _GEOGRAPHY.items()})
        params["StirVerstat"] = "TN-Validation-Passed-A"
        params["CallToken"] = '{"parentCallInfoToken":"simulated","identityHeaderTokens":[]}'
    return params


def set_status(carrier: Carrier, leg: Leg, status: str) -> None:
    """Move a live leg to another live status and tell whoever subscribed."""
    leg.status = status
    leg.note(carrier.clock.now(), "status", status=status)
    if status in _EVENT_OF_STATUS:
        send_event(carrier, leg, _EVENT_OF_STATUS[status])
    if status == "initiated":
        leg.status = "queued"  # the event has its own word, the resource does not know it


def answer(carrier: Carrier, leg: Leg) -> None:
    """The leg is picked up; a second time changes nothing."""
    if leg.answered is None and leg.live:
        leg.answered, leg.answered_at = carrier.clock.now(), utc_now()
        set_status(carrier, leg, "in-progress")


def duration(carrier: Carrier, leg: Leg) -> int:
    """Whole seconds between answer and end (or now); 0 if never answered."""
    if leg.answered is None:
        return 0
    return int((leg.ended if leg.ended is not None else carrier.clock.now()) - leg.answered)


def send_event(carrier: Carrier, leg: Leg, event: str) -> None:
    """Send a leg status callback, if anybody wants this event."""
    if not leg.hook or event not in leg.hook.events:
        return
    params = request_params(carrier, leg) | {
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(leg.sequence),
        "Timestamp": rfc2822(utc_now()) or "",
    }
    leg.sequence += 1
    if event == "completed":
        seconds = duration(carrier, leg)
        params |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
        if leg.sip_code:
            params["SipResponseCode"] = str(leg.sip_code)
    carrier.spawn(carrier.outbound.notify(leg.hook.url, leg.hook.method, params, leg.sid, event))


def end(carrier: Carrier, leg: Leg, status: str = "completed", sip_code: int | None = None) -> None:
    """The leg is over: stop its document, finish its recordings, tell whoever subscribed. Ending twice is once."""
    if not leg.live:
        return
    leg.status, leg.sip_code = status, sip_code
    leg.ended, leg.ended_at = carrier.clock.now(), utc_now()
    leg.note(leg.ended, "status", status=status)
    for clip in [*leg.spoken, *leg.heard]:
        clip.cut(leg.ended)
    for recording in carrier.recordings_of(leg):
        if recording.live:
            recordings.stop(carrier, recording)
    if all(recording.finished.is_set() for recording in carrier.recordings_of(leg)):
        leg.spoken.clear()
        leg.heard.clear()
    leg.over.set()
    current = asyncio.current_task()
    for task in [leg.document, *leg.tasks]:
        if task and task is not current:
            task.cancel()
    send_event(carrier, leg, "completed")


def redirect(leg: Leg, fetch: Fetch) -> None:
    """Give a live leg another document; the running one is broken off. The last of two redirects wins."""
    leg.takeover = fetch
    if leg.document:
        leg.document.cancel()


async def control(carrier: Carrier, leg: Leg, fetch: Fetch, **extra: str) -> Answer:
    """Make a control request for this leg. Raises RequestFailed.

    Once sent it is carried to its end, even if the leg ends or is redirected meanwhile; the answer is then ignored.
    """
    params = request_params(carrier, leg) | fetch.params | extra
    asking = carrier.outbound.control(fetch.url, fetch.method, params, leg.sid)
    request = carrier.spawn(asking, expected=RequestFailed)
    leg.requests.add(request)
    request.add_done_callback(leg.requests.discard)
    return await asyncio.shield(request)
