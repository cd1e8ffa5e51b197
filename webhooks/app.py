"""The application behind Twilio's door. No cookies, no session, no templates, no static files (S8)."""

from flask import Flask, Response, g, request
from prometheus_client import Histogram
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from callcenter import clock
from callcenter.carrier.signature import SignatureCheck
from callcenter.carrier.twiml import TwimlWriter
from callcenter.carrier.urls import DoorUrls
from callcenter.config import Settings
from callcenter.db import watch_pool
from callcenter.logs import log
from webhooks import media, probes, recording, status, voice
from webhooks.door import Door
from webhooks.errors import answer_everybody_else
from webhooks.security import install_gate
from webhooks.snapshot import Refresher, Snapshot

SECONDS = Histogram(
    "callcenter_webhook_seconds",
    "Time to answer a request to the door, by endpoint.",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10),
)


def create_app(settings: Settings, engine: Engine) -> Flask:
    """The door as a WSGI application on ``engine``.

    Takes a first snapshot of the routing when the database can be reached; starts without it otherwise. Holds no
    open connection and no thread afterwards, so a server may fork. Raises ConfigurationError for unknown hold music.
    """
    urls = DoorUrls(settings.public_base_url, settings.twilio_region)
    music = media.music_url(settings.voice.hold_music, urls.media(""))
    snapshot = Snapshot(settings.state_dir, settings.voice)
    door = Door(
        settings=settings,
        engine=engine,
        twiml=TwimlWriter(urls, settings.voice, settings.twilio_region, music),
        snapshot=snapshot,
        refresher=Refresher(lambda: _refresh(snapshot, engine)),
    )
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # the carrier never asks, and nobody else is answered
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False  # a redirect would lose the form and break the signature
    app.extensions["door"] = door
    _measure(app, door)
    install_gate(app, SignatureCheck(settings.public_base_url, settings.accepted_auth_tokens))
    answer_everybody_else(app)
    for part in (voice, status, recording, media, probes):
        app.register_blueprint(part.blueprint)
    _refresh(snapshot, engine)
    engine.dispose()
    watch_pool("door", engine)
    return app


def _measure(app: Flask, door: Door) -> None:
    @app.before_request
    def start() -> None:
        g.started = clock.monotonic_seconds()
        door.refresher.ensure_running()

    @app.after_request
    def stop(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"  # S34
        endpoint = request.endpoint or "none"
        SECONDS.labels(endpoint).observe(clock.monotonic_seconds() - g.started)
        return response


def _refresh(snapshot: Snapshot, engine: Engine) -> None:
    try:
        snapshot.refresh(engine)
    except (SQLAlchemyError, OSError) as error:
        log("webhooks").error("snapshot_failed", error=type(error).__name__)
