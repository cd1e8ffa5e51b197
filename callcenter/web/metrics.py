"""The metrics page: figures read from the database with a short memory, and what this process itself has counted."""

import threading
from collections.abc import Iterator, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from callcenter import clock
from callcenter.db import reading
from callcenter.services.reports import InstallationFigures, installation_figures

REMEMBERED_SECONDS = 5.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class InstallationCollector(Collector):
    """Turns the installation's figures into gauges; several scrapers at once cost one look at the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._figures = InstallationFigures()
        self._read_at: float | None = None

    def collect(self) -> Iterator[Metric]:
        """The gauges as they were at most five seconds ago."""
        figures = self._read()
        yield _by_label(
            "callcenter_calls", "Live calls, and calls ended in the last day.", "state", figures.calls_by_state
        )
        yield _gauge("callcenter_queue_length", "Callers waiting.", figures.queue_length)
        yield _gauge("callcenter_queue_oldest_seconds", "Longest present wait.", figures.queue_oldest_seconds)
        yield _by_label(
            "callcenter_time_to_offer_seconds",
            "From being queued to the first offer, over the last 15 minutes.",
            "statistic",
            {"mean": figures.time_to_offer_mean_seconds, "max": figures.time_to_offer_max_seconds},
        )
        yield _by_label("callcenter_recordings", "Recordings by state.", "state", figures.recordings_by_state)
        yield _gauge(
            "callcenter_oldest_overdue_recording_seconds",
            "How long ago the most overdue recording should have been purged.",
            figures.oldest_overdue_recording_seconds,
        )
        yield _by_label("callcenter_job_lag_seconds", "Time beyond a job's interval.", "job", figures.job_lag_seconds)

    def _read(self) -> InstallationFigures:
        with self._lock:
            if self._read_at is None or clock.monotonic_seconds() - self._read_at >= REMEMBERED_SECONDS:
                with reading(self._engine) as session:
                    self._figures = installation_figures(session, now=clock.now())
                self._read_at = clock.monotonic_seconds()
            return self._figures


def page(registry: CollectorRegistry) -> bytes:
    """The installation's gauges, then what this process has counted (webhook seconds, memory, CPU)."""
    return generate_latest(registry) + generate_latest(REGISTRY)


def registry_for(engine: Engine) -> CollectorRegistry:
    """A registry that reads this database; reads nothing before the first scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(InstallationCollector(engine))
    return registry


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
