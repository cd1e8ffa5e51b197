"""Signed requests as the carrier sends them, ready as bytes, and a client that costs next to nothing: it shares the
machine with what it measures."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

PATH = "/webhooks/voice/incoming"
ACCOUNT = "AC" + "1" * 32
TOKEN = "a-token-that-only-benchmarks-know"  # noqa: S105 - signs nothing but these requests
NUMBER = "+441632960001"
_PLACE = {"City": "LONDON", "Country": "GB", "State": "", "Zip": ""}


def incoming(base: str, sids: Sequence[str], *, path: str = PATH, token: str = TOKEN) -> list[bytes]:
    """A caller's first request, once for each SID, signed for ``base`` (26 fields, as the carrier sends them)."""
    return [_signed(base, path, _fields(sid, number), token) for number, sid in enumerate(sids)]


def _fields(sid: str, number: int) -> dict[str, str]:
    caller = f"+4477009{number % 100000:05d}"
    places = {f"{who}{what}": value for who in ("From", "To", "Caller", "Called") for what, value in _PLACE.items()}
    return places | {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "CallSid": sid,
        "CallStatus": "ringing",
        "CallToken": "t" * 60,
        "Direction": "inbound",
        "From": caller,
        "Caller": caller,
        "To": NUMBER,
        "Called": NUMBER,
    }


def _signed(base: str, path: str, fields: dict[str, str], token: str) -> bytes:
    body = urlencode(fields).encode()
    signature = RequestValidator(token).compute_signature(base + path, fields)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: door.example.org\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nX-Twilio-Signature: {signature}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Outcome:
    """What became of a load: how long each answer took (seconds, from when it was due), and how long it all took."""

    wanted: bytes = b"<Response"
    """What is in every right answer."""
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    example: bytes = b""
    lasted: float = 0.0

    def note(self, answer: bytes, seconds: float) -> None:
        """An answer came."""
        if answer.startswith(b"HTTP/1.1 200") and self.wanted in answer:
            self.seconds.append(seconds)
        else:
            self.wrong += 1
            self.example = answer[:300]

    @property
    def per_second(self) -> float:
        """Right answers a second."""
        return len(self.seconds) / self.lasted


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self.received = b""

    def send(self, request: bytes, began: float) -> None:
        self.began, self.received = began, b""
        self.socket.sendall(request)

    def answer(self) -> bytes | None:
        """The whole answer, or None while there is more to come; empty when the other side has hung up."""
        data = self.socket.recv(65536)
        if not data:
            return b""
        self.received += data
        head, _, body = self.received.partition(b"\r\n\r\n")
        marker = b"Content-Length: "
        at = head.find(marker)
        length = int(head[at + len(marker) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return self.received if len(body) >= length and head else None


def load(
    port: int,
    requests: Iterable[bytes],
    *,
    connections: int,
    lasting: float | None = None,
    per_second: float | None = None,
    wanted: bytes = b"<Response",
) -> Outcome:
    """Send the requests over so many connections, as fast as answers come, or ``per_second``; an answer that comes late
    then counts from when its request was due. Ends when all are answered or ``lasting`` seconds are over."""
    outcome, ahead = Outcome(wanted), iter(requests)
    free = deque(_Connection(port) for _ in range(connections))
    everybody = list(free)
    busy = selectors.DefaultSelector()
    for connection in free:
        busy.register(connection.socket, selectors.EVENT_READ, connection)
    started = time.perf_counter()
    due = _due_times(started, per_second)
    next_due, waiting = next(due), True
    until = started + (lasting or float("inf"))
    while waiting or len(free) < connections:
        now = time.perf_counter()
        while free and waiting and next_due <= now:
            request = next(ahead, None) if now < until else None
            if request is None:
                waiting = False
                break
            free.popleft().send(request, now if per_second is None else next_due)
            next_due = next(due)
        longest = 30.0 if len(free) < connections else 0.0
        pause = max(0.0, next_due - time.perf_counter()) if waiting and free else longest
        for key, _ in busy.select(pause):
            connection = key.data
            was_idle = connection in free  # the server hangs up on who is idle for long
            answer = b"" if was_idle else connection.answer()
            if answer is None:
                continue
            if was_idle:
                free.remove(connection)
            else:
                outcome.note(answer, time.perf_counter() - connection.began)
            if not answer or b"Connection: close" in answer:
                connection = _renewed(busy, everybody, connection, port)
            free.append(connection)
    outcome.lasted = time.perf_counter() - started
    for connection in everybody:
        connection.socket.close()
    busy.close()
    return outcome


def _renewed(busy: selectors.BaseSelector, everybody: list[_Connection], old: _Connection, port: int) -> _Connection:
    busy.unregister(old.socket)
    old.socket.close()
    new = _Connection(port)
    everybody[everybody.index(old)] = new
    busy.register(new.socket, selectors.EVENT_READ, new)
    return new


def _due_times(started: float, per_second: float | None) -> Iterator[float]:
    due = started
    while True:
        yield due
        if per_second is not None:
            due += 1 / per_second
