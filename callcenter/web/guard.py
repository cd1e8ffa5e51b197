"""What every request and every answer goes through: size and form of the body, security headers, one line of log."""

from flask import Flask, Response, g, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from callcenter import clock
from callcenter.config import Settings
from callcenter.logs import log
from callcenter.web.auth import gate

QUIET = ("static", "pages.is_up", "pages.is_ready", "pages.show_metrics")
LARGEST_BODY_BYTES = 64 * 1024

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Pages load style and pictures of our own, and nothing else from anywhere (P7, S23)."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""S34 on every answer; nobody else may frame, read or guess the type of it."""


def register(app: Flask, settings: Settings) -> None:
    """Put the guard and the gate around every view of the app."""
    https = settings.web_base_url.startswith("https://")
    for step in (_start, gate, check_body):
        app.before_request(step)

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store, private"
        _log(response)
        return response


def check_body() -> None:
    """A body is a JSON object of at most 64 KiB, or there is none."""
    if request.method not in ("POST", "PUT", "PATCH", "DELETE") or not request.get_data(cache=True):
        return
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    try:
        body = request.get_json()
    except (RecursionError, UnicodeError):
        raise BadRequest from None
    if not isinstance(body, dict):
        raise BadRequest


def _start() -> None:
    g.started_seconds = clock.monotonic_seconds()


def _log(response: Response) -> None:
    """One line a request: the rule of the route and never the address, which may hold what somebody typed.

    Probes and style sheets that are answered are not news.
    """
    if response.status_code < 400 and request.endpoint in QUIET:
        return
    actor = g.get("actor")
    log("web").info(
        "request" if response.status_code < 400 else "request_refused",
        method=request.method if request.method.isalpha() and len(request.method) < 10 else "other",
        route=request.url_rule.rule if request.url_rule else None,
        status=response.status_code,
        code=g.get("problem_code"),
        actor_id=actor.actor_id if actor else None,
        seconds=round(clock.monotonic_seconds() - g.get("started_seconds", clock.monotonic_seconds()), 4),
    )
