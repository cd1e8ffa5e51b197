"""The gate in front of every address of the door: closed by default, for routes of tomorrow too (S1 to S7)."""

from flask import Flask, Response, abort, g, request
from prometheus_client import Counter

from callcenter.carrier import callbacks
from callcenter.carrier.signature import SIGNATURE_HEADER, SignatureCheck
from callcenter.logs import log
from webhooks.door import the_door

LARGEST_BODY = 64 * 1024
FORM = "application/x-www-form-urlencoded"
OPEN_ENDPOINTS = frozenset({"media.media", "probes.healthz", "probes.readyz", "probes.metrics"})
REFUSALS = Counter(
    "callcenter_webhook_refusals", "Requests to the door that were refused, by reason; signatures are worth an alert.",
    ["reason"],
)  # fmt: skip


def install_gate(app: Flask, check: SignatureCheck) -> None:
    """Put the gate on ``app``: what does not carry a right signature gets 403 and an empty body, whatever it asks for.

    Behind the signature: 413 above LARGEST_BODY, 404 and 405 by routing, 415 for anything but a form, 403 for repeated
    parameters and other accounts. Checked parameters are kept in ``g.fields``; nothing else is ever read.
    """
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY

    @app.before_request
    def gate() -> None:
        if request.endpoint in OPEN_ENDPOINTS:
            return
        if request.content_length is not None and request.content_length > LARGEST_BODY:
            refuse("too_large", 413)
        signature = request.headers.get(SIGNATURE_HEADER)
        # Without a signature the body is not even looked at: reading it may take as long as the sender likes.
        if not signature or not check.accepts(_raw_target(), request.form, signature):
            refuse("signature", 403)
        if request.routing_exception is not None:
            raise request.routing_exception
        if request.mimetype != FORM:
            refuse("content_type", 415)
        g.fields = callbacks.read(request.form.items(multi=True), the_door().settings.twilio_account_sid)


def refuse(reason: str, status: int) -> None:
    """Count and log a refusal without any of its values, and answer ``status`` with an empty body."""
    REFUSALS.labels(reason).inc()
    log("webhooks").warning("refused", code=reason, route=request.endpoint, status=status)
    abort(Response(status=status))


def _raw_target() -> str:
    """Path and query as they came over the wire; Flask's own URL has its escapes decoded (twilio-voice §1.2)."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    return str(raw)
