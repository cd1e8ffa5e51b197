"""How the API describes itself: the blueprint that every group of routes starts from, and its refusals."""

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict

from callcenter.web.errors import PROBLEM_TYPE, SENTENCES

INFO = Info(
    title="callcenter",
    version="1",
    description="Calls, recordings, bookings and receptionists of the clinics in view. Ids are opaque; foreign and "
    "unknown ids are both 404. Times are RFC 3339 in UTC. Lists are pages: pass ``next`` back as ``cursor``.",
)
SECURITY_SCHEMES: dict[str, Any] = {
    "key": SecurityScheme(type="http", scheme="bearer", description="An API key."),
    "metrics_token": SecurityScheme(type="http", scheme="bearer", description="CALLCENTER_METRICS_TOKEN."),
}
NEEDS_KEY = [{"key": list[str]()}]
NEEDS_TOKEN_FROM_OUTSIDE = [{"metrics_token": list[str]()}, dict[str, list[str]]()]
_PROBLEM = {"content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def refusals(*statuses: int) -> ResponseDict:
    """The document's entries for these refusals."""
    return {str(status): {"description": SENTENCES[status][1], **_PROBLEM} for status in statuses}


CONFLICT: ResponseDict = {"409": {"description": "It does not fit the present state.", **_PROBLEM}}
GONE: ResponseDict = {"410": {"description": "It may no longer be heard.", **_PROBLEM}}
UNPROCESSABLE: ResponseDict = {
    "422": {"description": "The input does not fit; ``errors`` names the fields.", **_PROBLEM}
}

EVERYWHERE = refusals(400, 401, 403, 404, 413, 415, 500, 503) | UNPROCESSABLE


def group(name: str, description: str, *, security: list[dict[str, list[str]]] = NEEDS_KEY) -> APIBlueprint:
    """A group of routes below /api/v1 that share a tag and what they ask for."""
    return APIBlueprint(
        name,
        __name__,
        url_prefix="/api/v1",
        abp_tags=[Tag(name=name, description=description)],
        abp_security=security,
        abp_responses=EVERYWHERE,
    )
