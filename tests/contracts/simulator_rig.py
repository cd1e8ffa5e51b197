"""A started simulator, a door that answers TwiML and checks every signature, and the official client library."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

ACCOUNT_SID = "AC" + "a" * 32
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
CLINIC = "+441134960000"
SPEED = 10.0
Params = dict[str, str]


@dataclass
class Received:
    """One request of the simulator."""

    path: str
    method: str
    params: Params
    at: float = field(default_factory=time.monotonic)


@dataclass
class Door:
    """The application's side: TwiML by path, everything else is answered 204; `forged` counts bad signatures."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    forged: int = 0

    def of(self, path: str) -> list[Params]:
        """Parameters of all requests for a path, in order of arrival."""
        return [request.params for request in self.received if request.path == path]

    def wait_for(self, path: str, test: Callable[[Params], bool] = lambda params: True, seconds: float = 60) -> Params:
        """The first request for a path that fits."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for params in self.of(path):
                if test(params):
                    return params
            time.sleep(0.01)
        raise AssertionError(f"no such request for {path} within {seconds} s; there were {self.of(path)}")


def _handler(door: Door) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            posted = dict(parse_qsl(body, keep_blank_values=True))
            parts = urlsplit(self.path)
            asked = dict(parse_qsl(parts.query, keep_blank_values=True))
            signed = RequestValidator(AUTH_TOKEN).validate(
                door.url + self.path, posted, self.headers.get("X-Twilio-Signature", "")
            )
            if not signed and not parts.path.startswith("/media/"):
                door.forged += 1
            door.received.append(Received(parts.path, self.command, asked | posted))
            answer = door.answers.get(parts.path, 204)
            answer = answer(asked | posted) if callable(answer) else answer
            self._answer(answer)

        def _answer(self, answer: Any) -> None:
            status, kind, body = 200, "text/xml", answer
            if isinstance(answer, int):
                status, body = answer, ""
            elif isinstance(answer, tuple):
                kind, body = answer
            content = body if isinstance(body, bytes) else str(body).encode()
            self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            with suppress(BrokenPipeError):  # the carrier may have given up
                self.end_headers()
                self.wfile.write(content)

        do_POST = do_GET = _serve  # noqa: N815 - names of the base class

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    return Handler


class ToSimulator(TwilioHttpClient):  # type: ignore[misc]
    """The library's own HTTP client, with the simulator's address in place of Twilio's."""

    def __init__(self, base: str) -> None:
        super().__init__(timeout=10)
        self._base = urlsplit(base)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        moved = urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc)
        return super().request(method, urlunsplit(moved), *args, **kwargs)


@dataclass
class Rig:
    """All three together."""

    base: str
    door: Door
    client: Client

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control API; fails on any error."""
        answer = requests.request(method, f"{self.base}/simulator{path}", json=body, timeout=20)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def place(self, *steps: dict[str, Any], **more: Any) -> str:
        """A caller phones the clinic and does these steps; returns the CallSid."""
        return str(self.control("POST", "/calls", {"to": CLINIC, "steps": list(steps), **more})["sid"])

    def call(self, sid: str) -> Any:
        """State of a leg."""
        return self.control("GET", f"/calls/{sid}")

    def until(self, sid: str, test: Callable[[Any], bool], seconds: float = 60) -> Any:
        """State of a leg as soon as it fits."""
        until = time.monotonic() + seconds
        while not test(state := self.call(sid)):
            assert time.monotonic() < until, f"not within {seconds} s: {state}"
            time.sleep(0.02)
        return state

    def ended(self, sid: str) -> Any:
        """State of a leg once it is over."""
        return self.until(sid, lambda state: not state["live"])

    def alerts(self) -> list[int]:
        """Codes of all complaints."""
        return [alert["error_code"] for alert in self.control("GET", "/state")["alerts"]]

    def heard(self, sid: str, kind: str = "say") -> list[str]:
        """Texts of one kind that a party has heard."""
        return [entry["text"] for entry in self.call(sid)["heard"] if entry["kind"] == kind]


@contextmanager
def simulator(*options: str, **variables: str) -> Iterator[str]:
    """A simulator process on a free port, with these command line options and variables; yields its address."""
    environment = os.environ | {"TWILIO_ACCOUNT_SID": ACCOUNT_SID, "TWILIO_AUTH_TOKEN": AUTH_TOKEN} | variables
    command = [sys.executable, "-m", "callcenter.simulator", "--port", "0", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert "listens on" in line, f"simulator did not start: {line!r}"
            yield line.split()[-1]
        finally:
            died_with = process.poll()
            process.terminate()
            process.wait(10)
            assert died_with is None, f"the simulator died during the tests, exit code {died_with}"


@contextmanager
def rig(*options: str) -> Iterator[Rig]:
    """Simulator, door and client."""
    door = Door()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(door))
    server.daemon_threads = True
    door.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with simulator(
            "--speed", str(SPEED), "--calls-per-second", "5", "--media-delay-seconds", "0.5", *options
        ) as base:
            yield Rig(base, door, Client(ACCOUNT_SID, AUTH_TOKEN, http_client=ToSimulator(base)))
    finally:
        server.shutdown()
        server.server_close()


RECEPTIONIST = "receptionist_" + "1" * 32
_JOIN = 'beep="false" statusCallback="/room" statusCallbackEvent="start end join leave mute hold modify announcement"'
_TELL = 'recordingStatusCallbackEvent="in-progress completed absent"'


def fresh(rig: Rig) -> Rig:
    """The rig with nothing left of earlier tests, and documents for a plain call."""
    rig.control("POST", "/reset")
    door = rig.door
    door.answers.clear()
    door.received.clear()
    door.forged = 0
    urls = {"voice_url": "/incoming", "voice_fallback_url": "/fallback", "status_callback": "/over"}
    rig.control("PUT", "/numbers", {CLINIC: {name: door.url + path for name, path in urls.items()}})
    recording = f'name="r1" trim="do-not-trim" recordingStatusCallback="{door.url}/recorded" {_TELL}'
    door.answers |= {
        "/incoming": "<Response><Say>Welcome</Say><Enqueue waitUrl='/wait' action='/left'>q1</Enqueue></Response>",
        "/wait": "<Response><Say>You are first</Say><Pause length='5'/></Response>",
        "/left": "<Response/>",
        "/after": "<Response><Say>Afterwards</Say></Response>",
        "/hold": "<Response><Say>One moment</Say></Response>",
        "/caller": f"""<Response><Start><Recording {recording}/></Start><Dial action="/after"><Conference
            endConferenceOnExit="true" participantLabel="caller" {_JOIN}>c-1</Conference></Dial></Response>""",
        "/receptionist": f"""<Response><Dial>
            <Conference waitUrl="" {_JOIN}>c-1</Conference></Dial><Say>Bye</Say></Response>""",
    }
    return rig


def connect(rig: Rig, *steps: dict[str, Any], **receptionist: Any) -> tuple[str, str]:
    """A caller waits, a receptionist is rung and answers, both meet; returns both CallSids."""
    rig.control("PUT", f"/clients/{RECEPTIONIST}", {"answer_after_seconds": 1, **receptionist})
    caller = rig.place({"wait_for": "connected", "timeout": 120}, *steps)
    waiting = rig.door.wait_for("/wait", lambda params: params["CallSid"] == caller)
    leg = ring(rig)
    rig.door.wait_for("/room", lambda p: p["StatusCallbackEvent"] == "participant-join" and p["CallSid"] == leg)
    rig.client.queues(waiting["QueueSid"]).members(caller).update(url=f"{rig.door.url}/caller")
    rig.until(caller, lambda state: "connected" in [entry["event"] for entry in state["events"]])
    return caller, leg


def ring(rig: Rig, **more: Any) -> str:
    """Ring the receptionist's softphone by REST; returns the CallSid."""
    settings = {"url": f"{rig.door.url}/receptionist", "status_callback": f"{rig.door.url}/leg", "timeout": 15} | more
    events = ["initiated", "ringing", "answered", "completed"]
    leg = rig.client.calls.create(
        to=f"client:{RECEPTIONIST}?offer=o1", from_=CLINIC, status_callback_event=events, **settings
    )
    return str(leg.sid)
