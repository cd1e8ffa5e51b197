"""What verbs share: the document they run in, and the ways in which a document can be left."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin

from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Fetch, Hook, Leg
from callcenter.simulator.twiml import Element


class GoTo(Exception):
    """Run another document instead of the rest of this one."""

    def __init__(self, fetch: Fetch) -> None:
        super().__init__(fetch.url)
        self.fetch = fetch


class HangUp(Exception):
    """End the call."""


class Rejected(Exception):
    """Refuse the call without answering; carries the final status."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class LeaveQueue(Exception):
    """<Leave> in a wait document."""


class DocumentFailed(Exception):
    """A document could not be got or run; `code` is Twilio's, `url` where it came from."""

    def __init__(self, code: int, url: str, message: str) -> None:
        super().__init__(message)
        self.code, self.url = code, url


PlayDocument = Callable[[Carrier, Leg, Fetch, frozenset[str] | None, Callable[[], dict[str, str]]], Awaitable[None]]


@dataclass
class Run:
    """A document being executed on a leg. `allowed` limits the verbs, `perform` runs one verb."""

    carrier: Carrier
    leg: Leg
    url: str
    method: str
    perform: "Callable[[Run, Element], Awaitable[None]]"
    play_document: "PlayDocument"
    allowed: frozenset[str] | None = None

    def resolve(self, url: str) -> str:
        """An address in this document made absolute; empty means the document itself."""
        if not url:
            return self.url
        return urljoin(urldefrag(self.url).url, url)

    def fetch(self, verb: Element, attribute: str = "action", method: str = "method", **params: str) -> Fetch:
        """The request that an attribute of a verb asks for."""
        return Fetch(self.resolve(verb.get(attribute)), verb.get(method, "POST"), params)

    def alert(self, code: int, message: str) -> None:
        """Complain about this document."""
        self.carrier.journal.alert(code, message, call_sid=self.leg.sid, url=self.url)

    def recording_hook(self, noun: Element) -> Hook | None:
        """Recording callback of a verb or noun; default event is completed."""
        if not noun.get("recordingStatusCallback"):
            return None
        events = frozenset(noun.get("recordingStatusCallbackEvent", "completed").split())
        method = noun.get("recordingStatusCallbackMethod", "POST")
        return Hook(self.resolve(noun.get("recordingStatusCallback")), method, events)

    def leg_hook(self, noun: Element) -> Hook | None:
        """Leg callback of Client or Number; default event is completed."""
        if not noun.get("statusCallback"):
            return None
        events = frozenset(noun.get("statusCallbackEvent", "completed").split())
        return Hook(self.resolve(noun.get("statusCallback")), noun.get("statusCallbackMethod", "POST"), events)
