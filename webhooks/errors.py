"""What is answered when something goes wrong: a live caller always gets a document, everybody else an empty body."""

from collections.abc import Callable

from flask import Blueprint, Flask, Response, request
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from callcenter.carrier import callbacks
from callcenter.domain.steps import HoldMusic, SayAndHangUp
from callcenter.errors import BadInput, Forbidden, NotFound
from callcenter.logs import log
from webhooks.door import DatabaseAway, the_door, the_fields, the_place
from webhooks.security import REFUSALS

LAST_RESORT = (
    '<?xml version="1.0" encoding="UTF-8"?><Response>'
    "<Say>We are sorry, we cannot take your call right now.</Say><Hangup /></Response>"
)
"""For the case that even writing an apology fails."""

WITHOUT_DATABASE = Counter(
    "callcenter_webhook_without_database", "Requests to the door that were answered without the database."
)


def document(twiml: str) -> Response:
    """A control document: 200, XML, never cached."""
    return Response(twiml, content_type="text/xml; charset=utf-8", headers={"Cache-Control": "no-store"})


def answer_callers(control: Blueprint) -> None:
    """Errors of control addresses become documents: a caller never hears an error text or silence (F1)."""

    @control.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        refusal = _refused(error)
        if refusal is not None:
            return refusal
        _note(error)
        try:
            if isinstance(error, NotFound):
                return document(the_door().twiml.write(SayAndHangUp((_prompt("goodbye"),))))
            return document(_instead())
        except Exception:
            log("webhooks").exception("no_document", route=request.endpoint)
            return document(LAST_RESORT)


def answer_notifications(notifications: Blueprint) -> None:
    """Errors of notification addresses: 503 makes the carrier send it again, what we do not know is no error (F21)."""

    @notifications.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        refusal = _refused(error)
        if refusal is not None:
            return refusal
        _note(error)
        if isinstance(error, NotFound):
            return Response(status=204)
        return Response(status=400 if isinstance(error, BadInput) else 503)


def answer_everybody_else(app: Flask) -> None:
    """Errors outside all routes. A signed request for an address that does not exist may have a caller behind it."""

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        if request.path.startswith("/webhooks/voice/") and getattr(error, "code", None) == 404:
            _note(error)
            return document(the_door().twiml.write(SayAndHangUp((_prompt("goodbye"),))))
        refusal = _refused(error)
        if refusal is not None:
            return refusal
        _note(error)
        return Response(status=500)


def _refused(error: Exception) -> Response | None:
    """The answer to what the carrier would never send; None for everything else."""
    if isinstance(error, HTTPException):
        return error.response if isinstance(error.response, Response) else Response(status=error.code)
    if isinstance(error, Forbidden):
        REFUSALS.labels(error.code).inc()
        log("webhooks").warning("refused", code=error.code, route=request.endpoint, status=403)
        return Response(status=403)
    return None


def _note(error: Exception) -> None:
    if isinstance(error, DatabaseAway | SQLAlchemyError):
        WITHOUT_DATABASE.inc()
        log("webhooks").error("database_away", route=request.endpoint)
    elif isinstance(error, BadInput | NotFound):
        REFUSALS.labels(error.code).inc()
        log("webhooks").warning("not_understood", code=error.code, route=request.endpoint)
    else:
        log("webhooks").error("failed", route=request.endpoint, exc_info=error)


def _instead() -> str:
    """The best document that needs no database, by where the caller is."""
    action = (request.endpoint or "").rpartition(".")[2]
    return _WITHOUT_DATABASE.get(action, way_out)()


def way_out() -> str:
    """Forward the caller to the clinic, or apologise; needs no database."""
    door, number = the_door(), callbacks.dialled_number(the_fields())
    greet = (request.endpoint or "").endswith(".incoming")
    return door.twiml.write(door.snapshot.way_out(number, greet=greet), own_number=number)


def _still_waiting() -> str:
    """Music goes on: the database may be back before the caller's turn comes. Too long, and they are forwarded."""
    door = the_door()
    if callbacks.waited_seconds(the_fields()) > door.settings.voice.max_wait_seconds:
        return door.twiml.leave_queue()
    return door.twiml.keep_waiting(the_place())


def _ask_again() -> str:
    return the_door().twiml.ask_again(the_place())


def _still_held() -> str:
    return the_door().twiml.write(HoldMusic(), the_place())


def _thanks() -> str:
    """The message is with the carrier and its own notification is repeated until we have it."""
    spoken = callbacks.parse_record_action(the_fields()) > 0
    return the_door().twiml.write(SayAndHangUp((_prompt("message_thanks" if spoken else "goodbye"),)))


def _apology() -> str:
    return the_door().twiml.write(SayAndHangUp((_prompt("apology"),)))


def _prompt(name: str) -> str:
    return the_door().settings.voice.prompt(name)


_WITHOUT_DATABASE: dict[str, Callable[[], str]] = {
    "wait": _still_waiting,
    "key": _still_waiting,
    "next_step": _ask_again,
    "queued": _ask_again,
    "hold": _still_held,
    "message": _thanks,
    "answer": _apology,
    "after_talk": _apology,
}
