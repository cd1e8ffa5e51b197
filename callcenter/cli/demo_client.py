"""The demo's view of the two servers, over HTTP only: our JSON API and the simulator's control API."""

from collections.abc import Callable
from typing import Any

import requests

from callcenter import clock
from callcenter.errors import CallcenterError

TIMEOUT_SECONDS = 10


class StepFailed(CallcenterError):
    """A step of the scripted call did not happen; the message names it."""

    code = "step_failed"


class Api:
    """Our JSON API with one person's key."""

    def __init__(self, base_url: str, key: str) -> None:
        self._base = f"{base_url}/api/v1"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET. Raises StepFailed for anything but success."""
        return _json(self._session.get(self._base + path, params=query, timeout=TIMEOUT_SECONDS))

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of another method. Raises StepFailed for anything but success."""
        return _json(self._session.request(method, self._base + path, json=body or {}, timeout=TIMEOUT_SECONDS))

    def download(self, path: str, **query: Any) -> bytes:
        """The bytes of a GET. Raises StepFailed for anything but success."""
        answer = self._session.get(self._base + path, params=query, timeout=TIMEOUT_SECONDS)
        if not answer.ok:
            raise StepFailed(f"GET {path} answered {answer.status_code}")
        return answer.content

    def status(self, path: str, **query: Any) -> int:
        """Only the status of a GET."""
        return self._session.get(self._base + path, params=query, timeout=TIMEOUT_SECONDS).status_code


class Simulator:
    """The pretend carrier's control API."""

    def __init__(self, base_url: str) -> None:
        self._base = f"{base_url}/simulator"
        self._session = requests.Session()

    def place_call(self, scenario: str, to: str) -> str:
        """Ring a number as the scenario's caller; answers the caller's leg SID. Raises StepFailed."""
        answer = self._session.post(
            f"{self._base}/calls", json={"scenario": scenario, "to": to}, timeout=TIMEOUT_SECONDS
        )
        return str(_json(answer)["sid"])

    def call(self, sid: str) -> dict[str, Any]:
        """Everything about one leg: status, what its party heard, events."""
        found: dict[str, Any] = _json(self._session.get(f"{self._base}/calls/{sid}", timeout=TIMEOUT_SECONDS))
        return found

    def set_numbers(self, numbers: dict[str, dict[str, str]]) -> None:
        """Point numbers at webhook addresses."""
        _json(self._session.put(f"{self._base}/numbers", json=numbers, timeout=TIMEOUT_SECONDS))

    def set_softphone(self, identity: str, behaviour: dict[str, Any]) -> None:
        """How a receptionist's softphone reacts from the next ring on."""
        _json(self._session.put(f"{self._base}/clients/{identity}", json=behaviour, timeout=TIMEOUT_SECONDS))

    def recordings(self) -> list[dict[str, Any]]:
        """The carrier's recordings with their state."""
        answer = self._session.get(f"{self._base}/state", timeout=TIMEOUT_SECONDS)
        found: list[dict[str, Any]] = _json(answer)["recordings"]
        return found


def _json(answer: requests.Response) -> Any:
    if not answer.ok:
        raise StepFailed(f"{answer.request.method} {answer.request.path_url} answered {answer.status_code}")
    return answer.json() if answer.content else {}


def wait_until(what: str, look: Callable[[], Any], *, seconds: float, every: float = 0.2) -> Any:
    """The first true answer of ``look``. Raises StepFailed naming ``what`` when there is none in time."""
    until = clock.monotonic_seconds() + seconds
    while clock.monotonic_seconds() < until:
        try:
            found = look()
        except requests.ConnectionError:
            found = None
        if found:
            return found
        clock.sleep(every)
    raise StepFailed(f"{what} did not happen within {seconds:g} seconds")
