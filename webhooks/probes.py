"""For whoever runs the process: is it up, can it do its work."""

from flask import Blueprint, Response, jsonify

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
