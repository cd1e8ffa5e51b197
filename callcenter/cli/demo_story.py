"""The scripted call of the demo: each step is waited for, checked and printed with its time."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from callcenter import clock
from callcenter.cli.demo_client import Api, Simulator, StepFailed, wait_until

CALL_SECONDS = 90
CALLER_NAME = "Mrs Fletcher"


class Story:
    """Plays one call from ring to stored recording, with a booking made while they speak."""

    def __init__(self, simulator: Simulator, receptionist: Api, manager: Api) -> None:
        self._simulator = simulator
        self._receptionist = receptionist
        self._manager = manager
        self._started = clock.monotonic_seconds()

    def say(self, text: str) -> None:
        """Print one step with the seconds since the story began."""
        click.echo(f"  {clock.monotonic_seconds() - self._started:6.1f} s  {text}")

    def play(self, clinic: str, number: str) -> str:
        """Place the call and follow it to the end; answers the call's id. Raises StepFailed naming the step."""
        sid = self._simulator.place_call("booking", number)
        self.say("A caller dials the clinic's number.")
        self._hears(sid, "Thank you for calling", "Greeting")
        self._hears(sid, "Calls are recorded", "Recording notice")
        call_id = self._find(clinic, sid)
        self._reaches(call_id, "Queued", lambda call: call["queued_at"])
        self._reaches(call_id, "A receptionist's softphone rings", lambda call: call["offers"])
        self._reaches(call_id, "Answered: caller and receptionist are talking", lambda call: call["connected_at"])
        self._reaches(
            call_id,
            "Recording, two channels",
            lambda call: _recording_state(call) in ("recording", "copying", "stored"),
        )
        booking = self._book(clinic)
        self._link(call_id, booking)
        call = self._reaches(call_id, "The caller hangs up", lambda call: call["state"] == "ended")
        if call["outcome"] != "answered":
            raise StepFailed(f"The outcome should be answered, but is {call['outcome']}")
        self._stored(call_id, sid)
        return call_id

    def _hears(self, sid: str, words: str, what: str) -> None:
        def heard() -> bool:
            return any(words in str(item.get("text", "")) for item in self._simulator.call(sid)["heard"])

        wait_until(what, heard, seconds=30)
        self.say(f"{what}: the caller hears “{words}…”.")

    def _find(self, clinic: str, sid: str) -> str:
        def find() -> str | None:
            newest = self._manager.get("/calls", clinic=clinic, limit=5)["items"]
            return next((call["id"] for call in newest if call["carrier_call_sid"] == sid), None)

        return str(wait_until("The call in the call log", find, seconds=10))

    def _reaches(self, call_id: str, what: str, reached: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            call: dict[str, Any] = self._manager.get(f"/calls/{call_id}")
            return call if reached(call) else None

        found: dict[str, Any] = wait_until(what, look, seconds=CALL_SECONDS)
        self.say(f"{what}.")
        return found

    def _book(self, clinic: str) -> dict[str, Any]:
        service = self._manager.get("/services", clinic=clinic)["items"][0]
        begin = (clock.now() + timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0)
        slots = self._receptionist.get(
            "/bookings/slots",
            clinic=clinic,
            service_id=service["id"],
            **{"from": _rfc3339(begin), "to": _rfc3339(begin + timedelta(days=3))},
        )["items"]
        if not slots:
            raise StepFailed("There is no free slot in the demo's diary")
        booking: dict[str, Any] = self._receptionist.send(
            "POST",
            "/bookings",
            {
                "clinic": clinic,
                "practitioner_id": slots[0]["practitioner_id"],
                "service_id": service["id"],
                "starts_at": slots[0]["starts_at"],
                "caller_name": CALLER_NAME,
                "caller_number": "+447700900123",
            },
        )
        self.say(f"Booking made: {service['name']}, {booking['starts_at']}.")
        return booking

    def _link(self, call_id: str, booking: dict[str, Any]) -> None:
        body = {"booking_id": booking["id"], "action": "booked"}
        self._receptionist.send("POST", f"/calls/{call_id}/booking-links", body)
        if not self._manager.get(f"/calls/{call_id}")["linked"]:
            raise StepFailed("The booking is not linked to the call")
        self.say("The booking is linked to the call.")

    def _stored(self, call_id: str, sid: str) -> None:
        def stored() -> dict[str, Any] | None:
            recordings: list[dict[str, Any]] = self._manager.get(f"/calls/{call_id}")["recordings"]
            return next((r for r in recordings if r["state"] == "stored"), None)

        recording: dict[str, Any] = wait_until("The recording in our store", stored, seconds=60)
        size, checksum = recording["size_bytes"], recording["sha256"]
        self.say(f"Stored and verified: {size:,} bytes, {recording['duration_seconds']} s, SHA-256 {checksum[:16]}….")
        self._check_bytes(recording)

        def gone() -> bool:
            states = [r["status"] for r in self._simulator.recordings() if r["call_sid"] == sid]
            return states == ["deleted"]

        wait_until("The deletion of the carrier's copy", gone, seconds=30)
        self.say("The carrier's copy is deleted.")

    def _check_bytes(self, recording: dict[str, Any]) -> None:
        """Listen through the API, as the clinic would, and compare."""
        heard = self._manager.download(f"/recordings/{recording['id']}/audio", purpose="review")
        if hashlib.sha256(heard).hexdigest() != recording["sha256"] or not heard.startswith(b"RIFF"):
            raise StepFailed("What the API plays is not what was stored")
        self.say(f"Played back through the API: {len(heard):,} bytes, same checksum.")


def _recording_state(call: dict[str, Any]) -> str | None:
    return next((str(recording["state"]) for recording in call["recordings"]), None)


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
