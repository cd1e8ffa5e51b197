"""Every refusal as problem+json (RFC 9457) with a stable ``code`` and one sentence; never a value that was sent."""

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, render_template, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from callcenter import errors
from callcenter.logs import log

PROBLEM_TYPE = "application/problem+json"

STATUS: dict[type[errors.CallcenterError], int] = {
    errors.BadInput: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Forbidden: 403,
    errors.Gone: 410,
    errors.TooOften: 429,
    errors.StoreError: 503,
    errors.CarrierUnavailable: 503,
}
"""Our errors → status; what is not listed is a fault of ours (500)."""

SENTENCES: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be read; check its form."),
    401: ("unauthorized", "Show a valid API key: Authorization: Bearer <key>."),
    403: ("forbidden", "Your role does not allow this."),
    404: ("not_found", "There is no such thing, or it is not yours to see."),
    405: ("method_not_allowed", "This address does not know this method; see the Allow header."),
    413: ("too_large", "The request is too large; send at most 64 KiB."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    416: ("range_not_satisfiable", "The range lies outside of the recording."),
    429: ("too_many_requests", "This was asked too often; try again after the seconds of the Retry-After header."),
    500: ("internal", "Something went wrong on our side; try again, then tell the operator the time of this request."),
    503: ("unavailable", "A part of the service does not answer right now; try again in a minute."),
}
"""Status → code and sentence, for what the web framework refuses and for what must not be told apart (S13)."""


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """A refusal. ``code`` is stable; ``detail`` is a sentence for people."""

    model_config = ConfigDict(extra="forbid")

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)


def register(app: Flask) -> None:
    """Answer every error of the app here."""
    app.register_error_handler(errors.CallcenterError, _ours)
    app.register_error_handler(HTTPException, _of_framework)
    for kind in (OperationalError, InterfaceError, PoolTimeout):
        app.register_error_handler(kind, _database_away)
    app.register_error_handler(Exception, _unexpected)


def problem(status: int, code: str, detail: str, problems: list[FieldProblem] | None = None) -> Response:
    """A refusal in the form that the reader understands."""
    g.problem_code = code
    if _wants_page():
        return current_app.make_response(
            (render_template("problem.html", title=HTTPStatus(status).phrase, detail=detail), status)
        )
    body = Problem(title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, errors=problems or [])
    exclude = None if problems else {"errors"}
    return current_app.response_class(body.model_dump_json(exclude=exclude), status, mimetype=PROBLEM_TYPE)


def invalid(error: ValidationError) -> Response:
    """422 for input that does not fit its schema: which fields, and why, without what was sent."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    problems = [FieldProblem(field=_name(entry["loc"]), message=entry["msg"][:200]) for entry in found[:20]]
    return problem(422, "bad_input", f"{problems[0].field}: {problems[0].message}", problems)


def _name(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)[:60] or "body"


def _ours(error: errors.CallcenterError) -> Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status in (404, 500):
        return _plain(status)
    if status == 503:
        log("web").error("part_unavailable", error=type(error).__name__, code=error.code)
        return _plain(status)
    response = problem(status, error.code, str(error))
    if isinstance(error, errors.TooOften):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _of_framework(error: HTTPException) -> Response:
    if error.response is not None:
        return current_app.make_response(error.response)
    response = _plain(error.code or 500)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After", "Content-Range"):
            response.headers[name] = value
    if error.code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _database_away(_error: Exception) -> Response:
    log("web").exception("database_unavailable", route=_route())
    response = _plain(503)
    response.headers["Retry-After"] = "10"
    return response


def _unexpected(_error: Exception) -> Response:
    log("web").exception("unexpected_error", route=_route())
    return _plain(500)


def _plain(status: int) -> Response:
    code, sentence = SENTENCES.get(status) or SENTENCES[400 if status < 500 else 500]
    return problem(status, code, sentence)


def _route() -> str | None:
    return request.url_rule.rule if request.url_rule else None


def _wants_page() -> bool:
    kinds: Any = request.accept_mimetypes
    return not request.path.startswith("/api/") and kinds.best_match(("application/json", "text/html")) == "text/html"
