"""A carrier that only keeps recordings, over HTTP: for processes that copy and forget, where no call is needed."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from callcenter.config import SIMULATOR_ACCOUNT_SID

ACCOUNT = f"/2010-04-01/Accounts/{SIMULATOR_ACCOUNT_SID}"
JSON = "application/json"
UNKNOWN = {"code": 20404, "message": "There is no such thing.", "status": 404}


@dataclass
class SmallCarrier:
    """``media`` is what it holds, by recording SID; ``legs`` says which leg each was made on, ``calls`` which number an
    incoming call dialled; all of it is over, and began at ``began_at``. The next download of a recording in ``cut``
    breaks off."""

    media: dict[str, bytes] = field(default_factory=dict)
    legs: dict[str, str] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)
    began_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    cut: set[str] = field(default_factory=set)
    address: str = ""

    def answer(self, method: str, path: str, query: str) -> tuple[int, str, bytes]:
        """Status, type and body for a request."""
        part = path.removeprefix(ACCOUNT)
        name = part.rpartition("/")[2].partition(".")[0]
        if part.startswith("/Recordings/") and name in self.media:
            if method == "DELETE":
                del self.media[name]
                return 204, JSON, b""
            if part.endswith(".wav"):
                return 200, "audio/wav", self.media[name]
            return 200, JSON, json.dumps(self._recording(name)).encode()
        if part == "/Recordings.json":
            return self._page("recordings", [self._recording(sid) for sid in self.media])
        if of_leg := re.fullmatch(r"/Calls/(CA[0-9a-f]{32})/Recordings\.json", part):
            return self._page("recordings", [self._recording(sid) for sid in self.media if self.legs[sid] == of_leg[1]])
        if part == "/Calls.json":
            return self._page("calls", [] if "ParentCallSid" in query else [self._call(sid) for sid in self.calls])
        if part.startswith("/Calls/") and name in self.calls:
            return 200, JSON, json.dumps(self._call(name)).encode()
        return 404, JSON, json.dumps(UNKNOWN).encode()

    def _recording(self, sid: str) -> dict[str, Any]:
        began = format_datetime(self.began_at)
        return {
            "sid": sid,
            "call_sid": self.legs[sid],
            "status": "completed",
            "duration": "2",
            "channels": 2,
            "start_time": began,
            "date_created": began,
        }

    def _call(self, sid: str) -> dict[str, Any]:
        ended = format_datetime(self.began_at + timedelta(minutes=1))
        return {
            "sid": sid,
            "to": self.calls[sid],
            "from": "anonymous",
            "status": "completed",
            "direction": "inbound",
            "start_time": format_datetime(self.began_at),
            "end_time": ended,
        }

    def _page(self, name: str, rows: list[dict[str, Any]]) -> tuple[int, str, bytes]:
        page = {name: rows, "page": 0, "page_size": 1000, "next_page_uri": None}
        return 200, JSON, json.dumps(page).encode()


@contextmanager
def small_carrier() -> Iterator[SmallCarrier]:
    """One that answers while the block lasts."""
    carrier = SmallCarrier()

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            path, _, query = self.path.partition("?")
            status, kind, body = carrier.answer(self.command, path, query)
            sid = path.rpartition("/")[2].partition(".")[0]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if kind == "audio/wav" and sid in carrier.cut:
                carrier.cut.discard(sid)
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            try:
                self.wfile.write(body)
            except OSError:  # whoever asked was killed
                self.close_connection = True

        do_GET = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    carrier.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield carrier
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
