"""The web app for people and their programs: pages and the JSON API. Twilio never comes here (see ``webhooks``)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask
from flask_openapi3.openapi import OpenAPI
from sqlalchemy import Engine
from werkzeug.routing import BaseConverter

from callcenter.config import Settings
from callcenter.db import watch_pool
from callcenter.ports import RecordingStore
from callcenter.services.health import HealthMonitor
from callcenter.web import errors, guard, metrics
from callcenter.web.api import bookings, call_actions, calls, clinics, diary, health, receptionists, recordings, stats
from callcenter.web.api.documents import INFO, SECURITY_SCHEMES
from callcenter.web.pages import pages
from callcenter.web.parts import EXTENSION, Parts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GROUPS = (health, calls, call_actions, recordings, bookings, clinics, diary, receptionists, stats)


PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class OpaqueConverter(BaseConverter):
    """An id in a path; what cannot be one of ours is an unknown address."""

    regex = "[0-9A-Za-z_-]{1,64}"


def create_app(settings: Settings, engine: Engine, store: RecordingStore) -> Flask:
    """The WSGI app of one web process. Touches neither the database nor the store until it is asked something."""
    app = OpenAPI(
        "callcenter.web",
        info=INFO,
        security_schemes=SECURITY_SCHEMES,
        doc_ui=False,
        validation_error_model=errors.Problem,
        validation_error_callback=errors.invalid,
    )
    app.config.update(
        MAX_CONTENT_LENGTH=guard.LARGEST_BODY_BYTES,
        TRUSTED_HOSTS=_trusted_hosts(settings),
        PROPAGATE_EXCEPTIONS=False,
    )
    health_monitor = HealthMonitor(engine, store, settings.state_dir)
    app.extensions[EXTENSION] = Parts(
        settings,
        engine,
        store,
        health_monitor,
        metrics.registry_for(engine, health_monitor),
        lambda: dict(app.api_doc),
    )
    watch_pool("web", engine)
    app.url_map.converters["opaque"] = OpaqueConverter
    app.url_map.strict_slashes = False
    errors.register(app)
    guard.register(app, settings)
    for group in GROUPS:
        app.register_api(group.api)
    app.register_blueprint(pages)
    app.wsgi_app = _probed_by_any_name(app.wsgi_app, "localhost")  # type: ignore[assignment,method-assign]
    return app


def _probed_by_any_name(answer: "WSGIApplication", name: str) -> "WSGIApplication":
    """Load balancers and Prometheus ask a process by its address, which is none of our names. What they are shown says
    nothing that depends on a name."""

    def probed(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("PATH_INFO") in PROBES:
            environ["HTTP_HOST"] = name
        return answer(environ, start_response)

    return probed


def _trusted_hosts(settings: Settings) -> list[str]:
    """Answer only to our own names (S32), and to this machine's for probes."""
    own = {urlsplit(url).hostname for url in (settings.web_base_url, settings.public_base_url)}
    return sorted(host for host in {*own, "localhost", "127.0.0.1", "[::1]"} if host)
