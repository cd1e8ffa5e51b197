"""What the views need of their process: kept on the app, found through ``parts()``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import current_app
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from callcenter.config import Settings
from callcenter.ports import RecordingStore
from callcenter.services.health import HealthMonitor

EXTENSION = "callcenter"


@dataclass(frozen=True)
class Parts:
    """Settings, database, recordings and health of one web process."""

    settings: Settings
    engine: Engine
    store: RecordingStore
    health: HealthMonitor
    metrics: CollectorRegistry
    api_document: Callable[[], dict[str, Any]]


def parts() -> Parts:
    """The parts of the app that answers this request."""
    found: Parts = current_app.extensions[EXTENSION]
    return found
