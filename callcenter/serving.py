"""Serving WSGI applications with gunicorn: one process, a pool of threads each, limits against slow and oversized
requests (S33)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DOOR_PATHS = ("/webhooks/", "/media/")


def run(app: "WSGIApplication", bind: str, threads: int) -> None:
    """Serve ``app`` on ``bind`` (``host:port``) until the process is told to stop. Blocks."""
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
            return app

    Server().run()


def _options(bind: str, threads: int) -> dict[str, Any]:
    return {
        "bind": bind,
        "workers": 1,
        "worker_class": "gthread",
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


def by_path(door: "WSGIApplication", web: "WSGIApplication") -> "WSGIApplication":
    """One port for both on a small installation: the carrier's paths go to the door, all others to the web. They stay
    separate applications: the door never sees a cookie's meaning, the web never an unsigned webhook."""

    def choose(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        app = door if path.startswith(DOOR_PATHS) else web
        return app(environ, start_response)

    return choose
