"""Serving WSGI applications with gunicorn: one process, a pool of threads each, limits against slow and oversized
requests (S33)."""

import json
import socket
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from callcenter.errors import BadInput

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HIGHEST_PORT = 65535
CALLERS, MEDIA = "/webhooks/", "/media/"
WEB_AT_ONCE = 12
MEDIA_AT_ONCE = 4
"""Shares of the threads of ``by_path``; what is left of them belongs to live callers."""
WEB_AT_WORK = 2
TURN_SECONDS = 1.0
"""How many of the web's threads compute at the same time, because callers share the interpreter with them, and how long
another waits for its turn: one that hangs on a store or a database keeps the others no longer than this."""


def run(app: "WSGIApplication", bind: str, threads: int) -> None:
    """Serve ``app`` on ``bind`` (``host:port``) until the process is told to stop. Blocks. Raises BadInput when it
    cannot listen there."""
    check_address(bind)
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger

    class OurLog(Logger):  # type: ignore[misc]
        """Gunicorn's own format prints the text of exceptions, which may quote values; ours does not (S29)."""

        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            self.error_log.propagate = True

        def _set_handler(self, *_arguments: Any, **_named: Any) -> None:
            """No handler of its own: everything goes to the root logger."""

    class Server(BaseApplication):  # type: ignore[misc]
        """Gunicorn configured by code instead of by a file."""

        def load_config(self) -> None:
            for name, value in _options(bind, threads).items():
                self.cfg.set(name, value)
            self.cfg.set("logger_class", OurLog)

        def load(self) -> "WSGIApplication":
            return with_length(app)

    Server().run()


def check_address(bind: str) -> None:
    """Raises BadInput when ``bind`` is not ``host:port`` or nobody can listen there."""
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= HIGHEST_PORT:
        raise BadInput("The address to listen on must be HOST:PORT, such as 127.0.0.1:8000.")
    name = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, int(port)))
        except OSError as error:
            raise BadInput(f"Nobody can listen on {bind}: {error.strerror}; name another address or port.") from None


def _options(bind: str, threads: int) -> dict[str, Any]:
    from callcenter.serving.worker import WholeRequestWorker

    return {
        "bind": bind,
        "workers": 1,
        "worker_class": WholeRequestWorker,
        "threads": threads,
        "backlog": 512,
        "timeout": 60,
        "graceful_timeout": 20,
        "keepalive": 5,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        "loglevel": "warning",
        "accesslog": None,
        "control_socket_disable": True,
    }


def with_length(app: "WSGIApplication") -> "WSGIApplication":
    """Refuse bodies without a length (411): nobody knows when such a request is whole, and no client of ours sends
    one."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if "HTTP_TRANSFER_ENCODING" in environ:
            return _refuse(start_response, "411 Length Required", "length_required", "Send a Content-Length.")
        return app(environ, start_response)

    return answer


def by_path(door: "WSGIApplication", web: "WSGIApplication") -> "WSGIApplication":
    """One port for both on a small installation: the carrier's paths go to the door, all others to the web. They stay
    separate applications: the door never sees a cookie's meaning, the web never an unsigned webhook.

    However many slow downloads hang on the web, threads are left for live callers; and however much is asked of it, an
    answer to a caller waits for few of its computations.
    """
    media, limited_web = at_most(MEDIA_AT_ONCE, door), at_most(WEB_AT_ONCE, in_turns(WEB_AT_WORK, web))

    def choose(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        app = door if path.startswith(CALLERS) else media if path.startswith(MEDIA) else limited_web
        return app(environ, start_response)

    return choose


def at_most(number: int, app: "WSGIApplication") -> "WSGIApplication":
    """The app with ``number`` requests at a time, until their answers are sent; more are answered 503."""
    from werkzeug.wsgi import ClosingIterator

    places = threading.BoundedSemaphore(number)

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not places.acquire(blocking=False):
            sentence = "Too much is asked at once; try again in a few seconds."
            return _refuse(start_response, "503 Service Unavailable", "busy", sentence, ("Retry-After", "5"))
        try:
            return ClosingIterator(app(environ, start_response), places.release)
        except BaseException:
            places.release()
            raise

    return answer


def in_turns(number: int, app: "WSGIApplication") -> "WSGIApplication":
    """The app with ``number`` requests being worked on at a time, if each takes less than TURN_SECONDS; the sending of
    answers, such as recordings, is not counted."""
    turns = threading.BoundedSemaphore(number)

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        in_turn = turns.acquire(timeout=TURN_SECONDS)
        try:
            return app(environ, start_response)
        finally:
            if in_turn:
                turns.release()

    return answer


def _refuse(
    start_response: "StartResponse", status: str, code: str, sentence: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    number, _, title = status.partition(" ")
    problem = {"type": "about:blank", "title": title, "status": int(number), "code": code, "detail": sentence}
    body = json.dumps(problem | {"errors": []}).encode()
    kind = ("Content-Type", "application/problem+json")
    own = [("Content-Length", str(len(body))), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
    start_response(status, [kind, *own, *headers])
    return [body]
