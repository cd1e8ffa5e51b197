"""Is everything well? For people and for monitors."""

from datetime import datetime

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from callcenter.services.health import Status
from callcenter.services.shapes import Shape
from callcenter.web.api.answers import answer
from callcenter.web.api.documents import NEEDS_TOKEN_FROM_OUTSIDE, group
from callcenter.web.auth import local_or_token
from callcenter.web.parts import parts

api: APIBlueprint = group("health", "The state of the service's parts.", security=NEEDS_TOKEN_FROM_OUTSIDE)


class CheckShape(Shape):
    """One check; ``since`` is when this process first saw this status."""

    status: Status
    reason: str
    since: datetime


class HealthShape(Shape):
    """All checks; ``status`` is the worst of them."""

    status: Status
    checks: dict[str, CheckShape]


@api.get("/health", responses={200: HealthShape})
@local_or_token
def get_health() -> Response:
    """Every check with its reason. From outside this machine it needs CALLCENTER_METRICS_TOKEN as bearer token."""
    return answer(HealthShape.model_validate(parts().health.report()))
