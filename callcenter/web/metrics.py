"""The metrics page: figures read from the database with a short memory, and what this process itself has counted."""

import threading
from collections.abc import Iterator, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from callcenter import clock
from callcenter.db import reading
from callcenter.services.alert_figures import AlertFigures, alert_figures
from callcenter.services.health import HealthMonitor, Status
from callcenter.services.reports import InstallationFigures, installation_figures

REMEMBERED_SECONDS = 5.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class InstallationCollector(Collector):
    """Turns the installation's figures into gauges; several scrapers at once cost one look at the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._figures, self._alerts = InstallationFigures(), AlertFigures()
        self._read_at: float | None = None

    def collect(self) -> Iterator[Metric]:
        """The gauges as they were at most five seconds ago."""
        figures, alerts = self._read()
        yield from _for_alerts(alerts)
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

    def _read(self) -> tuple[InstallationFigures, AlertFigures]:
        with self._lock:
            if self._read_at is None or clock.monotonic_seconds() - self._read_at >= REMEMBERED_SECONDS:
                with reading(self._engine) as session:
                    now = clock.now()
                    self._figures = installation_figures(session, now=now)
                    self._alerts = alert_figures(session, now=now)
                self._read_at = clock.monotonic_seconds()
            return self._figures, self._alerts


class HealthCollector(Collector):
    """The health checks as numbers, so that whatever is red on the health page can wake somebody."""

    def __init__(self, health: HealthMonitor) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """0 ok, 1 degraded, 2 failing, by check."""
        checks = self._health.report().checks
        levels = {name: list(Status).index(check.status) for name, check in checks.items()}
        yield _by_label("callcenter_health", "Health checks: 0 ok, 1 degraded, 2 failing.", "check", levels)


def _for_alerts(figures: AlertFigures) -> Iterator[Metric]:
    yield _by_label(
        "callcenter_recent_outcomes", "Calls that ended in the last 15 minutes.", "outcome", figures.outcomes
    )
    yield _by_label(
        "callcenter_recent_unanswered_offers",
        "Rings of the last 15 minutes that led to nothing.",
        "reason",
        figures.offers_unanswered,
    )
    yield _gauge(
        "callcenter_recent_failed_commands",
        "Requests to the carrier given up in the last 15 minutes.",
        figures.commands_failed,
    )
    yield _gauge(
        "callcenter_oldest_command_seconds",
        "How long ago the most overdue request to the carrier was due.",
        figures.oldest_command_seconds,
    )
    yield _gauge(
        "callcenter_oldest_uncopied_recording_seconds",
        "How long ago the oldest recording ended that is not stored yet.",
        figures.oldest_uncopied_recording_seconds,
    )
    yield _gauge(
        "callcenter_clock_difference_seconds",
        "Difference between the clocks of this host and of the database.",
        figures.clock_difference_seconds,
    )


def page(registry: CollectorRegistry) -> bytes:
    """The installation's gauges, then what this process has counted (webhook seconds, memory, CPU)."""
    return generate_latest(registry) + generate_latest(REGISTRY)


def registry_for(engine: Engine, health: HealthMonitor) -> CollectorRegistry:
    """A registry that reads this database and these checks; reads nothing before the first scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(InstallationCollector(engine))
    registry.register(HealthCollector(health))
    return registry


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
