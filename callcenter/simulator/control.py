"""JSON control API under /simulator/: places calls, moves parties, describes softphones, causes trouble."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from callcenter.simulator import calling, parties, sounds
from callcenter.simulator.carrier import NUMBER_SETTINGS, Behaviour, Carrier
from callcenter.simulator.model import Leg
from callcenter.simulator.scenarios import BUILT_IN, scenario
from callcenter.simulator.settings import is_loopback
from callcenter.simulator.views import call_state

_ACTIONS = frozenset({"answer", "decline", "busy", "ignore"})
_BEHAVIOUR = frozenset(f.name for f in fields(Behaviour))


@web.middleware
async def guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Everything but the REST API is for this machine only: refuse other Host names and other sites' pages."""
    host = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
    if not is_loopback(host or request.host):
        return web.json_response({"error": "this Host is not answered"}, status=421)
    origin = request.headers.get("Origin")
    foreign = origin is not None and origin != f"http://{request.host}"
    if foreign or request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return web.json_response({"error": "requests of other sites are refused"}, status=403)
    return await handler(request)


async def _body(request: web.Request) -> Any:
    try:
        return json.loads(await request.text() or "{}")
    except ValueError:
        raise web.HTTPBadRequest(text=json.dumps({"error": "body is not JSON"})) from None


def behaviour_from(described: Any) -> Behaviour:
    """Read a behaviour. "never" stands for null in answer_after_seconds. Raises ValueError."""
    if not isinstance(described, dict) or set(described) - _BEHAVIOUR:
        raise ValueError(f"a behaviour is an object with {', '.join(sorted(_BEHAVIOUR))}")
    behaviour = Behaviour(**described)
    if behaviour.answer_after_seconds == "never":  # type: ignore[comparison-overlap]
        behaviour.answer_after_seconds = None
    for name in ("answer_after_seconds", "hang_up_after_seconds"):
        value = getattr(behaviour, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise ValueError(f"{name} must be seconds or null")
    if behaviour.action not in _ACTIONS:
        raise ValueError(f"action must be one of {', '.join(sorted(_ACTIONS))}")
    check = parties.check_steps(behaviour.steps)
    behaviour.steps = check
    return behaviour


class Control:
    """Handlers of the control API; bad input raises ValueError, which becomes 400."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier

    def _leg(self, request: web.Request) -> Leg:
        leg = self.carrier.legs.get(request.match_info["sid"])
        if leg is None:
            raise web.HTTPNotFound(text=json.dumps({"error": "no such call"}))
        return leg

    async def place(self, request: web.Request) -> Any:
        """POST /simulator/calls: a named or inline scenario; `to` defaults to the first number."""
        planned = scenario(await _body(request), next(iter(self.carrier.numbers), None))
        if planned.to not in self.carrier.numbers:
            raise ValueError(f"nobody has the number {planned.to}")
        return {"sid": calling.place(self.carrier, planned).sid}

    async def calls(self, request: web.Request) -> Any:
        """GET /simulator/calls: all legs, oldest first."""
        return {"calls": [call_state(self.carrier, leg) for leg in self.carrier.legs.values()]}

    async def call(self, request: web.Request) -> Any:
        """GET /simulator/calls/{sid}: everything about one leg."""
        return call_state(self.carrier, self._leg(request))

    async def press(self, request: web.Request) -> Any:
        """POST …/press {digits, wait_seconds=5}: waits for the line to listen; `heard` tells whether it did."""
        leg, body = self._leg(request), await _body(request)
        digits = str(body.get("digits", ""))
        if not digits or set(digits) - set("0123456789*#"):
            raise ValueError("digits must be of 0-9 * #")
        return {"heard": await parties.press(self.carrier, leg, digits, float(body.get("wait_seconds", 5)))}

    async def say(self, request: web.Request) -> Any:
        """POST …/say {text}: answers when the sentence is over."""
        leg, body = self._leg(request), await _body(request)
        if not body.get("text"):
            raise ValueError("text is missing")
        await sounds.speak(self.carrier, leg, str(body["text"]))
        return {"ok": leg.live}

    async def hang_up(self, request: web.Request) -> Any:
        """POST …/hang_up: the party puts the phone down."""
        leg = self._leg(request)
        parties.hang_up(self.carrier, leg)
        return {"status": leg.status}

    async def put_party(self, request: web.Request) -> Any:
        """PUT /simulator/clients/{identity} and /simulator/phones/{number}: how it reacts from the next ring on."""
        behaviour = behaviour_from(await _body(request))
        kept = self.carrier.clients if "identity" in request.match_info else self.carrier.phones
        kept[request.match_info.get("identity") or request.match_info["number"]] = behaviour
        return asdict(behaviour)

    async def clients(self, request: web.Request) -> Any:
        """GET /simulator/clients."""
        carrier = self.carrier
        return {
            "clients": {identity: asdict(behaviour) for identity, behaviour in carrier.clients.items()},
            "phones": {number: asdict(behaviour) for number, behaviour in carrier.phones.items()},
        }

    async def numbers(self, request: web.Request) -> Any:
        """GET /simulator/numbers."""
        kept = sorted(NUMBER_SETTINGS)
        return {n.phone_number: {name: getattr(n, name) for name in kept} for n in self.carrier.numbers.values()}

    async def put_numbers(self, request: web.Request) -> Any:
        """PUT /simulator/numbers {"+44…": {voice_url, …}}: adds or changes; others stay."""
        body = await _body(request)
        if not isinstance(body, dict) or not all(isinstance(value, dict) for value in body.values()):
            raise ValueError("numbers must be an object of objects")
        for number, described in body.items():
            self.carrier.set_number(number, described)
        return await self.numbers(request)

    async def faults(self, request: web.Request) -> Any:
        """GET or PUT /simulator/faults {"rules": […]}."""
        if request.method == "PUT":
            self.carrier.faults.replace((await _body(request)).get("rules"))
        return {"rules": [asdict(rule) for rule in self.carrier.faults.rules]}

    async def exchanges(self, request: web.Request) -> Any:
        """GET /simulator/exchanges?since=id, oldest first."""
        return {"exchanges": self.carrier.journal.since(int(request.query.get("since", "0")))}

    async def state(self, request: web.Request) -> Any:
        """GET /simulator/state: what lives now, and every alert."""
        carrier = self.carrier
        return {
            "live_calls": [call_state(carrier, leg) for leg in carrier.legs.values() if leg.live],
            "queues": [
                {"sid": q.sid, "name": q.friendly_name, "members": [m.leg.sid for m in q.members]}
                for q in carrier.queues.values()
            ],
            "conferences": [
                {"sid": c.sid, "name": c.friendly_name, "status": c.status, "participants": list(c.participants)}
                for c in carrier.conferences.values()
            ],
            "recordings": [
                {"sid": r.sid, "call_sid": r.leg.sid, "status": r.status, "duration_seconds": r.duration}
                for r in carrier.recordings.values()
            ],
            "alerts": carrier.journal.alerts(),
        }

    async def scenarios(self, request: web.Request) -> Any:
        """GET /simulator/scenarios."""
        return {"scenarios": BUILT_IN}

    async def reset(self, request: web.Request) -> Any:
        """POST /simulator/reset: drop all calls, rules and softphones silently; numbers stay."""
        self.carrier.forget_all()
        return {"ok": True}


def mount(app: web.Application, control: Control) -> None:
    """Put the control API's routes into the application."""
    table = [
        ("POST", "/calls", "place"),
        ("GET", "/calls", "calls"),
        ("GET", "/calls/{sid}", "call"),
        ("POST", "/calls/{sid}/press", "press"),
        ("POST", "/calls/{sid}/say", "say"),
        ("POST", "/calls/{sid}/hang_up", "hang_up"),
        ("GET", "/clients", "clients"),
        ("PUT", "/clients/{identity}", "put_party"),
        ("PUT", "/phones/{number}", "put_party"),
        ("GET", "/numbers", "numbers"),
        ("PUT", "/numbers", "put_numbers"),
        ("GET", "/faults", "faults"),
        ("PUT", "/faults", "faults"),
        ("GET", "/exchanges", "exchanges"),
        ("GET", "/scenarios", "scenarios"),
        ("GET", "/state", "state"),
        ("POST", "/reset", "reset"),
    ]
    for method, path, name in table:
        app.router.add_route(method, "/simulator" + path, _json(getattr(control, name)))


def _json(handler: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        try:
            return web.json_response(await handler(request))
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        except web.HTTPException as error:
            return web.Response(text=error.text, status=error.status, content_type="application/json")

    return serve
