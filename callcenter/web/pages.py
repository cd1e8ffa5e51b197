"""Pages and probes that need no key: the front page, the API document, liveness, readiness, metrics."""

from flask import Blueprint, Response, jsonify, render_template

from callcenter import clock
from callcenter.web import metrics
from callcenter.web.auth import is_local, local_or_token, open_to_all
from callcenter.web.parts import parts

pages = Blueprint("pages", __name__)


@pages.get("/")
@open_to_all
def front() -> str:
    """What runs here and where to go; on this machine also whether it is well, as ``/api/v1/health`` says."""
    settings = parts().settings
    report = parts().health.report() if is_local() else None
    simulator = f"http://127.0.0.1:{settings.simulator_port}/" if report and settings.twilio_api_base_url else None
    return render_template("front.html", report=report, simulator=simulator, now=clock.now())


@pages.get("/api/v1/openapi.json")
@open_to_all
def api_document() -> Response:
    """The API described by itself."""
    return jsonify(parts().api_document())


@pages.get("/healthz")
@open_to_all
def is_up() -> Response:
    """The process is up; looks at nothing else."""
    return jsonify(status="ok")


@pages.get("/readyz")
@open_to_all
def is_ready() -> tuple[Response, int]:
    """This process can do its own work, for which it needs the database."""
    ready = parts().health.is_ready()
    return jsonify(status="ok" if ready else "unavailable"), 200 if ready else 503


@pages.get("/metrics")
@local_or_token
def show_metrics() -> Response:
    """Figures for Prometheus; nothing of any person."""
    return Response(metrics.page(parts().metrics), content_type=metrics.CONTENT_TYPE)
