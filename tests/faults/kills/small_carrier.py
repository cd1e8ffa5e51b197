"""A carrier that only keeps recordings, over HTTP: for processes that copy and forget, where no call is needed."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from callcenter.config import SIMULATOR_ACCOUNT_SID

ACCOUNT = f"/2010-04-01/Accounts/{SIMULATOR_ACCOUNT_SID}"
UNKNOWN = {"code": 20404, "message": "There is no such thing.", "status": 404}


@dataclass
class SmallCarrier:
    """``media`` is what it holds, by recording SID; ``legs`` says which leg each was made on. The next download of a
    recording in ``cut`` breaks off; ``sent`` is called with the SID when all bytes of a download have left."""

    media: dict[str, bytes] = field(default_factory=dict)
    legs: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    sent: Callable[[str], None] = lambda _: None
    address: str = ""

    def answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        """Status, type and body for a request."""
        found = re.fullmatch(rf"{ACCOUNT}/Recordings/(RE[0-9a-f]{{32}})\.(wav|json)", path)
        if found and found[1] in self.media:
            if method == "DELETE":
                del self.media[found[1]]
                return 204, "application/json", b""
            return 200, "audio/wav", self.media[found[1]]
        of_leg = re.fullmatch(rf"{ACCOUNT}/Calls/(CA[0-9a-f]{{32}})/Recordings\.json", path)
        if of_leg:
            there = [sid for sid, leg in self.legs.items() if leg == of_leg[1] and sid in self.media]
            rows = [{"sid": sid, "call_sid": of_leg[1], "status": "completed", "duration": "2"} for sid in there]
            page = {"recordings": rows, "page": 0, "page_size": 50, "next_page_uri": None}
            return 200, "application/json", json.dumps(page).encode()
        return 404, "application/json", json.dumps(UNKNOWN).encode()


@contextmanager
def small_carrier() -> Iterator[SmallCarrier]:
    """One that answers while the block lasts."""
    carrier = SmallCarrier()

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            status, kind, body = carrier.answer(self.command, path)
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
                return
            if kind == "audio/wav":
                carrier.sent(sid)

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
