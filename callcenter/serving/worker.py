"""A gunicorn worker whose threads see whole requests only, so that slow clients cost no thread (S33).

Gunicorn's own threads read from the socket without a limit of time: a client that sends half a header keeps a thread
for as long as it likes, and a handful of them silence the door. Here the main thread collects what arrives, as a
buffering proxy would, and a thread begins when everything is there. Only answers are still sent by the threads, within
a limit.
"""

import re
import socket
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http import errors
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import ThreadWorker

from callcenter.clock import monotonic_seconds
from callcenter.logs import log

REQUEST_SECONDS = 10.0
"""A request must be here this long after its connection, or the answer before it."""
SEND_SECONDS = 20.0
"""One piece of an answer (64 KiB of a recording) must be taken within this."""
LINGER_SECONDS = 2.0
LARGEST_HEAD_BYTES = 64 * 1024
LARGEST_BODY_BYTES = 64 * 1024
MOST_DIGITS = 15
STATUS: dict[type[Exception], str] = {
    errors.InvalidResponseHeader: "500 Internal Server Error",
    errors.InvalidResponseHeaderName: "500 Internal Server Error",
    errors.LimitRequestLine: "414 URI Too Long",
    errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    errors.ExpectationFailed: "417 Expectation Failed",
    errors.UnsupportedTransferCoding: "501 Not Implemented",
    errors.ParseException: "400 Bad Request",
    Exception: "500 Internal Server Error",
}
"""What is answered when no application was asked; the first class that fits."""
_FRAMING = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


def is_ready(data: bytes) -> bool:
    """Whether a request may be worked on: it is whole, or its head alone is enough to refuse it (too large, without a
    length, or ambiguous). The refusing is left to gunicorn's parser, ``serving.with_length`` and the applications."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return len(data) > LARGEST_HEAD_BYTES
    framing = [value.strip() for value in _FRAMING.findall(data, 0, end)]
    if len(framing) != 1 or not framing[0].isdigit() or len(framing[0]) > MOST_DIGITS:
        return True
    length = int(framing[0])
    return length > LARGEST_BODY_BYTES or len(data) - end - 4 >= length


class _Received(Unreader):  # type: ignore[misc] # the library brings no types
    """What the main thread has collected; a thread that wants more is told that the client has gone."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        raise errors.NoMoreData


class WholeRequestWorker(ThreadWorker):  # type: ignore[misc] # the library brings no types
    """Gunicorn's worker with threads, which get a connection only when its request is here.

    Connections that wait, for a request or for the client's end, are in ``pending_conns``, which gunicorn's loop
    closes when their time is up.
    """

    def enqueue_req(self, conn: Any) -> None:
        """A connection is new, or its next request has begun to arrive (main thread)."""
        if not conn.initialized:
            conn.init()
            conn.parser.unreader = _Received()
        if is_ready(conn.parser.unreader.buf.getvalue()):
            super().enqueue_req(conn)
        else:
            self._await(conn, REQUEST_SECONDS, self._collect)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer one request (on a thread); a client that does not take the answer is given up on."""
        conn.sock.settimeout(SEND_SECONDS)
        if any(name == "TRANSFER-ENCODING" for name, _ in req.headers):
            req.force_close()  # it is refused; what comes after it is not worth an opinion on where that begins
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Refuse what gunicorn's parser does not take: gunicorn's own pages and logs would quote it (S29, S31)."""
        status = next(status for kind, status in STATUS.items() if isinstance(exc, kind))
        if status.startswith("500"):
            log("serving").error("request_failed", exc_info=exc)
        else:
            log("serving").warning("request_unreadable", status=int(status[:3]), error=type(exc).__name__)
        client.settimeout(SEND_SECONDS)
        try:
            client.sendall(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        except OSError:
            return  # nobody waits for it any more

    def finish_request(self, conn: Any, fs: Any) -> None:
        """A thread is done with a connection (main thread). Gunicorn would wait here for the client's end."""
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._await(conn, LINGER_SECONDS, self._discard)
        except (OSError, ValueError):  # closed already
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """When this process is to end, who waits here has little time left too."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _await(self, conn: Any, seconds: float, then: Any) -> None:
        conn.sock.setblocking(False)
        conn.timeout = monotonic_seconds() + seconds
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(then, conn))

    def _collect(self, conn: Any, _sock: Any) -> None:
        data = _receive(conn.sock)
        if data is None:
            return
        buffer = conn.parser.unreader.buf
        buffer.seek(0, 2)
        buffer.write(data)
        if not data:
            self._leave(conn)
            self._close(conn)
        elif is_ready(buffer.getvalue()):
            self._leave(conn)
            super().enqueue_req(conn)

    def _discard(self, conn: Any, _sock: Any) -> None:
        """A client that gets its last answer while it still sends must not have it torn away (RFC 9112 §9.6)."""
        if _receive(conn.sock) == b"":
            self._leave(conn)
            self._close(conn)

    def _leave(self, conn: Any) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()


def _receive(sock: socket.socket) -> bytes | None:
    """What has arrived; empty when nothing more will come, None when there is nothing yet."""
    try:
        return sock.recv(LARGEST_BODY_BYTES)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
