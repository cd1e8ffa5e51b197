"""Who asks? Closed by default: a view without a mark is refused, and every URL needs a key unless its view is open.

Marks stand right above the view: ``@needs(Permission.READ_CALLS)``, ``@open_to_all`` or ``@local_or_token``.
"""

import hmac
import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, g, request
from werkzeug.exceptions import Unauthorized

from callcenter.db import reading
from callcenter.domain.permissions import Actor, Permission, can
from callcenter.errors import Forbidden
from callcenter.services.access import actor_for_key
from callcenter.web.parts import parts

View = TypeVar("View", bound=Callable[..., Any])

MARK = "access_rule"
OPEN = "open"
LOCAL = "local"


def needs(*permissions: Permission) -> Callable[[View], View]:
    """The view is for roles with at least one of the permissions; what they may reach is for the view to say."""
    return _marked(frozenset(permissions))


def open_to_all(view: View) -> View:
    """The view needs no key: it shows nothing of anybody."""
    return _marked(OPEN)(view)


def local_or_token(view: View) -> View:
    """The view answers whoever shows CALLCENTER_METRICS_TOKEN as a bearer token, and in development this machine."""
    return _marked(LOCAL)(view)


def actor() -> Actor:
    """Who asks; only inside a view that needs a permission."""
    found: Actor = g.actor
    return found


def is_local() -> bool:
    """Whether somebody on this machine asks, in development. In production nobody counts as local, because everything
    comes from a proxy, which may be on this machine and may not say for whom it asks."""
    if parts().settings.environment == "production":
        return False
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def gate() -> None:
    """Before every request: raise Unauthorized or Forbidden, or let it in with ``actor()`` known."""
    rule = rule_of(request.endpoint)
    if rule == OPEN:
        return
    if rule == LOCAL:
        _require_local_or_token()
        return
    g.actor = _actor()
    if request.endpoint is None:
        return  # no such URL: whoever has a key is told so
    if not isinstance(rule, frozenset) or not any(can(g.actor, permission) for permission in rule):
        raise Forbidden(f"The role {g.actor.role} does not allow this.")


def rule_of(endpoint: str | None) -> Any:
    """The mark of a view, or None: nobody may use it."""
    if endpoint == "static":
        return OPEN
    view = current_app.view_functions.get(endpoint) if endpoint else None
    return getattr(view, MARK, None)


def _marked(rule: Any) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, MARK, rule)
        return view

    return mark


def _actor() -> Actor:
    secret = _bearer()
    if secret is not None:
        with reading(parts().engine) as session:
            found = actor_for_key(session, secret)
        if found is not None:
            return found
    raise Unauthorized("Show a valid API key: Authorization: Bearer <key>.")


def _require_local_or_token() -> None:
    if is_local():
        return
    token, shown = parts().settings.metrics_token, _bearer()
    if not token or shown is None or not hmac.compare_digest(token.encode(), shown.encode()):
        raise Unauthorized("Show CALLCENTER_METRICS_TOKEN as a bearer token.")


def _bearer() -> str | None:
    found = request.authorization
    if found is None or found.type != "bearer" or not found.token:
        return None
    return found.token
