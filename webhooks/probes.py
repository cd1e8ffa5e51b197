"""For whoever runs the process: is it up, can it do its work."""

import hmac

from flask import Blueprint, Response, abort, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from webhooks.door import the_door

blueprint = Blueprint("probes", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """200 while the process answers at all."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """200 while callers can be answered: with the database, or without it from the snapshot; else 503."""
    door = the_door()
    if door.database_answers():
        return jsonify(status="ok"), 200
    if door.snapshot.usable:
        return jsonify(status="degraded", reason="The database is away; callers are forwarded."), 200
    return jsonify(status="failing", reason="Neither the database nor a snapshot of the routing is there."), 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """What this process has counted, for whoever shows CALLCENTER_METRICS_TOKEN as a bearer token; else 403."""
    token, shown = the_door().settings.metrics_token, request.authorization
    given = shown.token if shown is not None and shown.type == "bearer" else None
    if not token or not given or not hmac.compare_digest(token.encode(), given.encode()):
        abort(Response(status=403))
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
