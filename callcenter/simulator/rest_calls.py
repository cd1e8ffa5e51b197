"""REST: Calls."""

import re
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from callcenter.simulator import calling, legs
from callcenter.simulator.model import Fetch, Hook, Leg
from callcenter.simulator.rest import Ask, Reply, RestError, Route, not_found, not_in_progress
from callcenter.simulator.timing import rfc2822, utc_now

_CALLABLE = re.compile(r"\+\d{5,15}|client:[A-Za-z0-9_]{1,121}(\?.*)?")
_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_RINGING_SLACK_SECONDS = 5


def describe(ask: Ask, leg: Leg) -> dict[str, Any]:
    """A call as Twilio shows it; duration only once it is over and was answered."""
    uri = f"{ask.uri_base}/Calls/{leg.sid}"
    over = leg.ended_at is not None
    answered_and_over = leg.status == "completed" and leg.answered is not None
    return {
        "sid": leg.sid,
        "account_sid": ask.carrier.settings.account_sid,
        "parent_call_sid": leg.parent_sid,
        "date_created": rfc2822(leg.created_at),
        "date_updated": rfc2822(leg.ended_at or leg.answered_at or leg.created_at),
        "to": leg.to,
        "to_formatted": leg.to,
        "from": leg.from_,
        "from_formatted": leg.from_,
        "phone_number_sid": leg.number_sid,
        "status": leg.status,
        "start_time": rfc2822(leg.answered_at or (leg.created_at if over else None)),
        "end_time": rfc2822(leg.ended_at),
        "duration": str(legs.duration(ask.carrier, leg)) if answered_and_over else None,
        "price": None,
        "price_unit": "USD",
        "direction": leg.direction,
        "answered_by": None,
        "api_version": "2010-04-01",
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": str(leg.queue_time),
        "trunk_sid": None,
        "uri": uri + ".json",
        "subresource_uris": {"recordings": f"{uri}/Recordings.json"},
    }


def the_leg(ask: Ask) -> Leg:
    """The call of the path. Raises 404."""
    leg = ask.carrier.legs.get(ask.part("call_sid"))
    if leg is None:
        raise not_found(f"/Calls/{ask.part('call_sid')}")
    return leg


def _document(ask: Ask) -> Fetch | None:
    url, twiml = ask.url("Url"), ask.text("Twiml")
    if twiml and len(twiml) > 4000:
        raise RestError(400, 32018, "Twiml is longer than 4000 characters")
    if url:
        return Fetch(url, ask.method("Method"))
    return Fetch("", "POST", twiml=twiml) if twiml else None


def _hook(ask: Ask) -> Hook | None:
    if not ask.url("StatusCallback"):
        return None
    events = frozenset(ask.form.getall("StatusCallbackEvent", ["completed"]))
    if unknown := sorted(events - _EVENTS):
        message = f"StatusCallbackEvent {', '.join(unknown)} is not an event; nothing is sent for it"
        ask.carrier.journal.alert(21626, message)
    return Hook(ask.text("StatusCallback"), ask.method("StatusCallbackMethod"), events & _EVENTS)


async def create(ask: Ask) -> Reply:
    """POST /Calls."""
    ask.only(
        *("To", "From", "Url", "Method", "Twiml", "FallbackUrl", "FallbackMethod", "StatusCallback"),
        *("StatusCallbackMethod", "StatusCallbackEvent", "Timeout"),
    )
    to, from_ = ask.text("To"), ask.text("From")
    if not to:
        raise RestError(400, 21201, "No 'To' number is specified")
    if not from_:
        raise RestError(400, 21213, "No 'From' number is specified")
    if not _CALLABLE.fullmatch(to):
        raise RestError(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
    if not from_.startswith("client:") and from_ not in ask.carrier.numbers:
        raise RestError(400, 21210, f"The source phone number provided, {from_}, is not yet verified for your account")
    timeout = int(ask.text("Timeout", "60"))
    if not 1 <= timeout <= 600:
        raise RestError(400, 21218, "Timeout must be between 1 and 600 seconds")
    first = _document(ask)
    if first is None:
        raise RestError(400, 21205, "Url parameter is required.")
    leg = Leg("outbound-api", from_, to, ask.carrier.clock.now(), hook=_hook(ask))
    leg.timeout = timeout + _RINGING_SLACK_SECONDS
    if ask.url("FallbackUrl"):
        leg.fallback = Fetch(ask.text("FallbackUrl"), ask.method("FallbackMethod"))
    calling.dial(ask.carrier, leg, first)
    return web.json_response(describe(ask, leg), status=201)


async def fetch(ask: Ask) -> Reply:
    """GET /Calls/{sid}."""
    return describe(ask, the_leg(ask))


async def update(ask: Ask) -> Reply:
    """POST /Calls/{sid}: another document, or the end."""
    leg = the_leg(ask)
    ask.only("Url", "Method", "Twiml", "Status")
    status = ask.text("Status")
    document = _document(ask)
    if status not in ("", "canceled", "completed"):
        raise RestError(400, 21218, f"Status {status} is not allowed")
    if not leg.live:
        raise not_in_progress()
    if status == "completed":
        legs.end(ask.carrier, leg)
    elif status == "canceled" and leg.answered is None:
        legs.end(ask.carrier, leg, "canceled", sip_code=487)
    elif document:
        if leg.answered is None:
            raise not_in_progress()
        legs.redirect(leg, document)
    return describe(ask, leg)


async def remove(ask: Ask) -> Reply:
    """DELETE /Calls/{sid}: only after the call is over (20009)."""
    leg = the_leg(ask)
    if leg.live:
        raise RestError(409, 20009, "Resource cannot be deleted because it has not completed")
    del ask.carrier.legs[leg.sid]
    return web.Response(status=204)


def when(text: str) -> datetime:
    """A date or a moment of a list filter, aware UTC. Raises 400."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise RestError(400, 20001, f"invalid date {text}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def in_period(ask: Ask, name: str, moment: datetime) -> bool:
    """Whether a moment passes the filters `Name`, `Name<` and `Name>` (a plain date means that day)."""
    whole = moment.replace(microsecond=0)
    exact, before, after = (ask.query(name + sign) for sign in ("", "<", ">"))
    return (
        (not exact or when(exact).date() == whole.date())
        and (not before or whole <= when(before))
        and (not after or whole >= when(after))
    )


async def listing(ask: Ask) -> Reply:
    """GET /Calls, newest first."""
    wanted = {"to": ask.query("To"), "from_": ask.query("From"), "status": ask.query("Status")}
    wanted["parent_sid"] = ask.query("ParentCallSid")
    found = [
        leg
        for leg in reversed(ask.carrier.legs.values())
        if all(not value or getattr(leg, name) == value for name, value in wanted.items())
        and in_period(ask, "StartTime", leg.answered_at or leg.created_at)
        and in_period(ask, "EndTime", leg.ended_at or utc_now())
    ]
    return ask.page("calls", found, lambda leg: describe(ask, leg), lambda leg: leg.created_at.isoformat())


ROUTES: list[Route] = [
    ("POST", "/Calls.json", create),
    ("GET", "/Calls.json", listing),
    ("GET", "/Calls/{call_sid:CA[0-9a-f]{32}}.json", fetch),
    ("POST", "/Calls/{call_sid:CA[0-9a-f]{32}}.json", update),
    ("DELETE", "/Calls/{call_sid:CA[0-9a-f]{32}}.json", remove),
]
