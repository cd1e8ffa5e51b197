"""The carrier's requests to the application: signed, limited in time, retried as the URL's fragment asks."""

import asyncio
import random
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urljoin, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from callcenter.simulator.faults import Faults, Rule
from callcenter.simulator.journal import GIVEN_UP, Exchange, Journal
from callcenter.simulator.signing import signature

_HEADERS = {"User-Agent": "TwilioProxy/1.1", "X-Home-Region": "us1", "Accept": "*/*"}
_FORM = "application/x-www-form-urlencoded; charset=UTF-8"


class RequestFailed(Exception):
    """No usable answer. `code` is Twilio's, `url` the one asked, `cause` one of ct rt 4xx 5xx."""

    def __init__(self, code: int, url: str, cause: str, message: str) -> None:
        super().__init__(message)
        self.code, self.url, self.cause = code, url, cause


@dataclass(frozen=True)
class Answer:
    """What the application answered, and the URL it finally came from."""

    status: int
    content_type: str
    body: bytes
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Overrides:
    """Connection overrides of a URL fragment; seconds."""

    connect: float = 5
    read: float = 15
    total: float = 15
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, url: str) -> "Overrides":
        """Read `#ct=…&rt=…&tt=…&rc=…&rp=…`; what is absent keeps Twilio's default. Raises ValueError."""
        given = dict(parse_qsl(urlsplit(url).fragment))
        if unknown := set(given.get("rp", "ct").split(",")) - {"4xx", "5xx", "ct", "rt", "all"}:
            raise ValueError(f"retry policy {', '.join(sorted(unknown))}")
        return cls(
            float(given.get("ct", 5000)) / 1000,
            float(given.get("rt", 15000)) / 1000,
            min(15.0, float(given.get("tt", 15000)) / 1000),
            max(0, min(5, int(given.get("rc", 1)))),
            frozenset(given.get("rp", "ct").split(",")),
        )

    def retry(self, cause: str) -> bool:
        """Whether such a failure is tried again."""
        return "all" in self.policy or cause in self.policy


class Outbound:
    """Sends requests. One session for all; nothing is remembered between requests."""

    def __init__(self, auth_token: str, journal: Journal, faults: Faults) -> None:
        self._token = auth_token
        self._journal = journal
        self._faults = faults
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Must run on the event loop before the first request."""
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0, force_close=True)
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def control(self, url: str, method: str, params: dict[str, str], call_sid: str, event: str = "") -> Answer:
        """A synchronous request for a document. Raises RequestFailed."""
        rule = self._faults.take("control", url, event=event, method=method)
        if rule and rule.action == "drop":
            raise RequestFailed(11205, url, "ct", "could not connect (fault)")
        if rule and rule.action == "delay":
            await asyncio.sleep(rule.seconds)
        for _ in range(rule.n if rule and rule.action == "duplicate" else 0):
            await self._with_retries("control", url, method, params, call_sid, event, rule)
        answer = await self._with_retries("control", url, method, params, call_sid, event, rule)
        if rule and rule.action == "timeout":
            raise RequestFailed(11200, url, "rt", "no answer in time (fault)")
        return answer

    async def media(self, url: str, call_sid: str) -> Answer:
        """Sound for <Play>: a plain GET without parameters. Raises RequestFailed."""
        return await self._with_retries("media", url, "GET", {}, call_sid, "play", None)

    async def notify(self, url: str, method: str, params: dict[str, str], call_sid: str | None, event: str) -> None:
        """An asynchronous notification; a refusal is only written down (15003, 16011 for conferences).

        `scatter` delivers it n more times, every copy at its own moment within the rule's seconds.
        """
        rule = self._faults.take("callback", url, event=event, method=method)
        if rule and rule.action == "drop":
            details = {"params": dict(params), "call_sid": call_sid, "event": event, "fault": "drop"}
            self._journal.open("out", "callback", method, url, **details)
            return
        if rule and rule.action == "delay":
            await asyncio.sleep(rule.seconds)
        if rule and rule.action == "reorder":
            await self._faults.hold_back(max(rule.seconds, 3.0))
        copies = 1 + (rule.n if rule and rule.action in ("duplicate", "scatter") else 0)
        if rule and rule.action == "scatter":
            late = [random.uniform(0, rule.seconds) for _ in range(copies)]
            await asyncio.gather(*(self._deliver(url, method, params, call_sid, event, rule, s) for s in late))
        else:
            for _ in range(copies):
                await self._deliver(url, method, params, call_sid, event, rule)
        if not (rule and rule.action == "reorder"):
            self._faults.delivered()

    async def _deliver(
        self,
        url: str,
        method: str,
        params: dict[str, str],
        call_sid: str | None,
        event: str,
        rule: Rule | None,
        after_seconds: float = 0,
    ) -> None:
        await asyncio.sleep(after_seconds)
        try:
            await self._with_retries("callback", url, method, params, call_sid, event, rule)
        except RequestFailed as failure:
            code = 16011 if "ConferenceSid" in params else 15003
            self._journal.alert(code, f"{event}: {failure}", call_sid=call_sid, url=url)

    async def _with_retries(
        self,
        kind: str,
        url: str,
        method: str,
        params: dict[str, str],
        call_sid: str | None,
        event: str,
        rule: Rule | None,
    ) -> Answer:
        try:
            overrides = Overrides.of(url)
        except ValueError as error:
            raise RequestFailed(11243, url, "4xx", f"connection overrides: {error}") from error
        deadline = time.monotonic() + overrides.total
        for attempt in range(overrides.retries + 1):
            exchange = self._journal.open(
                "out", kind, method, url, params=dict(params), call_sid=call_sid, event=event or None
            )
            exchange.fault = rule.action if rule else None
            try:
                return await self._follow(exchange, url, method, params, overrides, deadline)
            except RequestFailed as failure:
                last = attempt == overrides.retries or time.monotonic() >= deadline
                if last or not overrides.retry(failure.cause):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _follow(
        self, exchange: Exchange, url: str, method: str, params: dict[str, str], limits: Overrides, deadline: float
    ) -> Answer:
        began = time.monotonic()
        try:
            for _ in range(11):
                answer = await self._send(url, method, params, limits, deadline, signed=exchange.kind != "media")
                if answer.status not in (301, 302, 303, 307, 308):
                    break
                url = urljoin(answer.url, answer.headers.get("Location", ""))
                if answer.status <= 303:
                    method, params = "GET", {}
            else:
                raise RequestFailed(11215, url, "4xx", "too many redirects")
        except RequestFailed as failure:
            self._journal.close(exchange, None, time.monotonic() - began, str(failure))
            raise
        except asyncio.CancelledError:
            self._journal.close(exchange, None, time.monotonic() - began, GIVEN_UP)
            raise
        self._journal.close(exchange, answer.status, time.monotonic() - began, _readable(answer))
        if answer.status >= 400:
            cause = "4xx" if answer.status < 500 else "5xx"
            raise RequestFailed(11200, url, cause, f"answered {answer.status}")
        return answer

    async def _send(
        self, url: str, method: str, params: dict[str, str], limits: Overrides, deadline: float, *, signed: bool
    ) -> Answer:
        if self._session is None:
            raise RuntimeError("open() was not called")
        url = _with_query(url, params) if method == "GET" else url
        fields = list(params.items()) if method == "POST" else []
        target, credentials = _split_credentials(url)
        headers = dict(_HEADERS)
        if signed:
            headers["X-Twilio-Signature"] = signature(self._token, url, fields)
        if credentials:
            headers["Authorization"] = "Basic " + b64encode(credentials.encode()).decode()
        if method == "POST":
            headers["Content-Type"] = _FORM
        body = urlencode(fields).encode() if method == "POST" else None
        left = max(0.05, deadline - time.monotonic())
        timeout = aiohttp.ClientTimeout(total=left, sock_connect=limits.connect, sock_read=limits.read)
        try:
            async with self._session.request(
                method, URL(target, encoded=True), data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                content = await response.read()
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                return Answer(response.status, kind, content, url, dict(response.headers))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _failure(url, error) from error


def _failure(url: str, error: Exception) -> RequestFailed:
    if isinstance(error, aiohttp.InvalidURL):
        return RequestFailed(11100, url, "4xx", "invalid URL")
    if isinstance(error, (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError)):
        return RequestFailed(11205, url, "ct", "could not connect")
    if isinstance(error, TimeoutError):
        return RequestFailed(11200, url, "rt", "no answer in time")
    return RequestFailed(11205, url, "rt", f"connection failed: {type(error).__name__}")


def _with_query(url: str, params: dict[str, str]) -> str:
    if not params:
        return url
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(params)) if part)
    return urlunsplit(parts._replace(query=query))


def _split_credentials(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, host, parts.path, parts.query, "")), unquote(credentials)


def _readable(answer: Answer) -> str:
    if answer.content_type.startswith("audio/"):
        return f"({len(answer.body)} bytes of {answer.content_type})"
    return answer.body.decode("utf-8", "replace")
