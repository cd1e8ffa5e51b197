"""The demo's receptionist: available, reachable, and filing an outcome for every call nobody else files one for."""

import threading
from typing import Any

import requests

from callcenter.cli.demo_client import Api, Simulator, StepFailed
from callcenter.cli.demo_data import DemoPerson
from callcenter.logs import log

HEARTBEAT_SECONDS = 5.0
FILE_AFTER_SECONDS = 8.0
"""She leaves the wrap-up open this long, so that it can be seen."""

BEHAVIOUR: dict[str, Any] = {
    "registered": True,
    "action": "answer",
    "answer_after_seconds": 2,
    "steps": [
        {"wait_for": "connected"},
        {"say": "Good morning, this is the reception. How can I help you?"},
        {"wait": 6},
        {"say": "Certainly. Tomorrow morning is free."},
    ],
}


class DemoReceptionist:
    """Runs in a thread of the demo; acts only through the JSON API and the simulated softphone."""

    def __init__(self, person: DemoPerson, api: Api, simulator: Simulator) -> None:
        self._person = person
        self._path = f"/receptionists/{person.user_id}"
        self._api = api
        self._simulator = simulator
        self._stop = threading.Event()

    def start(self) -> None:
        """Register the softphone, become available, and keep answering."""
        self._simulator.set_softphone(self._person.identity, BEHAVIOUR)
        self._api.send("POST", f"{self._path}/heartbeat")
        self._api.send("PUT", f"{self._path}/presence", {"presence": "available"})
        threading.Thread(target=self._run, name="demo-receptionist", daemon=True).start()

    def stop(self) -> None:
        """Go home."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                self._beat()
            except (StepFailed, requests.RequestException) as error:
                log("demo").warning("receptionist_retries", error=type(error).__name__)

    def _beat(self) -> None:
        me = self._api.send("POST", f"{self._path}/heartbeat")
        if me["presence"] == "on_break":
            self._api.send("PUT", f"{self._path}/presence", {"presence": "available"})
        if me["activity"] == "wrapping_up" and not self._stop.wait(FILE_AFTER_SECONDS):
            self._finish(me["current_call_id"])

    def _finish(self, call_id: str | None) -> None:
        me = self._api.get(self._path)
        if me["activity"] != "wrapping_up" or me["current_call_id"] != call_id:
            return
        if not self._api.get(f"/calls/{call_id}")["linked"]:
            self._api.send("PUT", f"/calls/{call_id}/disposition", {"disposition": "enquiry"})
        elif self._api.get(self._path)["activity"] == "wrapping_up":
            self._api.send("POST", f"{self._path}/wrap-up/finish")
