"""The REST API's frame: credentials, faults, errors in Twilio's form, pages."""

import asyncio
import hmac
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from callcenter.simulator.carrier import Carrier
from callcenter.simulator.faults import Rule

BASE = "/2010-04-01/Accounts/{account}"
_FAULT_CODES = {429: 20429, 500: 20500, 503: 20503, 404: 20404}
_HANG_SECONDS = 60.0
Item = TypeVar("Item")


class RestError(Exception):
    """An answer in Twilio's error form."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def not_found(what: str) -> RestError:
    """404 with code 20404."""
    return RestError(404, 20404, f"The requested resource {what} was not found")


def not_in_progress() -> RestError:
    """The call is over, or not there yet."""
    return RestError(400, 21220, "Call is not in-progress. Cannot redirect.")


@dataclass
class Ask:
    """One REST request: path parts, query, form."""

    carrier: Carrier
    request: web.Request
    form: MultiMapping[Any]

    @property
    def uri_base(self) -> str:
        """Path prefix of this account."""
        return f"/2010-04-01/Accounts/{self.carrier.settings.account_sid}"

    def part(self, name: str) -> str:
        """A variable part of the path."""
        return self.request.match_info[name]

    def only(self, *names: str) -> None:
        """Refuse form fields that this simulator would silently ignore."""
        if unknown := sorted(set(self.form) - set(names)):
            raise RestError(501, 20501, f"the simulator does not know the parameter {', '.join(unknown)} here")

    def text(self, name: str, default: str = "") -> str:
        """A form field."""
        return str(self.form.get(name, default))

    def flag(self, name: str) -> bool:
        """A form field that is true or false."""
        return self.text(name).lower() == "true"

    def query(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.request.query.get(name, default)

    def method(self, name: str, default: str = "POST") -> str:
        """A form field naming an HTTP method."""
        value = self.text(name, default).upper()
        if value not in ("GET", "POST"):
            raise RestError(400, 21203, f"{name} {value} is not allowed")
        return value

    def url(self, name: str) -> str:
        """A form field that must be an absolute URL (21205); absent is empty."""
        value = self.text(name)
        if value and not value.startswith(("http://", "https://")):
            raise RestError(400, 21205, f"{name} is not a valid URL: {value}")
        return value

    def page(
        self,
        key: str,
        items: Sequence[Item],
        describe: "Callable[[Item], dict[str, Any]]",
        token: "Callable[[Item], str] | None" = None,
    ) -> dict[str, Any]:
        """One page of a list, newest order as given. With ``token``, which falls from item to item, the next page goes
        on below the last item of this one, whatever was added or deleted meanwhile, as Twilio's PageToken does."""
        size = max(1, min(1000, int(self.query("PageSize", "50"))))
        number = int(self.query("Page", "0"))
        path = self.request.path
        skipped = number * size
        if token and (below := self.query("PageToken").removeprefix("PA")):
            skipped = next((at for at, item in enumerate(items) if token(item) < below), len(items))
        here = items[skipped : skipped + size]

        def uri(wanted: int) -> str:
            paging = ("Page", "PageSize", "PageToken")
            kept = [(name, value) for name, value in self.request.query.items() if name not in paging]
            place = [("PageToken", f"PA{token(here[-1])}")] if token and wanted > number and here else []
            return f"{path}?{urlencode([*kept, ('PageSize', size), ('Page', wanted), *place])}"

        end = skipped + size
        return {
            key: [describe(item) for item in here],
            "page": number,
            "page_size": size,
            "start": skipped,
            "end": min(end, len(items)) - 1 if items else 0,
            "uri": uri(number),
            "first_page_uri": uri(0),
            "previous_page_uri": uri(number - 1) if number else None,
            "next_page_uri": uri(number + 1) if end < len(items) else None,
        }


Reply = dict[str, Any] | web.StreamResponse
Handler = Callable[[Ask], Awaitable[Reply]]
Route = tuple[str, str, Handler]


def mount(app: web.Application, carrier: Carrier, routes: Sequence[Route]) -> None:
    """Put routes (method, path below the account, handler) behind the frame; anything else answers 501."""
    for method, path, handler in routes:
        app.router.add_route(method, BASE + path, _framed(carrier, handler))
    app.router.add_route("*", "/2010-04-01/{tail:.*}", _framed(carrier, _unknown))


async def _unknown(ask: Ask) -> Reply:
    ask.carrier.journal.alert(20404, f"the simulator does not know {ask.request.method} {ask.request.path}")
    raise RestError(501, 20404, f"the simulator does not know {ask.request.method} {ask.request.path}")


def _framed(carrier: Carrier, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        form = await request.post()
        kind = "media" if request.path.endswith((".wav", ".mp3")) else "rest"
        params = {name: form.getall(name) if len(form.getall(name)) > 1 else form[name] for name in form}
        exchange = carrier.journal.open("in", kind, request.method, request.path_qs, params=params)
        rule = carrier.faults.take(kind, request.path_qs, method=request.method)
        exchange.fault = rule.action if rule else None
        try:
            _authenticate(carrier, request)
            response = await _with_fault(rule, handler, Ask(carrier, request, form))
        except RestError as error:
            response = _error(request, error, rule)
        body = response.text or "" if isinstance(response, web.Response) and kind == "rest" else ""
        carrier.journal.close(exchange, response.status, time.monotonic() - began, body)
        return response

    return serve


async def _with_fault(rule: Rule | None, handler: Handler, ask: Ask) -> web.StreamResponse:
    if rule and rule.action == "delay":
        await asyncio.sleep(rule.seconds)
    if rule and rule.action == "status":
        raise RestError(rule.status, _FAULT_CODES.get(rule.status, 20500), "fault on request")
    if rule and rule.action == "media_late":
        raise not_found(ask.request.path)
    if rule and rule.action == "timeout":
        await _hang(ask)
    reply = await handler(ask)
    if rule and rule.action == "timeout_after_success":
        await _hang(ask)
    if rule and rule.action == "truncate" and isinstance(reply, web.Response):
        return await _truncated(rule, reply, ask)
    return web.json_response(reply) if isinstance(reply, dict) else reply


async def _hang(ask: Ask) -> None:
    """Give no answer: wait until the client is tired, then break the connection."""
    await asyncio.sleep(_HANG_SECONDS)
    if ask.request.transport:
        ask.request.transport.close()
    raise RestError(504, 20500, "fault on request")


async def _truncated(rule: Rule, reply: web.Response, ask: Ask) -> web.StreamResponse:
    """Half of the body: with the full Content-Length and a broken connection, or (`short_file`) as if it were all."""
    body = bytes(reply.body) if isinstance(reply.body, (bytes, bytearray)) else b""
    half = body[: len(body) // 2]
    if rule.mode == "short_file":
        return web.Response(body=half, content_type=reply.content_type)
    broken = web.StreamResponse(headers={"Content-Type": reply.content_type, "Content-Length": str(len(body))})
    await broken.prepare(ask.request)
    await broken.write(half)
    if ask.request.transport:
        ask.request.transport.close()
    return broken


def _error(request: web.Request, error: RestError, rule: Rule | None) -> web.Response:
    body = {
        "code": error.code,
        "message": str(error),
        "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
        "status": error.status,
    }
    headers = {"Twilio-Error-Code": str(error.code)}
    if rule and rule.retry_after is not None:
        headers["Retry-After"] = str(rule.retry_after)
    return web.json_response(body, status=error.status, headers=headers)


def _authenticate(carrier: Carrier, request: web.Request) -> None:
    settings = carrier.settings
    accepted = [(settings.account_sid, settings.auth_token)]
    if settings.rest_key_sid and settings.rest_key_secret:
        accepted.append((settings.rest_key_sid, settings.rest_key_secret))
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = b64decode(encoded).decode().partition(":")
    except ValueError:
        user = password = ""
    known = any(user == name and hmac.compare_digest(password.encode(), secret.encode()) for name, secret in accepted)
    if scheme.lower() != "basic" or not known:
        raise RestError(401, 20003, "Authenticate")
    if request.match_info.get("account", settings.account_sid) != settings.account_sid:
        raise RestError(401, 20003, "Authenticate")
